"""What a check says, and the verdict over all of it. Plain values.

Names come from a cluster, or from a bundle that a stranger sent, and cures are pasted into a shell: what fills a cure is
quoted, and only a Command stands in it as it is.
"""

import shlex
from collections.abc import Sequence
from enum import Enum, StrEnum

import msgspec


class State(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"  # works, but will not for long, or gives something away
    SICK = "sick"
    FOLLOWS = "follows"  # sick, and explained by another finding
    UNSEEN = "unseen"  # could not be looked at from here


class Stage(StrEnum):
    """In the order in which the pipeline breaks; each is a heading of the report."""

    APISERVER = "kube-apiserver"
    AGGREGATION = "aggregation layer"
    GRANTS = "permissions"
    NODES = "nodes"
    BACKEND = "server and its Service"
    APISERVICE = "APIServices"
    SERVED = "what is served"
    CLIENTS = "kubectl"
    SUBJECT = "what was asked about"


class Finding(msgspec.Struct, frozen=True):
    """`id` is an Ailment's, or where nothing is wrong the check's own. `seen` is what was seen, with names and numbers;
    `cause` and `cure` are empty where nothing is wrong. `details` are further lines, for instance one of each node.
    """

    id: str
    stage: Stage
    state: State
    seen: str
    cause: str = ""
    cure: str = ""
    because_of: str = ""  # the id of the finding that explains this one
    details: Sequence[str] = ()


class Verdict(msgspec.Struct, frozen=True):
    """`id` is empty where all is well."""

    state: State  # HEALTHY, SICK or UNSEEN
    id: str
    sentence: str
    cause: str = ""
    cure: str = ""


class Report(msgspec.Struct, frozen=True):
    verdict: Verdict
    findings: Sequence[Finding]
    server: str  # kube-apiserver's URL
    taken: str  # RFC 3339, when the evidence was collected


def healthy(check_id: str, stage: Stage, seen: str, details: Sequence[str] = ()) -> Finding:
    return Finding(check_id, stage, State.HEALTHY, seen, details=details)


def unseen(check_id: str, stage: Stage, seen: str, cure: str = "") -> Finding:
    """`seen` says what could not be looked at and why."""
    return Finding(check_id, stage, State.UNSEEN, seen, cure=cure)


class Command(str):
    """For a shell, with each word of it quoted."""

    __slots__ = ()


def typed(*words: str) -> Command:
    return Command(shlex.join(words))


class KnownAilment(Enum):
    """(stage, cause, cure, follows); the id is the name in lower case, with dashes.

    Names in braces are filled in by the check that found it. `follows` names the ailments that explain this one, a
    trailing `*` any that begin so: it is then no verdict.
    """

    def __init__(self, stage: Stage, cause: str, cure: str, follows: Sequence[str]) -> None:
        self.stage = stage
        self.cause = cause
        self.cure = cure
        self.follows = follows

    @property
    def id(self) -> str:
        return self.name.lower().replace("_", "-")

    def found(
        self, seen: str, *, state: State = State.SICK, details: Sequence[str] = (), **facts: object
    ) -> Finding:
        """`facts` fill the names in braces of cause and cure; KeyError where one lacks."""
        words = {
            name: fact if isinstance(fact, Command) else shlex.quote(str(fact))
            for name, fact in facts.items()
        }
        return Finding(
            self.id,
            self.stage,
            state,
            seen,
            self.cause.format_map(facts),
            self.cure.format_map(words),
            details=details,
        )

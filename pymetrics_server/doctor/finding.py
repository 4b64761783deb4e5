"""What a check says, and the verdict over all of it. Plain values."""

from collections.abc import Sequence
from enum import StrEnum

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

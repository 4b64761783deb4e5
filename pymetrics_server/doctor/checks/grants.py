"""May the server do what it must? Each thing that is refused, with the command that grants it and no more."""

from collections.abc import Iterable, Iterator, Sequence

from pymetrics_server.cluster.grants import AUTHENTICATION_READER, DELEGATOR, KUBELETS, READER, Role, commands
from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.ours import flag_among
from pymetrics_server.doctor.evidence import Evidence, Grant
from pymetrics_server.doctor.finding import Command, Finding, Stage, State, healthy, unseen

_ID = "grants"
#: By the name that --kubelet-endpoint has for it.
_ENDPOINTS = {"summary": "nodes/stats", "resource": "nodes/metrics"}
_ROLES = {
    **dict.fromkeys(KUBELETS.resources, KUBELETS),
    **dict.fromkeys(READER.resources, READER),
    "tokenreviews": DELEGATOR,
    "subjectaccessreviews": DELEGATOR,
    "configmaps": AUTHENTICATION_READER,
}


def grants(evidence: Evidence) -> Iterator[Finding]:
    account = evidence.subject.account
    if not evidence.grants:
        yield unseen(_ID, Stage.GRANTS, f"what {account} may do was not asked", _as_whom(account))
        return
    needed = _needed(evidence)
    refused = [grant for grant in needed if grant.allowed is False]
    unknown = [grant for grant in needed if grant.allowed is None]
    yield from _refused(refused, _endpoint_left(needed), account)
    if unknown:
        reasons = dict.fromkeys(grant.reason or "no reason was given" for grant in unknown)
        may = "do what it must" if unknown == needed else _shown(unknown)
        what = f"whether {account} may {may} could not be asked: {'; '.join(reasons)}"
        refusal = any("subjectaccessreviews" in reason for reason in reasons)
        yield unseen(_ID, Stage.GRANTS, what, _as_whom(account) if refusal else "")
    elif not refused:
        yield healthy(
            _ID, Stage.GRANTS, f"{account} may do all that it needs", [_shown([each]) for each in needed]
        )


def _needed(evidence: Evidence) -> list[Grant]:
    """Without the kubelet's endpoint that --kubelet-endpoint rules out."""
    only = _ENDPOINTS.get(flag_among(evidence.subject.server_args, "--kubelet-endpoint"))
    return [
        grant for grant in evidence.grants if not only or grant.resource == only or not _of_kubelets(grant)
    ]


def _endpoint_left(needed: Sequence[Grant]) -> bool:
    """Whether one of the kubelet's endpoints may be read, as far as is known."""
    return any(grant.allowed is not False for grant in needed if _of_kubelets(grant))


def _refused(refused: Sequence[Grant], endpoint_left: bool, account: str) -> Iterator[Finding]:
    """What lacks as a whole, granted by one command; apart from that a kubelets' endpoint beside which there is another."""
    by_role: dict[Role, list[Grant]] = {}
    for grant in refused:
        by_role.setdefault(_ROLES.get(grant.resource) or _role_for(grant), []).append(grant)
    spare = by_role.pop(KUBELETS, []) if endpoint_left else []
    if by_role:
        lacking = [grant for several in by_role.values() for grant in several]
        yield _found(Ailment.GRANT_MISSING, State.SICK, lacking, by_role, account)
    if spare:
        yield _found(Ailment.GRANT_ENDPOINT_MISSING, State.WARNING, spare, [KUBELETS], account)


def _found(
    ailment: Ailment, state: State, lacking: Sequence[Grant], roles: Iterable[Role], account: str
) -> Finding:
    by_reason: dict[str, list[Grant]] = {}
    for grant in lacking:
        if grant.reason:
            by_reason.setdefault(grant.reason, []).append(grant)
    return ailment.found(
        f"{account} may not {_shown(lacking)}",
        state=state,
        details=[f"{_shown(several)}: {reason}" for reason, several in by_reason.items()],
        command=Command(" && ".join(word for role in roles for word in commands(role, account))),
    )


def _role_for(grant: Grant) -> Role:
    resource = _resource(grant)
    return Role("", resource.replace("/", "-"), verbs=(grant.verb,), resources=(resource,))


def _of_kubelets(grant: Grant) -> bool:
    return grant.resource in _ENDPOINTS.values()


def _resource(grant: Grant) -> str:
    return f"{grant.resource}.{grant.group}" if grant.group else grant.resource


def _shown(several: Sequence[Grant]) -> str:
    """`list nodes, watch nodes`"""
    return ", ".join(
        f"{grant.verb} {_resource(grant)}"
        + (f" {grant.name}" if grant.name else "")
        + (f" in {grant.namespace}" if grant.namespace else "")
        for grant in several
    )


def _as_whom(account: str) -> str:
    """Impersonating needs a grant as well; asking for oneself never does."""
    return (
        "run the doctor as somebody who may: kubectl auth can-i create subjectaccessreviews.authorization.k8s.io; "
        f"it then asks for {account}"
    )

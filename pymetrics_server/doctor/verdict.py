"""From findings to one verdict: what explains what, and what to type first. Plain functions."""

from collections.abc import Iterable, Sequence

import msgspec

from pymetrics_server.doctor.ailment import Ailment, node_id
from pymetrics_server.doctor.asked_ailment import AskedAilment
from pymetrics_server.doctor.finding import Finding, Stage, State, Verdict
from pymetrics_server.errors import FailureClass

#: What explains each ailment, by its id. A node's failure is explained by what we may not, and by its CSR.
FOLLOWS = {ailment.id: ailment.follows for ailment in (*Ailment, *AskedAilment)} | {
    node_id(FailureClass.FORBIDDEN): ("grant-*",),
    node_id(FailureClass.TLS_ALERT_INTERNAL): ("node-csr-*",),
    node_id(FailureClass.TLS_UNKNOWN_ISSUER): ("node-csr-*",),
}
_ORDER = {stage: place for place, stage in enumerate(Stage)}


def explained(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the pipeline; whatever another sick finding explains FOLLOWS it."""
    ordered = sorted(findings, key=lambda finding: _ORDER[finding.stage])
    sick = [finding.id for finding in ordered if finding.state is State.SICK]
    return [_with_cause(finding, sick) for finding in ordered]


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Over what `explained` gave: the first that is sick; where none is, whether enough was seen to say so."""
    for finding in findings:
        if finding.state is State.SICK:
            return Verdict(State.SICK, finding.id, finding.seen, finding.cause, finding.cure)
    unseen = [finding for finding in findings if finding.state is State.UNSEEN]
    if unseen and not any(finding.state is State.HEALTHY for finding in findings):
        return Verdict(State.UNSEEN, unseen[0].id, unseen[0].seen, unseen[0].cause, unseen[0].cure)
    if unseen:
        what = f"nothing is wrong in what could be seen; {len(unseen)} could not be looked at from here"
        return Verdict(State.HEALTHY, "", what)
    return Verdict(State.HEALTHY, "", "the pipeline is healthy")


def _with_cause(finding: Finding, sick: Sequence[str]) -> Finding:
    if finding.state is not State.SICK:
        return finding
    for explanation in sick:
        if explanation != finding.id and _matches(explanation, FOLLOWS.get(finding.id, ())):
            return msgspec.structs.replace(finding, state=State.FOLLOWS, because_of=explanation)
    return finding


def _matches(ailment_id: str, patterns: Sequence[str]) -> bool:
    return any(
        ailment_id.startswith(pattern[:-1]) if pattern.endswith("*") else ailment_id == pattern
        for pattern in patterns
    )

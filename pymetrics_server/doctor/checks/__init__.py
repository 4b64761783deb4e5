"""What is looked at, in the order of the pipeline: Evidence in, Findings out. No I/O, no clock."""

from collections.abc import Callable, Iterable, Sequence

from pymetrics_server.doctor.checks import (
    aggregation,
    apiservice,
    asked,
    autoscaler,
    backend,
    clients,
    grants,
    nodes,
    served,
)
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding

Check = Callable[[Evidence], Iterable[Finding]]

#: Each says something, if only that it could not look.
CHECKS: tuple[Check, ...] = (
    aggregation.apiserver,
    aggregation.front_proxy,
    grants.grants,
    nodes.nodes,
    backend.backend,
    apiservice.apiservices,
    served.served,
    clients.clients,
)
#: Of `doctor pod` and `doctor hpa`, behind the others.
ASKED: tuple[Check, ...] = (asked.pod, autoscaler.hpa)


def checks_for(evidence: Evidence) -> Sequence[Check]:
    """Where kube-apiserver does not answer nothing else was asked, which needs no line for each."""
    is_mute = Asked.VERSION in evidence.answers and not any(each.status for each in evidence.answers.values())
    return (aggregation.apiserver, clients.clients) if is_mute else (*CHECKS, *ASKED)

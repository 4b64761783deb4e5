"""Does the kubectl here ask the right API, and is it of this cluster's time?"""

import re
from collections.abc import Iterator

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy, unseen
from pymetrics_server.doctor.objects import Version

_ID = "kubectl"
_ASKS_METRICS = (1, 10)
_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)")


def clients(evidence: Evidence) -> Iterator[Finding]:
    """One finding."""
    told = evidence.kubectl_version
    ours = _minor(told)
    if ours is None and evidence.in_pod:
        yield healthy(_ID, Stage.CLIENTS, "there is no kubectl beside the server, and none is needed")
        return
    if ours is None:
        yield unseen(_ID, Stage.CLIENTS, f"kubectl's version is not known: {told or 'none is on the PATH'}")
        return
    version = evidence.answer(Asked.VERSION).read(Version)
    server = _minor(version.git_version) if version is not None else None
    shown = version.git_version if version is not None and server is not None else "kube-apiserver"
    if ours < _ASKS_METRICS:
        yield Ailment.KUBECTL_ASKS_HEAPSTER.found(f"kubectl is {told}", version=shown)
    elif server is None:
        yield healthy(
            _ID, Stage.CLIENTS, f"kubectl {told} asks metrics.k8s.io; kube-apiserver's version is not known"
        )
    elif ours[0] != server[0] or abs(ours[1] - server[1]) > 1:
        seen = f"kubectl is {told} and kube-apiserver {shown}"
        yield Ailment.KUBECTL_SKEW.found(seen, state=State.WARNING, version=shown)
    else:
        yield healthy(_ID, Stage.CLIENTS, f"kubectl {told} asks metrics.k8s.io")


def _minor(version: str) -> tuple[int, int] | None:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else None

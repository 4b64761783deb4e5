"""Which kubelets cannot be scraped, and how that is known: from the probes, from the server's log, or from
kube-apiserver's way to them. Plain functions.

What the server meets itself counts. From inside its pod the probes are its own way and newer than its log; from outside
they are another way, and tell only of nodes of which the server tells nothing.
"""

from collections.abc import Sequence
from enum import Enum

import msgspec

from pymetrics_server.doctor.checks.serverlog import CLASSES, Said, failing_nodes
from pymetrics_server.doctor.evidence import Asked, Evidence, NodeProbe, SeenCertificate
from pymetrics_server.doctor.objects import NodeMetrics, listed
from pymetrics_server.doctor.subject import options_of
from pymetrics_server.errors import FailureClass
from pymetrics_server.meta.timestamp import parse_rfc3339

_PROXY = "proxy"
_SLACK_NS = 5_000_000_000
_ANONYMOUS = "system:anonymous"


class By(Enum):
    """Who met the trouble."""

    DOCTOR = "from here"
    SERVER = "by the server"
    APISERVER = "by kube-apiserver"


class Trouble(msgspec.Struct, frozen=True):
    node: str
    failure: FailureClass
    words: str
    by: By
    where: str = ""  # InternalIP 10.0.0.4:10250
    address: str = ""
    certificate: SeenCertificate | None = None

    @property
    def is_anonymous(self) -> bool:
        """The kubelet did not find out who asks."""
        return self.failure is FailureClass.UNAUTHENTICATED or (
            self.failure is FailureClass.FORBIDDEN and _ANONYMOUS in self.words
        )


class Looked(msgspec.Struct, frozen=True):
    troubles: Sequence[Trouble]
    samples: Sequence[NodeProbe]  # of the nodes that answered one
    guarded: Sequence[str]  # nodes that are reached and ask for credentials that were not shown
    fresh: frozenset[str]  # nodes that the server has scraped of late


def looked(evidence: Evidence) -> Looked:
    """Nodes in the order of the probes, then those of the log alone."""
    direct = {probe.node: probe for probe in evidence.probes if probe.address_type != _PROXY}
    proxied = {probe.node: probe for probe in evidence.probes if probe.address_type == _PROXY}
    fresh = _freshly_served(evidence)
    log = failing_nodes(evidence.answer(Asked.LOG).body)
    said = {node: each for node, each in log.items() if node not in fresh}

    troubles: list[Trouble] = []
    samples: list[NodeProbe] = []
    guarded: list[str] = []
    for node in dict.fromkeys([*direct, *proxied, *said]):
        probe, by_proxy = direct.get(node), proxied.get(node)
        sample = next((each for each in (probe, by_proxy) if each is not None and not each.failure), None)
        if sample is not None:
            samples.append(sample)
        trouble = _trouble(evidence, probe, by_proxy, said.get(node), is_fresh=node in fresh)
        if trouble is not None:
            troubles.append(trouble)
        elif sample is None and any(each is not None and _is_guarded(each) for each in (probe, by_proxy)):
            guarded.append(node)
    return Looked(troubles, samples, guarded, fresh)


def _trouble(
    evidence: Evidence,
    probe: NodeProbe | None,
    by_proxy: NodeProbe | None,
    said: Said | None,
    *,
    is_fresh: bool,
) -> Trouble | None:
    found = None
    if probe is not None and probe.failure and evidence.nodes_reachable_from_here and not _is_guarded(probe):
        found = _of_probe(probe, By.DOCTOR)
    if evidence.in_pod and probe is not None and probe.credentials == "ours":
        return found
    if said is not None:
        return _of_words(said, probe)
    if is_fresh:
        return None
    if found is None and by_proxy is not None and by_proxy.failure and not _is_guarded(by_proxy):
        found = _of_probe(by_proxy, By.APISERVER)
    return found


def _of_probe(probe: NodeProbe, by: By) -> Trouble | None:
    failure = CLASSES.get(probe.failure)
    if failure is None:
        return None
    return Trouble(
        probe.node,
        failure,
        probe.detail,
        by,
        "" if by is By.APISERVER else where(probe),
        probe.address,
        probe.certificate,
    )


def _of_words(said: Said, probe: NodeProbe | None) -> Trouble:
    """What was seen from here of the same failure completes it."""
    if probe is None or probe.failure != said.failure.label:
        return Trouble(said.node, said.failure, said.words, By.SERVER)
    return Trouble(
        said.node,
        said.failure,
        said.words or probe.detail,
        By.SERVER,
        where(probe),
        probe.address,
        probe.certificate,
    )


def where(probe: NodeProbe) -> str:
    if not probe.address:
        return ""
    address = f"[{probe.address}]" if ":" in probe.address else probe.address
    return f"{probe.address_type} {address}:{probe.port}".strip()


def _is_guarded(probe: NodeProbe) -> bool:
    """It says no to whoever asks here, which tells nothing of the server."""
    if probe.status not in (401, 403) or probe.credentials == "ours":
        return False
    if probe.credentials == "none" or probe.address_type == _PROXY:
        return True
    return probe.status == 403 and _ANONYMOUS not in probe.detail


def _freshly_served(evidence: Evidence) -> frozenset[str]:
    """Nodes that the server has scraped of late, whatever its log says of before."""
    limit_ns = 2 * options_of(evidence.subject).metric_resolution_ns + _SLACK_NS
    found: set[str] = set()
    for metrics in listed(evidence.answer(Asked.SERVED_NODES), NodeMetrics) or ():
        try:
            age_ns = evidence.taken_ns - parse_rfc3339(metrics.timestamp)
        except ValueError:
            continue
        if age_ns <= limit_ns:
            found.add(metrics.metadata.name)
    return frozenset(found)

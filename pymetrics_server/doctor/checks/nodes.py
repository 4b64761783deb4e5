"""Does every kubelet answer the server, and with something that can be right? One finding for each way to fail."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from pymetrics_server.doctor.ailment import Ailment, of_node
from pymetrics_server.doctor.checks.arguments import node_selector
from pymetrics_server.doctor.checks.cures import cure_of
from pymetrics_server.doctor.checks.ours import deployment_name, is_installed
from pymetrics_server.doctor.checks.pattern import Pattern, pattern
from pymetrics_server.doctor.checks.presented import (
    CURED_BY_CSR,
    CsrState,
    NodeCsr,
    csrs_by_node,
    described,
    mismatch,
)
from pymetrics_server.doctor.checks.samples import lines, samples
from pymetrics_server.doctor.checks.serverlog import why_not_ready
from pymetrics_server.doctor.checks.troubles import By, Looked, Trouble, looked, where
from pymetrics_server.doctor.checks.unread import unread
from pymetrics_server.doctor.evidence import Asked, Evidence, NodeProbe
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy, typed, unseen
from pymetrics_server.doctor.objects import Csr, Node, Pod, listed
from pymetrics_server.errors import FailureClass

_ID = "nodes"
_SECOND_NS = 1_000_000_000
_CSRS_NAMED = 5
#: The way to the kubelet: of a node that is not ready as a rule the node itself.
_WAY = frozenset(
    {
        FailureClass.DNS,
        FailureClass.CONNECT_TIMEOUT,
        FailureClass.REFUSED,
        FailureClass.UNREACHABLE,
        FailureClass.SLOW_RESPONSE,
        FailureClass.DISCONNECTED,
    }
)
#: Where packets end, and the pattern tells more than the error.
_NETWORK = frozenset({FailureClass.CONNECT_TIMEOUT, FailureClass.UNREACHABLE})
#: Where it matters what CA and which credentials there are here.
_OF_TRUST = frozenset({FailureClass.TLS_UNKNOWN_ISSUER, FailureClass.UNAUTHENTICATED, FailureClass.FORBIDDEN})
#: The kubelet's own, whoever asks it.
_KUBELETS_OWN = frozenset(
    {
        FailureClass.SERVER_ERROR,
        FailureClass.EMPTY_ANSWER,
        FailureClass.PARSE_ERROR,
        FailureClass.NOT_FOUND,
        FailureClass.TOO_LARGE,
    }
)


class _Cluster(msgspec.Struct, frozen=True):
    nodes: Mapping[str, Node]
    labels: Mapping[
        str, Mapping[str, str]
    ]  # of all that were looked at, also where the Nodes could not be listed
    own: Collection[str]  # nodes on which the server runs
    in_pod: bool
    has_server: bool

    def pattern(self, troubles: Sequence[Trouble]) -> Pattern:
        """That of what was met from elsewhere has nothing to do with the server's own node."""
        is_servers = self.in_pod or any(trouble.by is By.SERVER for trouble in troubles)
        return pattern([trouble.node for trouble in troubles], self.labels, self.own if is_servers else ())

    def is_ready(self, name: str) -> bool:
        return name not in self.nodes or self.nodes[name].ready


def nodes(evidence: Evidence) -> Iterator[Finding]:
    answer = evidence.answer(Asked.NODES)
    found = listed(answer, Node)
    selector = node_selector(evidence)
    known = {each.metadata.name: each for each in found or () if selector.matches(each.metadata.labels)}
    if found is None:
        yield unread(_ID, Stage.NODES, "the list of nodes", answer)
    elif not found:
        yield unseen(_ID, Stage.NODES, "there is no Node: nothing to look at", "kubectl get nodes")
    elif not known:
        what = f"--node-selector matches none of the {len(found)} nodes, so that the server scrapes none"
        yield Finding(_ID, Stage.NODES, State.WARNING, what, cure="kubectl get nodes --show-labels")
        return
    seen = looked(evidence)
    if known:
        seen = _only(seen, known)
    cluster = _cluster(evidence, known, seen)
    wrong = [
        *_troubles(evidence, cluster, seen.troubles),
        *_told_by_readyz(evidence, seen.troubles),
        *samples(seen.samples, cluster.labels, cluster.own if evidence.in_pod else (), cluster.nodes),
        *_unlooked(evidence, cluster, seen),
    ]
    yield from wrong
    if known and not wrong:
        yield _healthy(seen, len(known))


def _only(seen: Looked, known: Collection[str]) -> Looked:
    """Without nodes that are gone, or that --node-selector leaves out."""
    return msgspec.structs.replace(
        seen,
        troubles=[trouble for trouble in seen.troubles if trouble.node in known],
        samples=[probe for probe in seen.samples if probe.node in known],
        guarded=[node for node in seen.guarded if node in known],
    )


def _cluster(evidence: Evidence, known: Mapping[str, Node], seen: Looked) -> _Cluster:
    labels = {name: node.metadata.labels for name, node in known.items()}
    if not known:
        names = [*(probe.node for probe in evidence.probes), *(trouble.node for trouble in seen.troubles)]
        labels = {name: {} for name in names}
    pods = listed(evidence.answer(Asked.PODS), Pod) or ()
    own = {pod.spec.node_name for pod in pods if pod.spec.node_name}
    return _Cluster(known, labels, own, evidence.in_pod, is_installed(evidence))


def _troubles(evidence: Evidence, cluster: _Cluster, troubles: Sequence[Trouble]) -> Iterator[Finding]:
    csrs = csrs_by_node(listed(evidence.answer(Asked.CSRS), Csr) or ())
    waiting = {node: csr for node, csr in csrs.items() if csr.state is not CsrState.APPROVED}
    yield from _csrs(cluster, waiting, troubles)
    groups: dict[tuple[FailureClass, bool, State, str], list[Trouble]] = {}
    for trouble in troubles:
        state, because_of = State.SICK, ""
        if trouble.failure in CURED_BY_CSR and trouble.node in waiting:
            state, because_of = State.FOLLOWS, _of_csr(waiting[trouble.node]).id
        elif _is_mild(evidence, trouble, cluster):
            state = State.WARNING
        key = trouble.failure, trouble.is_anonymous, state, because_of
        groups.setdefault(key, []).append(trouble)
    for (failure, is_anonymous, state, because_of), group in groups.items():
        finding = (
            _anonymous(evidence, cluster, group)
            if is_anonymous
            else _failing(evidence, cluster, failure, group)
        )
        yield msgspec.structs.replace(finding, state=state, because_of=because_of)


def _is_mild(evidence: Evidence, trouble: Trouble, cluster: _Cluster) -> bool:
    """It says more of the node, of kube-apiserver's way to it or of what is known here, than of the server's. Where there is
    no server the first thing is to install one."""
    if trouble.by is not By.SERVER and not cluster.has_server:
        return True
    if trouble.by is By.DOCTOR and evidence.probe_caveat and trouble.failure in _OF_TRUST:
        return True
    if trouble.by is By.APISERVER and trouble.failure not in _KUBELETS_OWN:
        return True
    return trouble.failure in _WAY and not cluster.is_ready(trouble.node)


def _failing(
    evidence: Evidence, cluster: _Cluster, failure: FailureClass, group: Sequence[Trouble]
) -> Finding:
    found = cluster.pattern(group)
    finding = of_node(
        failure,
        _seen(evidence, cluster, group),
        _details(evidence, cluster, group),
        cure_of(evidence, failure, group),
    )
    if failure not in _KUBELETS_OWN and all(trouble.by is By.APISERVER for trouble in group):
        cause = "it is kube-apiserver's way to kubelets that fails, as it does for `kubectl logs`; the server goes another one"
        return msgspec.structs.replace(
            finding, cause=cause, cure=typed("kubectl", "describe", "node", group[0].node)
        )
    if failure in _NETWORK and found.own_alone:
        cause = "a pod has no way to the address of the node that it runs on: hairpin traffic, or a security group that does not allow itself"
        return msgspec.structs.replace(finding, cause=cause)
    if failure in _NETWORK and found.all_but_own:
        cause = "nothing goes from node to node: a firewall or security group between them, or overlapping pod and node networks"
        return msgspec.structs.replace(finding, cause=cause)
    return finding


def _anonymous(evidence: Evidence, cluster: _Cluster, group: Sequence[Trouble]) -> Finding:
    return Ailment.NODE_ANONYMOUS.found(
        _seen(evidence, cluster, group), details=_details(evidence, cluster, group), node=group[0].node
    )


def _seen(evidence: Evidence, cluster: _Cluster, group: Sequence[Trouble]) -> str:
    first = group[0]
    not_ready = "" if any(cluster.is_ready(trouble.node) for trouble in group) else ", NotReady,"
    met = " when kube-apiserver asks" if first.by is By.APISERVER else ""
    what = _mismatch(evidence, first) or first.words or first.failure.cause
    return f"{cluster.pattern(group).words}{not_ready} cannot be scraped: {first.node}{met}: {what}"


def _details(evidence: Evidence, cluster: _Cluster, group: Sequence[Trouble]) -> Sequence[str]:
    found = lines([_line(evidence, cluster, trouble) for trouble in group])
    caveat = evidence.probe_caveat
    return (*found, caveat) if caveat and any(trouble.by is By.DOCTOR for trouble in group) else found


def _line(evidence: Evidence, cluster: _Cluster, trouble: Trouble) -> str:
    """One node, with all that is known."""
    head = f"{trouble.node} ({trouble.where})" if trouble.where else trouble.node
    node = cluster.nodes.get(trouble.node)
    told = [
        "" if cluster.is_ready(trouble.node) else "NotReady",
        trouble.words,
        _mismatch(evidence, trouble),
        described(trouble.certificate) if trouble.certificate is not None else "",
        _addresses(node) if trouble.failure is FailureClass.NO_ADDRESS and node is not None else "",
    ]
    return f"{head}: {'; '.join(part for part in told if part)} ({trouble.by.value})"


def _mismatch(evidence: Evidence, trouble: Trouble) -> str:
    now_s = evidence.taken_ns // _SECOND_NS
    return mismatch(trouble.failure, trouble.certificate, trouble.address, now_s)


def _addresses(node: Node) -> str:
    told = ", ".join(f"{each.type} {each.address}" for each in node.status.addresses)
    return f"the Node lists {told or 'no address'}"


def _csrs(
    cluster: _Cluster, waiting: Mapping[str, NodeCsr], troubles: Sequence[Trouble]
) -> Iterator[Finding]:
    """Sick where a node fails for it, else a warning: the certificate that there is will end."""
    failing = {trouble.node for trouble in troubles if trouble.failure in CURED_BY_CSR}
    for ailment in (Ailment.NODE_CSR_PENDING, Ailment.NODE_CSR_DENIED):
        for is_sick in (True, False):
            found = {
                node: csr
                for node, csr in waiting.items()
                if _of_csr(csr) is ailment and (node in failing) is is_sick and node in cluster.labels
            }
            if not found:
                continue
            words = pattern(list(found), cluster.labels, ()).words
            states = " or ".join(dict.fromkeys(csr.state.value for csr in found.values()))
            names = [csr.name for csr in found.values()][:_CSRS_NAMED]
            yield ailment.found(
                f"{words}: the kubelet's request for a serving certificate is {states}",
                state=State.SICK if is_sick and cluster.has_server else State.WARNING,
                details=lines([f"{node}: {csr.name}, {csr.state.value}" for node, csr in found.items()]),
                csr=typed(*names),
            )


def _of_csr(csr: NodeCsr) -> Ailment:
    return Ailment.NODE_CSR_PENDING if csr.state is CsrState.PENDING else Ailment.NODE_CSR_DENIED


def _told_by_readyz(evidence: Evidence, troubles: Sequence[Trouble]) -> Iterator[Finding]:
    """Its log may have turned, and names each failure once."""
    told = why_not_ready(evidence.answer(Asked.READYZ).body)
    if told is None or any(trouble.failure is told.failure for trouble in troubles):
        return
    seen = f"{told.failing} of {told.nodes} nodes, as the server itself says: {told.failure.cause}"
    yield of_node(told.failure, seen, cure=cure_of(evidence, told.failure, ()))


def _unlooked(evidence: Evidence, cluster: _Cluster, seen: Looked) -> Iterator[Finding]:
    """What could not be looked at, and for want of time was not."""
    if not evidence.probed_all:
        count = len({probe.node for probe in evidence.probes})
        what = f"time ran out when {count} of {max(count, len(cluster.labels))} nodes had been looked at"
        yield Finding(_ID, Stage.NODES, State.WARNING, what, cure="pymetrics-server doctor --timeout 60s")
    if evidence.nodes_reachable_from_here or seen.samples:
        return
    ready = [name for name in cluster.nodes if cluster.is_ready(name)]
    if ready and seen.fresh.issuperset(ready):
        return
    yield unseen(
        _ID,
        Stage.NODES,
        "no kubelet can be reached from here, which tells nothing of the server: it runs inside the cluster",
        typed(
            "kubectl",
            "-n",
            evidence.subject.namespace,
            "exec",
            f"deploy/{deployment_name(evidence)}",
            "--",
            "pymetrics-server",
            "doctor",
        ),
    )


def _healthy(seen: Looked, total: int) -> Finding:
    if seen.samples:
        ages_ms = [probe.sample_age_ms for probe in seen.samples if probe.sample_age_ms is not None]
        age = f", the oldest sample is {max(ages_ms) / 1000:.0f} s old" if ages_ms else ""
        details = [f"{probe.node}: {_answered(probe)}" for probe in seen.samples]
        return healthy(_ID, Stage.NODES, f"{len(seen.samples)} of {total} nodes answer{age}", lines(details))
    if seen.fresh:
        what = f"the server has scraped {len(seen.fresh)} of {total} nodes just now; from here none gave a sample"
        return healthy(_ID, Stage.NODES, what)
    if seen.guarded:
        what = (
            f"{len(seen.guarded)} of {total} kubelets are reached, and tell nothing to whoever asks from here"
        )
        return healthy(_ID, Stage.NODES, what)
    return unseen(_ID, Stage.NODES, "no node was looked at", "pymetrics-server doctor --timeout 60s")


def _answered(probe: NodeProbe) -> str:
    return f"{probe.endpoint or 'its kubelet'} at {where(probe) or 'its address'} in {probe.took_ms} ms"

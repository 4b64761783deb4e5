"""Every node looked at once: a name, a connection, TLS, one scrape. Bounded in number, and in time as a whole."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

from msgspec.structs import replace

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.cluster.nodes import NODE_SHAPE
from pymetrics_server.doctor.asking import Asker
from pymetrics_server.doctor.certificate import certificate_of
from pymetrics_server.doctor.evidence import Asked, Evidence, NodeProbe
from pymetrics_server.doctor.kubelets import Kubelets, kubelets
from pymetrics_server.doctor.proxied import through_apiserver
from pymetrics_server.doctor.sampled import told_by
from pymetrics_server.doctor.subject import options_of
from pymetrics_server.errors import ApiserverError, FailureClass, KubeletError
from pymetrics_server.kubelet.address import addresses_of, port_of
from pymetrics_server.meta.identity import ANONYMOUS
from pymetrics_server.meta.objects import Node
from pymetrics_server.meta.selectors import parse_label_selector
from pymetrics_server.options import Options

CONNECT_S = 3.0  # of a node, whatever number of addresses it has

_AT_ONCE = 128
_HOPELESS_AFTER = 256  # nodes, from outside, without a way to any of them: the others would be no nearer
_SHOWS_CERTIFICATE = frozenset(
    {
        FailureClass.TLS_UNKNOWN_ISSUER.label,
        FailureClass.TLS_NAME_MISMATCH.label,
        FailureClass.TLS_EXPIRED.label,
        FailureClass.TLS_OTHER.label,
    }
)
_NO_WAY = frozenset(
    {FailureClass.DNS.label, FailureClass.CONNECT_TIMEOUT.label, FailureClass.UNREACHABLE.label}
)

Told = Callable[[int, int], None]


async def probe(
    evidence: Evidence,
    asker: Asker,
    credentials: Credentials,
    clock: Clock,
    *,
    deadline_s: float,
    told: Told = lambda done, all_: None,
    at_once: int = _AT_ONCE,
    connect_s: float = CONNECT_S,
) -> Evidence:
    """With what was seen of every node that the server scrapes. What is not done at `deadline_s`, by the loop's clock,
    is left out."""
    options = options_of(evidence.subject)
    nodes = _nodes(evidence, options)
    if not nodes:
        return evidence
    asked = await kubelets(evidence, options, credentials, clock, connect_s)
    probing = _Probing(nodes, asked, options, clock, told, is_outside=not evidence.in_pod)
    try:
        await probing.run(at_once, deadline_s)
    finally:
        asked.transport.close()
    probes = sorted(probing.done, key=lambda each: each.node)
    is_reached = evidence.in_pod or not _is_hopeless(probes)
    if not evidence.in_pod and all(each.failure for each in probes):
        probes += await through_apiserver(asker, nodes, clock)
    return replace(
        evidence,
        probes=probes,
        probed_all=len(probing.done) == len(nodes),
        nodes_reachable_from_here=is_reached,
        probe_caveat=asked.caveat,
    )


class _Probing:
    def __init__(
        self,
        nodes: Sequence[Node],
        asked: Kubelets,
        options: Options,
        clock: Clock,
        told: Told,
        *,
        is_outside: bool,
    ) -> None:
        self.done: list[NodeProbe] = []
        self._nodes = nodes
        self._asked = asked
        self._options = options
        self._clock = clock
        self._told = told
        self._is_outside = is_outside

    async def run(self, at_once: int, deadline_s: float) -> None:
        """Not in the order of their names: pools of nodes are named alike, and one of them may be dead."""
        waiting = iter(sorted(self._nodes, key=lambda node: crc32(node.name.encode())))
        try:
            async with asyncio.timeout_at(deadline_s), asyncio.TaskGroup() as group:
                for number in range(min(at_once, len(self._nodes))):
                    group.create_task(self._work(waiting), name=f"probe nodes {number}")
        except TimeoutError:
            return

    async def _work(self, waiting: Iterator[Node]) -> None:
        for node in waiting:
            if self._is_outside and len(self.done) >= _HOPELESS_AFTER and _is_hopeless(self.done):
                return
            self.done.append(await self._probed(node))
            self._told(len(self.done), len(self._nodes))

    async def _probed(self, node: Node) -> NodeProbe:
        began_ns = self._clock.monotonic_ns()
        client = self._asked.client
        probe = self._placed(node)
        try:
            sample = await client.scrape(node)
        except KubeletError as err:
            probe = told_by(probe, err, self._clock.now_ns())
        except Exception as err:  # a fault of ours that this node brings out
            told = KubeletError(FailureClass.INTERNAL, repr(err))
            probe = told_by(probe, told, self._clock.now_ns())
        else:
            probe = told_by(probe, sample, self._clock.now_ns())
        probe = self._reached(probe, node, client.endpoint_in_use(node.name))
        client.forget(node.name)
        if _as_nobody(probe) and not self._asked.has_token:
            probe = replace(probe, credentials="none")
        if probe.failure in _SHOWS_CERTIFICATE:
            shown = await certificate_of(probe.address, probe.port, CONNECT_S)
            probe = replace(probe, certificate=shown)
        return replace(probe, took_ms=(self._clock.monotonic_ns() - began_ns) // 1_000_000)

    def _placed(self, node: Node) -> NodeProbe:
        """At the address that the server prefers."""
        options = self._options
        port = port_of(node, options.kubelet_port, options.kubelet_use_node_status_port)
        probe = NodeProbe(node.name, port=port, credentials=self._asked.shown)
        try:
            address = addresses_of(node, options.kubelet_preferred_address_types)[0]
        except KubeletError:
            return probe
        return self._at(probe, node, address)

    def _reached(self, probe: NodeProbe, node: Node, endpoint: str) -> NodeProbe:
        """At the address that took the connection."""
        probe = replace(probe, endpoint=endpoint if probe.status else "")
        address = self._asked.transport.reached.get(node.name)
        return probe if address is None else self._at(probe, node, address)

    def _at(self, probe: NodeProbe, node: Node, address: str) -> NodeProbe:
        types = {found.type for found in node.addresses if found.address == address}
        preferred = (name for name in self._options.kubelet_preferred_address_types if name in types)
        return replace(probe, address=address, address_type=next(preferred, ""))


def _as_nobody(probe: NodeProbe) -> bool:
    """The kubelet did not take us for anybody."""
    return probe.status == 401 or (probe.status == 403 and ANONYMOUS in probe.detail)


def _is_hopeless(probes: Sequence[NodeProbe]) -> bool:
    return bool(probes) and all(probe.failure in _NO_WAY for probe in probes)


def _nodes(evidence: Evidence, options: Options) -> Sequence[Node]:
    """Those that --node-selector selects."""
    answer = evidence.answer(Asked.NODES)
    if not answer.ok:
        return ()
    selector = parse_label_selector(options.node_selector)
    try:
        nodes = list(NODE_SHAPE.page(answer.body.encode()).items)
    except ApiserverError:
        return ()
    return [node for node in nodes if selector.matches(node.labels)]

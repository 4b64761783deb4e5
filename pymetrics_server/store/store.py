"""All nodes' rings, and which of them speaks for a pod."""

from itertools import takewhile

from pymetrics_server.meta.usage import NEVER, NodeSample, NodeUsage, PodUsage, Validity
from pymetrics_server.store.ring import NodeRing

_Pod = tuple[str, str]  # namespace, name


class Store:
    """Hands out the identical usage object until the sample behind it changes."""

    def __init__(self, resolution_ns: int, max_age_ns: int, samples: int = 8) -> None:
        """`samples` per node, at least 2."""
        if samples < 2:
            raise ValueError("a rate needs two samples")
        self._resolution_ns = resolution_ns
        self._max_age_ns = max_age_ns
        self._samples = samples
        self._rings: dict[str, NodeRing] = {}
        self._owners: dict[_Pod, NodeRing] = {}
        self._rivals: dict[_Pod, list[NodeRing]] = {}  # further nodes that report a pod; nearly always empty
        self._counted: dict[
            NodeRing, tuple[int, int]
        ] = {}  # what each adds to _totals, the one heard longest ago first
        self._totals = (0, 0)

    def __repr__(self) -> str:
        return (
            f"<Store: {len(self._rings)} nodes, {len(self._owners)} pods, {len(self._rivals)} on two nodes>"
        )

    def put(self, node: str, sample: NodeSample, now_ns: int, cpu_capacity_nanocores: int) -> None:
        """`now_ns` is when the sample arrived; a capacity of 0 is unknown and bounds nothing."""
        ring = self._rings.get(node)
        if ring is None:
            ring = self._rings[node] = NodeRing(node, self._resolution_ns, self._samples)
        before = ring.ordinals
        if ring.put(sample, now_ns + self._max_age_ns, cpu_capacity_nanocores):
            for pod in before.keys() - ring.ordinals.keys():
                self._release(pod, ring)
            for pod in ring.ordinals:
                if pod not in before:
                    self._claim(pod, ring)
        self._discount(ring)
        self._counted[ring] = adds = (int(ring.node_usage() is not None), ring.containers_paired())
        self._totals = (self._totals[0] + adds[0], self._totals[1] + adds[1])

    def forget(self, node: str) -> None:
        ring = self._rings.pop(node, None)
        if ring is not None:
            ring.validity.end()
            self._discount(ring)
            for pod in ring.ordinals:
                self._release(pod, ring)

    def node_usage(self, name: str, now_ns: int) -> NodeUsage | None:
        ring = self._rings.get(name)
        return ring.node_usage() if ring is not None and self._is_current(ring, now_ns) else None

    def pod_usage(self, namespace: str, name: str, now_ns: int) -> PodUsage | None:
        pod = (namespace, name)
        ring = self._owners.get(pod)
        if ring is None:
            return None
        if pod in self._rivals:
            ring = self._spokesman(pod, ring, now_ns)
        return ring.pod_usage(ring.ordinals[pod]) if self._is_current(ring, now_ns) else None

    def node_validity(self, name: str) -> Validity:
        """Of what node_usage hands out now."""
        ring = self._rings.get(name)
        return NEVER if ring is None else ring.validity

    def pod_validity(self, namespace: str, name: str) -> Validity:
        """Of what pod_usage hands out now: none while two nodes report the pod."""
        pod = (namespace, name)
        ring = self._owners.get(pod)
        return NEVER if ring is None or pod in self._rivals else ring.validity

    def servable(self, now_ns: int) -> tuple[int, int]:
        """(nodes with usage, containers that have what a rate needs; the second is counted cheaply, see
        NodeRing.containers_paired). Ready is when neither is 0. Counted as samples come: to look at 5,000 nodes
        would take 9 ms. `now_ns` is never before that of an earlier call."""
        for ring in tuple(takewhile(lambda ring: not self._is_current(ring, now_ns), self._counted)):
            self._discount(ring)
        return self._totals

    def _is_current(self, ring: NodeRing, now_ns: int) -> bool:
        return now_ns <= ring.validity.until_ns

    def _discount(self, ring: NodeRing) -> None:
        nodes, containers = self._counted.pop(ring, (0, 0))
        self._totals = (self._totals[0] - nodes, self._totals[1] - containers)

    def _spokesman(self, pod: _Pod, owner: NodeRing, now_ns: int) -> NodeRing:
        """A pod that moved is for a while on both nodes: the younger one lives. The owner wins a draw."""
        current = [ring for ring in (owner, *self._rivals[pod]) if self._is_current(ring, now_ns)]
        return max(current, key=lambda ring: ring.newest_start_ns(ring.ordinals[pod]), default=owner)

    def _claim(self, pod: _Pod, ring: NodeRing) -> None:
        owner = self._owners.setdefault(pod, ring)
        if owner is not ring:
            self._rivals.setdefault(pod, []).append(ring)
            owner.renew_validity(owner.validity.until_ns)

    def _release(self, pod: _Pod, ring: NodeRing) -> None:
        rivals = self._rivals.get(pod)
        if self._owners[pod] is not ring:
            if rivals is not None:
                rivals.remove(ring)
        elif rivals:
            self._owners[pod] = rivals.pop(0)
        else:
            del self._owners[pod]
        if not rivals:
            self._rivals.pop(pod, None)

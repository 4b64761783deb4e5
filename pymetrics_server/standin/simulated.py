"""Nodes that do not exist, with a load that anyone can compute: for trying out sizes that one machine is not.

Every container runs at a constant rate from its start on, so what is served of it is right or wrong.
"""

import time
import uuid
from collections.abc import Callable

from pymetrics_server.standin.views import ContainerView, NodeView, PodView

_MIB = 1 << 20
_SECOND_NS = 1_000_000_000
_SYSTEM_NANOCORES = 150_000_000
_SYSTEM_BYTES = 512 * _MIB
_APPS = ("web", "api", "worker", "cache", "ingest", "search", "billing", "mailer")
_ZONES = ("zone-a", "zone-b", "zone-c")
_CONTAINERS = ("main", "proxy")


def rate_nanocores(node: int, pod: int, container: int) -> int:
    """1m to 250m."""
    return 1_000_000 * (1 + (node * 7 + pod * 13 + container * 29) % 250)


def memory_bytes(node: int, pod: int, container: int) -> int:
    """8Mi to 256Mi."""
    return _MIB * (8 + (node * 11 + pod * 5 + container * 3) % 249)


def node_rate_nanocores(node: int, pods: int, containers: int) -> int:
    """Of all its containers, and 150m of the system."""
    return _SYSTEM_NANOCORES + sum(rate_nanocores(node, p, c) for p in range(pods) for c in range(containers))


def node_memory_bytes(node: int, pods: int, containers: int) -> int:
    """Of all its containers, and 512Mi of the system."""
    return _SYSTEM_BYTES + sum(memory_bytes(node, p, c) for p in range(pods) for c in range(containers))


def place(pod_name: str) -> tuple[int, int]:
    """(node, pod) of a simulated pod's name: what its rates and sizes are computed from."""
    _, node, pod = pod_name.rsplit("-", 2)
    return int(node), int(pod)


def container_ordinal(name: str) -> int:
    return _CONTAINERS.index(name) if name in _CONTAINERS else int(name.rpartition("-")[2])


class SimulatedNode:
    """Satisfies views.NodeSource. Containers are sampled every interval, each up to 2 s before its node, and each
    node on a phase of its own; `epoch_ns` is when the simulation begins, its pods are some minutes older.
    """

    def __init__(
        self,
        index: int,
        pods: int = 30,
        containers: int = 2,
        *,
        epoch_ns: int,
        kubelet_interval_s: float = 10,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.index = index
        self.name = f"sim-{index:05d}"
        self._pods, self._containers = pods, containers
        self._interval_ns = int(kubelet_interval_s * _SECOND_NS)
        self._first_ns = epoch_ns - (index * 7_919_000_003) % self._interval_ns
        self._boot_ns = epoch_ns - 86_400 * _SECOND_NS
        self._pods_start_ns = epoch_ns - 600 * _SECOND_NS
        self._now_ns = now_ns
        self._rate_nanocores = node_rate_nanocores(index, pods, containers)
        self._memory_bytes = node_memory_bytes(index, pods, containers)
        self._known = [self._identity(pod) for pod in range(pods)]
        self._view = self._at(self._due_ns())

    def view(self) -> NodeView:
        due_ns = self._due_ns()
        if due_ns != self._view.time_ns:
            self._view = self._at(due_ns)
        return self._view

    def _due_ns(self) -> int:
        intervals = (self._now_ns() - self._first_ns) // self._interval_ns
        return self._first_ns + max(intervals, 0) * self._interval_ns

    def _identity(self, pod: int) -> PodView:
        """What never changes of a pod."""
        app = _APPS[(self.index + pod) % len(_APPS)]
        team = f"team-{(self.index * 3 + pod) % 20:02d}"
        name = f"{app}-{self.index:05d}-{pod:03d}"
        return PodView(
            namespace=team,
            name=name,
            uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{team}/{name}")),
            labels={
                "app": app,
                "team": team,
                "tier": "backend" if pod % 3 else "frontend",
                "standin.pymetrics/kind": "simulated",
            },
            start_ns=self._pods_start_ns + pod * _SECOND_NS,
            containers=(),
        )

    def _at(self, time_ns: int) -> NodeView:
        return NodeView(
            name=self.name,
            uid=str(uuid.uuid5(uuid.NAMESPACE_OID, self.name)),
            labels={
                "kubernetes.io/hostname": self.name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": _ZONES[self.index % len(_ZONES)],
                "standin.pymetrics/kind": "simulated",
            },
            cpu_count=max(4, -(-self._rate_nanocores // 4_000_000_000) * 4),
            memory_capacity_bytes=1 << max(33, self._memory_bytes.bit_length()),
            boot_ns=self._boot_ns,
            time_ns=time_ns,
            cpu_ns=_used_ns(self._rate_nanocores, time_ns - self._boot_ns),
            usage_nanocores=self._rate_nanocores,
            memory_bytes=self._memory_bytes,
            pods=tuple(self._pod_at(pod, time_ns) for pod in range(self._pods)),
            simulated=True,
        )

    def _pod_at(self, pod: int, time_ns: int) -> PodView:
        known = self._known[pod]
        containers = []
        for container in range(self._containers):
            rate = rate_nanocores(self.index, pod, container)
            sampled_ns = time_ns - (pod * 31 + container * 17) % 97 * 20_000_000
            containers.append(
                ContainerView(
                    name=_CONTAINERS[container] if container < len(_CONTAINERS) else f"extra-{container}",
                    start_ns=known.start_ns,
                    time_ns=sampled_ns,
                    cpu_ns=_used_ns(rate, sampled_ns - known.start_ns),
                    usage_nanocores=rate,
                    memory_bytes=memory_bytes(self.index, pod, container),
                )
            )
        return PodView(
            known.namespace, known.name, known.uid, known.labels, known.start_ns, tuple(containers)
        )


def _used_ns(nanocores: int, elapsed_ns: int) -> int:
    return nanocores * elapsed_ns // _SECOND_NS

"""The nodes of the installation and the pods on them: constant rates since an hour ago."""

import time
from collections.abc import Mapping, Sequence

from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.standin.views import ContainerView, NodeView, PodView

NODE_NAMES = ("node-a", "node-b", "node-c")
SERVER_NODE = NODE_NAMES[0]
SERVER_POD = "metrics-server-6f7dd4c4d9-x2x9z"
APISERVER_POD = f"kube-apiserver-{SERVER_NODE}"
SYSTEM = "kube-system"
HOUR_S = 3600

_SECOND_NS = 1_000_000_000
_INTERVAL_NS = 10 * _SECOND_NS

#: Namespace, name, labels, and the name of its one container.
Pod = tuple[str, str, Mapping[str, str], str]


class Machine:
    """A NodeSource: a node whose containers run at constant rates since an hour ago."""

    def __init__(self, name: str, pods: Sequence[Pod]) -> None:
        """Each pod: namespace, name, labels and the name of its one container."""
        self.name = name
        self._start_ns = wall_ns() // _SECOND_NS * _SECOND_NS - HOUR_S * _SECOND_NS
        self._pods = pods

    def view(self) -> NodeView:
        time_ns = wall_ns() // _INTERVAL_NS * _INTERVAL_NS
        return NodeView(
            name=self.name,
            uid=f"uid-{self.name}",
            labels={"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"},
            cpu_count=4,
            memory_capacity_bytes=1 << 33,
            boot_ns=self._start_ns,
            time_ns=time_ns,
            cpu_ns=_used_ns(500_000_000, time_ns - self._start_ns),
            usage_nanocores=500_000_000,
            memory_bytes=1 << 30,
            pods=tuple(self._pod(*pod, time_ns) for pod in self._pods),
            simulated=True,
        )

    def _pod(
        self, namespace: str, name: str, labels: Mapping[str, str], container: str, time_ns: int
    ) -> PodView:
        view = ContainerView(
            container,
            self._start_ns,
            time_ns,
            _used_ns(50_000_000, time_ns - self._start_ns),
            50_000_000,
            50 << 20,
        )
        return PodView(namespace, name, f"uid-{name}", labels, self._start_ns, (view,))


def machine(name: str) -> Machine:
    """Beside the others, with one pod that only its kubelet knows of."""
    return Machine(name, [("default", f"pod-of-{name}", {}, "main")])


def stamp(seconds: float) -> str:
    """RFC 3339, so long from now."""
    return format_rfc3339(wall_ns() + int(seconds * _SECOND_NS))


def wall_ns() -> int:
    return time.time_ns()


def pods_of(node: str) -> Sequence[Pod]:
    found: list[Pod] = [
        ("default", f"web-{node[-1]}", {"app": "web"}, "nginx"),
        ("default", f"db-{node[-1]}", {"app": "db"}, "postgres"),
    ]
    if node == SERVER_NODE:
        found += [
            (SYSTEM, SERVER_POD, {"k8s-app": "metrics-server"}, "metrics-server"),
            (SYSTEM, APISERVER_POD, {"component": "kube-apiserver"}, "kube-apiserver"),
        ]
    return found


def _used_ns(nanocores: int, elapsed_ns: int) -> int:
    return nanocores * elapsed_ns // _SECOND_NS

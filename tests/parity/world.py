"""A cluster that stands still: which nodes and pods are there never changes while two servers are asked about them."""

import socket
import time
from pathlib import Path

from pymetrics_server.meta.identity import AUTHENTICATED_GROUP
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.resources import NODES, PODS, node_body, pod_body
from pymetrics_server.standin.reviews import METRICS_READERS, Rule
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.standin.views import ContainerView, NodeView, PodView

_SECOND_NS = 1_000_000_000
_INTERVAL_NS = 10 * _SECOND_NS
_CROWD = 450  # pods of one node: a list of all is beyond the size from which answers are compressed

#: Label values that YAML would take for something else if they were not quoted.
YAML_TRAPS = (
    "true",
    "no",
    "null",
    "1.5",
    "1e3",
    "0x1F",
    "0o17",
    "017",
    "2001-01-01",
    "NaN",
    "y",
    "1_000",
    "",
)


class StillNode:
    """A NodeSource whose containers run at constant rates."""

    def __init__(self, name: str, labels: dict[str, str], memory_bytes: int, *pods: PodView) -> None:
        self._start_ns = time.time_ns() - 3600 * _SECOND_NS
        self._name, self._labels, self._memory_bytes = name, labels, memory_bytes
        self._pods = pods

    def view(self) -> NodeView:
        time_ns = time.time_ns() // _INTERVAL_NS * _INTERVAL_NS
        rate_nanocores = 123_456_789
        return NodeView(
            name=self._name,
            uid=f"uid-{self._name}",
            labels=self._labels,
            cpu_count=4,
            memory_capacity_bytes=1 << 33,
            boot_ns=self._start_ns,
            time_ns=time_ns,
            cpu_ns=rate_nanocores * (time_ns - self._start_ns) // _SECOND_NS,
            usage_nanocores=rate_nanocores,
            memory_bytes=self._memory_bytes,
            pods=tuple(_at(pod, self._start_ns, time_ns) for pod in self._pods),
            simulated=True,
        )


def pod(namespace: str, name: str, labels: dict[str, str], *containers: tuple[str, int, int]) -> PodView:
    """Each container: its name, nanocores and bytes."""
    written = tuple(ContainerView(c, 0, 0, 0, nanocores, size) for c, nanocores, size in containers)
    return PodView(namespace, name, f"uid-{name}", labels, 0, written)


def still_cluster(directory: Path) -> StandinCluster:
    """Only one pod has two containers: the original serves those in random order."""
    traps = {f"trap-{i:02d}": value for i, value in enumerate(YAML_TRAPS)}
    return StandinCluster(
        directory,
        host=False,
        sources=[
            StillNode(
                "node-a",
                {"zone": "z2"},
                1578392 << 10,
                pod(
                    "default",
                    "web-1",
                    {"app": "web", "tier": "fe"},
                    ("nginx", 50_000_178, 50 << 20),
                    ("sidecar", 1_234_504, 12_533_761),
                ),
                pod("kube-system", "coredns-x", {"k8s-app": "kube-dns"}, ("coredns", 3_100_011, 11564 << 10)),
            ),
            StillNode(
                "node-b",
                {"kubernetes.io/hostname": "node-b", "zone": "z1", **traps},
                2_000_000_123,
                pod("default", "web-2", {"app": "web"}, ("nginx", 499_773_598, 1 << 20)),
                pod("default", "bare", {}, ("main", 7_000_001, 1000)),
                pod("12345", "1e3", traps, ("on", 1_000_001, 12_000_000)),
            ),
            StillNode("1e3", {}, 3 << 30),
            SimulatedNode(0, _CROWD, 1, epoch_ns=time.time_ns()),
        ],
    )


def furnish(cluster: StandinCluster) -> dict[str, str]:
    """What is known and has no metrics, and who may what. Users' tokens by the kind of user that requests name."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead_port = closed.getsockname()[1]
    silent = StillNode("node-silent", {"zone": "z2"}, 1).view()
    cluster.revisions.put(NODES, node_body(silent, "127.0.0.1", dead_port))
    cluster.revisions.put(PODS, pod_body(pod("default", "no-metrics", {"app": "web"}), "node-a", "127.0.0.1"))
    pending = pod_body(pod("default", "pending", {"app": "web"}), "node-a", "127.0.0.1")
    pending["status"]["phase"] = "Pending"
    cluster.revisions.put(PODS, pending)
    read = ("get", "list", "watch")
    cluster.policy.rules += [
        Rule("default-readers", read, "metrics.k8s.io", ("pods",), namespace="default"),
        Rule("monitors", ("get",), paths=("/metrics", "/debug/*")),
        Rule("impersonators", ("impersonate",), "", ("users",), names=("alice",)),
        Rule(AUTHENTICATED_GROUP, ("get",), paths=("/",)),
    ]
    return {
        "master": cluster.add_user("master", "system:masters"),
        "reader": cluster.add_user("reader", METRICS_READERS),
        "default-reader": cluster.add_user("default-reader", "default-readers"),
        "monitor": cluster.add_user("monitor", "monitors"),
        "impersonator": cluster.add_user("impersonator", "impersonators", METRICS_READERS),
        "alice": cluster.add_user("alice"),
        "markup": cluster.add_user('<b>&"\\'),
        "nobody's token": "made-up",
    }


def _at(known: PodView, start_ns: int, time_ns: int) -> PodView:
    containers = tuple(
        ContainerView(
            c.name,
            start_ns,
            time_ns,
            c.usage_nanocores * (time_ns - start_ns) // _SECOND_NS,
            c.usage_nanocores,
            c.memory_bytes,
        )
        for c in known.containers
    )
    return PodView(known.namespace, known.name, known.uid, known.labels, start_ns, containers)

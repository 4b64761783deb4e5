"""The simulated nodes: who they are, and a load that anyone can compute. No I/O.

Every container runs at the constant rate of `standin.simulated` from its start on, so what is served of it is right
or wrong. Names spread pods as large clusters do: 20 apps over 50 namespaces, so that an autoscaler's question finds
a few dozen of them.
"""

from ipaddress import IPv4Address

from pymetrics_server.standin import simulated
from pymetrics_server.standin.views import ContainerView, NodeView, PodView

SECOND_NS = 1_000_000_000
NAMESPACES = 50
APPS = 20
_SUITES = 5
_TIERS = ("web", "api", "job")
_ZONES = ("zone-a", "zone-b", "zone-c")
_WEEK_S = 604_800
_NODES_PER_SUBNET = 250
_FIRST_ADDRESS = int(IPv4Address("127.1.0.0"))


def address_of(node: int) -> str:
    """127.1.0.1 to 127.1.0.250, 127.1.1.1 and so on: kubelets are told apart by where they are asked."""
    subnet, host = divmod(node, _NODES_PER_SUBNET)
    return str(IPv4Address(_FIRST_ADDRESS + subnet * 256 + 1 + host))


def node_at(address: str) -> int:
    """The inverse of `address_of`; -1 where no node can be."""
    subnet, host = divmod(int(IPv4Address(address)) - _FIRST_ADDRESS, 256)
    return subnet * _NODES_PER_SUBNET + host - 1 if subnet >= 0 and 1 <= host <= _NODES_PER_SUBNET else -1


def node_view(node: int, pods: int, containers: int, epoch_ns: int, interval_s: float = 10) -> NodeView:
    """Its last sample at `epoch_ns`: taken every interval, each node on a phase of its own.

    Containers are an hour old or more, each pod of a second of its own, and sampled up to 2 s before their node.
    """
    start_ns = epoch_ns // SECOND_NS * SECOND_NS - 3600 * SECOND_NS
    time_ns = epoch_ns - (node * 7_919_000_003) % int(interval_s * SECOND_NS)
    rate = simulated.node_rate_nanocores(node, pods, containers)
    name = f"node-{node:05d}"
    return NodeView(
        name=name,
        uid=f"{node:08x}-0000-4000-8000-000000000000",
        labels={
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": _ZONES[node % len(_ZONES)],
        },
        cpu_count=max(4, -(-rate // 4_000_000_000) * 4),
        memory_capacity_bytes=64 << 30,
        boot_ns=start_ns,
        time_ns=time_ns,
        cpu_ns=_used_ns(rate, time_ns - start_ns),
        usage_nanocores=rate,
        memory_bytes=simulated.node_memory_bytes(node, pods, containers),
        pods=tuple(_pod_view(node, pod, containers, start_ns, time_ns) for pod in range(pods)),
        simulated=True,
    )


def _pod_view(node: int, pod: int, containers: int, start_ns: int, node_time_ns: int) -> PodView:
    views = []
    start_ns -= (node * 128 + pod) % _WEEK_S * SECOND_NS
    for container in range(containers):
        rate = simulated.rate_nanocores(node, pod, container)
        time_ns = node_time_ns - (pod * 31 + container * 17) % 97 * 20_000_000
        views.append(
            ContainerView(
                name="main" if container == 0 else f"extra-{container}",
                start_ns=start_ns,
                time_ns=time_ns,
                cpu_ns=_used_ns(rate, time_ns - start_ns),
                usage_nanocores=rate,
                memory_bytes=simulated.memory_bytes(node, pod, container),
            )
        )
    return PodView(
        namespace=f"team-{(node + pod) % NAMESPACES:02d}",
        name=f"app-{pod % APPS}-{node:05d}-{pod:03d}",
        uid=f"{node:08x}-0000-4000-8000-{pod + 1:012x}",
        labels={
            "app": f"app-{pod % APPS}",
            "pod-template-hash": "7d4b9c6f5",
            "app.kubernetes.io/part-of": f"suite-{pod % _SUITES}",
            "tier": _TIERS[pod % len(_TIERS)],
        },
        start_ns=start_ns,
        containers=tuple(views),
    )


def _used_ns(nanocores: int, elapsed_ns: int) -> int:
    return nanocores * elapsed_ns // SECOND_NS

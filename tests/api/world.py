"""A small cluster and everything that App asks of the other rooms, each turned by hand."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientResponse
from multidict import CIMultiDictProxy
from prometheus_client import CollectorRegistry

from pymetrics_server.api.app import App
from pymetrics_server.api.health import Check
from pymetrics_server.api.routes import Routes
from pymetrics_server.errors import PymetricsError, UnauthorizedError
from pymetrics_server.meta.identity import ANONYMOUS_USER, Attributes, Decision, UserInfo
from pymetrics_server.meta.objects import Node, PodMeta
from pymetrics_server.meta.scrape import NodeScrape
from pymetrics_server.meta.selectors import LabelSelector
from pymetrics_server.meta.usage import NEVER, ContainerUsage, NodeUsage, PodUsage, Validity
from pymetrics_server.meta.verification import Verification
from pymetrics_server.telemetry import Telemetry
from tests.fakes.clock import FakeClock

GOLDEN = Path(__file__).parent.parent / "golden" / "api"

NOW_NS = 1_795_416_192_000_000_000  # 2026-11-23T06:43:12Z
SECOND_NS = 1_000_000_000
V1BETA1 = "/apis/metrics.k8s.io/v1beta1"
V1 = "/apis/metrics.k8s.io/v1"


def golden(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8")


class BrokenListerError(PymetricsError):
    pass


@dataclass
class Nodes:
    nodes: list[Node]
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def get(self, name: str) -> Node | None:
        if self.broken:
            raise BrokenListerError("boom")
        self.asked.append(f"get {name}")
        return next((node for node in self.nodes if node.name == name), None)

    def list(self) -> Sequence[Node]:
        if self.broken:
            raise BrokenListerError("boom")
        self.asked.append("list")
        return tuple(self.nodes)


@dataclass
class Pods:
    pods: list[PodMeta]
    broken: bool = False
    asked: list[str] = field(default_factory=list)
    _by_key: dict[tuple[str, str], PodMeta] = field(default_factory=dict)

    def get(self, namespace: str, name: str) -> PodMeta | None:
        if self.broken:
            raise BrokenListerError("boom")
        self.asked.append(f"get {namespace}/{name}")
        if len(self._by_key) != len(self.pods):
            self._by_key = {(pod.namespace, pod.name): pod for pod in self.pods}
        return self._by_key.get((namespace, name))

    def list(self, namespace: str = "") -> Sequence[PodMeta]:
        if self.broken:
            raise BrokenListerError("boom")
        self.asked.append(f"list {namespace}")
        return tuple(pod for pod in self.pods if namespace in ("", pod.namespace))


@dataclass
class Usage:
    nodes: dict[str, NodeUsage]
    pods: dict[tuple[str, str], PodUsage]
    fails_with: Exception | None = None

    def node_usage(self, name: str, now_ns: int) -> NodeUsage | None:
        if self.fails_with:
            raise self.fails_with
        return self.nodes.get(name)

    def pod_usage(self, namespace: str, name: str, now_ns: int) -> PodUsage | None:
        return self.pods.get((namespace, name))

    def node_validity(self, name: str) -> Validity:
        return NEVER

    def pod_validity(self, namespace: str, name: str) -> Validity:
        return NEVER


@dataclass
class Auth:
    """Authenticator and Authorizer."""

    user: UserInfo = ANONYMOUS_USER
    rejects: bool = False
    decision: Decision = field(default_factory=lambda: Decision(True))
    fails_with: Exception | None = None
    holds: asyncio.Event | None = None  # set: whoever is authorized waits for it
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Attributes] = field(default_factory=list)

    async def authenticate(self, headers: CIMultiDictProxy[str], chain_der: tuple[bytes, ...]) -> UserInfo:
        if self.rejects:
            raise UnauthorizedError("[invalid bearer token]")
        return self.user

    async def authorize(self, user: UserInfo, attributes: Attributes) -> Decision:
        self.seen.append(attributes)
        if self.holds is not None:
            self.waiting.set()
            await self.holds.wait()
        if self.fails_with:
            raise self.fails_with
        return self.decision


def checks() -> dict[str, list[Check]]:
    def ok(name: str) -> Check:
        return Check(name, lambda: None)

    return {
        "healthz": [ok("ping"), ok("log"), ok("metadata-informer-sync")],
        "livez": [ok("ping"), ok("metric-collection-timely")],
        "readyz": [
            ok("ping"),
            ok("log"),
            ok("metric-storage-ready"),
            ok("metric-informer-sync"),
            ok("shutdown"),
        ],
    }


@dataclass
class World:
    nodes: Nodes
    pods: Pods
    usage: Usage
    auth: Auth = field(default_factory=Auth)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW_NS))
    checks: dict[str, list[Check]] = field(default_factory=checks)
    node_selector: LabelSelector = field(default_factory=LabelSelector)
    max_requests_inflight: int = 400
    request_timeout_s: float = 60
    cors_allowed_origins: tuple[str, ...] = ()
    strict_transport_security: tuple[str, ...] = ()
    scrapes: list[NodeScrape] = field(default_factory=list)
    telemetry: Telemetry | None = None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def app(self) -> App:
        telemetry = self.telemetry = Telemetry(self.registry, 15)
        routes = Routes(
            nodes=self.nodes,
            pods=self.pods,
            usage=self.usage,
            telemetry=telemetry,
            clock=self.clock,
            checks=self.checks,
            node_selector=self.node_selector,
            secure_port=10250,
            scrapes=self,
            kubelet_verify=lambda: Verification.ADDRESS,
            flags={"kubelet-port": "10250"},
        )
        return App(
            routes=routes,
            authenticator=self.auth,
            authorizer=self.auth,
            peer_chain=lambda transport: (),
            telemetry=telemetry,
            clock=self.clock,
            max_requests_inflight=self.max_requests_inflight,
            request_timeout_s=self.request_timeout_s,
            cors_allowed_origins=self.cors_allowed_origins,
            strict_transport_security=self.strict_transport_security,
        )

    def report(self) -> Sequence[NodeScrape]:
        return tuple(self.scrapes)

    def value(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        return self.registry.get_sample_value(name, labels or {})


def node_usage(cpu_nanocores: int, memory_bytes: int, window_ns: int, age_s: int = 1) -> NodeUsage:
    return NodeUsage(NOW_NS - age_s * SECOND_NS, window_ns, cpu_nanocores, memory_bytes)


def pod_usage(window_ns: int, *containers: tuple[str, int, int], age_s: int = 1) -> PodUsage:
    return PodUsage(
        NOW_NS - age_s * SECOND_NS, window_ns, tuple(ContainerUsage(*each) for each in containers)
    )


def small_cluster() -> World:
    """Two nodes with usage and one without; three pods with usage, one without."""
    nodes = [
        Node(name="node-a", labels={"zone": "z2"}),
        Node(name="node-b", labels={"zone": "z1", "kubernetes.io/hostname": "node-b"}),
        Node(name="node-down"),
    ]
    pods = [
        PodMeta("default", "nometrics"),
        PodMeta("default", "web-1", {"tier": "fe", "app": "web"}),
        PodMeta("default", "web-2", {"app": "web"}),
        PodMeta("kube-system", "coredns-x", {"k8s-app": "kube-dns"}),
    ]
    node_usages = {
        "node-a": node_usage(123457230, 1578392 * 1024, 9_991_000_000),
        "node-b": node_usage(1499864159, 2000000123, 10_008_000_000),
    }
    pod_usages = {
        ("default", "web-1"): pod_usage(
            9_991_000_000, ("nginx", 50000178, 50 << 20), ("sidecar", 1234504, 12533761), age_s=2
        ),
        ("default", "web-2"): pod_usage(10_008_000_000, ("nginx", 2499773598, 1 << 20)),
        ("kube-system", "coredns-x"): pod_usage(9_991_000_000, ("coredns", 3100011, 11564 << 10)),
    }
    return World(Nodes(nodes), Pods(pods), Usage(node_usages, pod_usages))


async def text(response: ClientResponse) -> str:
    return (await response.read()).decode()

"""What the server does all day, one operation at a time, on one simulated fleet: measured in seconds by `benchmarks.micro`
and in instructions by `benchmarks.counted`.

An operation's arguments are made before it is measured, as many as it will run, for some operations change what they
look at. Nothing here reads a clock, so that every run does the same.
"""

from array import array
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from operator import add
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.metrics import Metrics
from pymetrics_server.api.negotiation import LIST, Representation, negotiate
from pymetrics_server.api.pods import Pods
from pymetrics_server.api.reply import Reply
from pymetrics_server.api.request import Target, parse_target
from pymetrics_server.api.table import TableRows
from pymetrics_server.cluster.cache import PodCache
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.meta.objects import PodMeta
from pymetrics_server.meta.usage import SIGNED, UNSIGNED, NodeSample, PodUsage
from pymetrics_server.standin.exposition import resource_text, summary_json
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.store import Store
from pymetrics_server.telemetry import Telemetry

NODES = 20
PODS_PER_NODE = 30
CONTAINERS = 2
PODS = NODES * PODS_PER_NODE

_SECOND_NS = 1_000_000_000
_RESOLUTION_NS = 15 * _SECOND_NS
_EPOCH_NS = 1_795_416_000 * _SECOND_NS
_NOW_NS = _EPOCH_NS + 3600 * _SECOND_NS
_CREATED_S = _NOW_NS // _SECOND_NS
_VERSION = "v1beta1"
_ALL = f"/apis/metrics.k8s.io/{_VERSION}/pods"
_ONE_APP = f"/apis/metrics.k8s.io/{_VERSION}/namespaces/team-05/pods?labelSelector=app%3Dsearch"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_AUTOSCALER = f"{_PROTOBUF},application/json"
_KUBECTL = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True)
class Workload:
    """`run` is one operation on one argument; `arguments(n)` makes n of them, each for one run. `counted` runs
    after `warm_up` more tell the instructions of one."""

    name: str
    arguments: Callable[[int], Sequence[Any]]
    run: Callable[[Any], object]
    counted: int
    warm_up: int = 20


class FixedClock:
    """Satisfies clock.Clock, and stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.since_ns = 0

    def now_ns(self) -> int:
        return _NOW_NS + self.since_ns

    def monotonic_ns(self) -> int:
        return _SECOND_NS + self.since_ns

    async def sleep(self, seconds: float) -> None:
        self.since_ns += int(seconds * _SECOND_NS)


class Fleet:
    """Two samples of every node and the lists of its pods, as one server holds them."""

    def __init__(self, nodes: int = NODES) -> None:
        self.clock = FixedClock()
        self.store = Store(_RESOLUTION_NS, 4 * _RESOLUTION_NS)
        self.pods = PodCache()
        for pod in (pod for node in range(nodes) for pod in _pods_of(node)):
            self.pods.put(pod)
        self.selected = Pods(self.pods, self.store)
        self.metrics = Metrics(self.selected, Telemetry(CollectorRegistry(), 15), self.clock)
        self._nodes = nodes
        self._rounds = 0
        self.sample()
        self.sample()

    def sample(self) -> None:
        """A new sample of every node."""
        self.clock.since_ns += _RESOLUTION_NS
        for node in range(self._nodes):
            self.store.put(
                f"sim-{node:05d}", later(first_sample(node), self._rounds), self.clock.monotonic_ns(), 0
            )
        self._rounds += 1

    def list(self, request: "Request") -> Reply:
        return _finished(self.metrics.list(request.target, request.representation))


class Request(msgspec.Struct, frozen=True):
    target: Target
    representation: Representation


def request(raw_target: str, accept: str) -> Request:
    target = parse_target("GET", raw_target)
    return Request(target, negotiate(accept, target.query, "kubectl", LIST))


def simulated(node: int, pods: int = PODS_PER_NODE) -> SimulatedNode:
    return SimulatedNode(node, pods, CONTAINERS, epoch_ns=_EPOCH_NS, now_ns=lambda: _NOW_NS)


@cache
def first_sample(node: int, pods: int = PODS_PER_NODE) -> NodeSample:
    """At rates that are no whole millicores, as rates are."""
    sample = decode_summary(summary_json(simulated(node, pods).view()))
    rates = array(SIGNED, [rate + 7_919 * i for i, rate in enumerate(sample.usage_nanocores, 1)])
    return msgspec.structs.replace(sample, usage_nanocores=rates)


def later(sample: NodeSample, rounds: int) -> NodeSample:
    """The same node after so many rounds; equal to what a decoder makes, and sharing nothing that it would not."""
    node = sample.node
    passed_ns = rounds * _RESOLUTION_NS
    used_ns = [rate * passed_ns // _SECOND_NS for rate in sample.usage_nanocores]
    return msgspec.structs.replace(
        sample,
        node=node
        and msgspec.structs.replace(
            node, time_ns=node.time_ns + passed_ns, cpu_ns=node.cpu_ns + sum(used_ns)
        ),
        layout=msgspec.structs.replace(sample.layout),
        time_ns=array(UNSIGNED, [time_ns + passed_ns for time_ns in sample.time_ns]),
        cpu_ns=array(UNSIGNED, map(add, sample.cpu_ns, used_ns)),
    )


@cache
def _pods_of(node: int) -> Sequence[PodMeta]:
    return [PodMeta(pod.namespace, pod.name, pod.labels) for pod in simulated(node).view().pods]


def _finished(answer: Coroutine[Any, Any, Reply]) -> Reply:
    """Without a loop: what it waits for is its turn alone."""
    while True:
        try:
            answer.send(None)
        except StopIteration as over:
            reply: Reply = over.value
            return reply


def _the_same(thing: Callable[[], Any]) -> Callable[[int], Sequence[Any]]:
    """Arguments of what changes nothing; `thing` is made when it is first needed."""
    made = cache(thing)
    return lambda n: [made()] * n


@cache
def _fleet() -> Fleet:
    """For what leaves it as it is."""
    fleet = Fleet()
    for accept in ("", _AUTOSCALER, _KUBECTL):
        fleet.list(request(_ALL, accept))
    return fleet


@cache
def _usages() -> Sequence[tuple[PodMeta, PodUsage]]:
    """Of one node's pods."""
    fleet = _fleet()
    now_ns = fleet.clock.monotonic_ns()
    found = [(pod, fleet.store.pod_usage(pod.namespace, pod.name, now_ns)) for pod in _pods_of(0)]
    return [(pod, usage) for pod, usage in found if usage is not None]


# Decode and store


def _decode_resource(body: bytes) -> NodeSample:
    return decode_resource(body, _NOW_NS)


def _put(put: tuple[Store, NodeSample]) -> None:
    store, sample = put
    store.put("node", sample, 0, 0)


def _steady(n: int) -> Sequence[tuple[Store, NodeSample]]:
    store = Store(_RESOLUTION_NS, 4 * _RESOLUTION_NS)
    sample = first_sample(0)
    store.put("node", sample, 0, 0)
    return [(store, later(sample, number)) for number in range(1, n + 1)]


def _one_pod_more_or_less(n: int) -> Sequence[tuple[Store, NodeSample]]:
    store = Store(_RESOLUTION_NS, 4 * _RESOLUTION_NS)
    samples = (first_sample(0), first_sample(0, PODS_PER_NODE - 1))
    store.put("node", samples[0], 0, 0)
    return [(store, later(samples[number % 2], number)) for number in range(1, n + 1)]


def _sampled_twice(n: int) -> Sequence[Store]:
    stores = [Store(_RESOLUTION_NS, 4 * _RESOLUTION_NS) for _ in range(n)]
    samples = [later(first_sample(0), number) for number in range(2)]
    for store in stores:
        for sample in samples:
            store.put("node", sample, 0, 0)
    return stores


def _work_out(store: Store) -> Sequence[PodUsage | None]:
    return [store.pod_usage(*pod, 0) for pod in first_sample(0).layout.pods]


# Encode


def _templates() -> Sequence[tuple[encode.Template, PodUsage]]:
    return [(encode.template(pod.name, pod.namespace, pod.labels), usage) for pod, usage in _usages()]


def _encode_json(usages: Sequence[tuple[encode.Template, PodUsage]]) -> Sequence[bytes]:
    return [encode.pod_fragment(template, usage, _CREATED_S) for template, usage in usages]


def _encode_protobuf(usages: Sequence[tuple[PodMeta, PodUsage]]) -> Sequence[bytes]:
    return [protobuf.pod_fragment(p.namespace, p.name, p.labels, usage, _CREATED_S) for p, usage in usages]


def _embedded() -> Sequence[tuple[str, PodUsage, bytes]]:
    return [
        (pod.name, usage, encode.partial_object("v1", template, _CREATED_S))
        for (pod, _), (template, usage) in zip(_usages(), _templates(), strict=True)
    ]


def _table_rows(embedded: Sequence[tuple[str, PodUsage, bytes]]) -> Sequence[bytes]:
    rows = TableRows("v1")
    return [rows.row(*each) for each in embedded]


# Select


def _asked(raw_target: str, accept: str = "") -> Callable[[int], Sequence[tuple[Fleet, Request]]]:
    return _the_same(lambda: (_fleet(), request(raw_target, accept)))


def _list(asked: tuple[Fleet, Request]) -> Reply:
    fleet, wanted = asked
    return fleet.list(wanted)


def _all_changed(n: int) -> Sequence[tuple[Fleet, Request]]:
    """Fleets whose lists were asked for before every node had a new sample."""
    everything = request(_ALL, "")
    fleets = [Fleet() for _ in range(n)]
    for fleet in fleets:
        fleet.list(everything)
        fleet.sample()
    return [(fleet, everything) for fleet in fleets]


def _one_pod() -> tuple[Fleet, Request]:
    pod = _pods_of(0)[0]
    return _fleet(), request(
        f"/apis/metrics.k8s.io/{_VERSION}/namespaces/{pod.namespace}/pods/{pod.name}", ""
    )


def _get(asked: tuple[Fleet, Request]) -> Reply:
    fleet, wanted = asked
    return fleet.metrics.get(wanted.target, wanted.representation)


# Requests


_numbers = count()


def _never_asked(text: str) -> Callable[[int], Sequence[str]]:
    return lambda n: [f"{text}{number}" for number in islice(_numbers, n)]


def _parse(raw_target: str) -> Target:
    return parse_target("GET", raw_target)


def _negotiate(accept: str) -> Representation:
    return negotiate(accept, {}, "kubectl", LIST)


WORKLOADS: Sequence[Workload] = (
    Workload("decode summary", _the_same(lambda: summary_json(simulated(0).view())), decode_summary, 10, 10),
    Workload(
        "decode resource", _the_same(lambda: resource_text(simulated(0).view())), _decode_resource, 10, 10
    ),
    Workload("store, same pods", _steady, _put, 100),
    Workload("store, a pod came or went", _one_pod_more_or_less, _put, 100),
    Workload("usage of 30 pods", _sampled_twice, _work_out, 10, 10),
    Workload("encode 30 pods, JSON", _the_same(_templates), _encode_json, 10, 10),
    Workload("encode 30 pods, protobuf", _the_same(_usages), _encode_protobuf, 10, 10),
    Workload("encode 30 pods, Table", _the_same(_embedded), _table_rows, 10, 10),
    Workload("list 600 pods, kept", _asked(_ALL), _list, 5, 2),
    Workload("list 600 pods, kept, protobuf", _asked(_ALL, _AUTOSCALER), _list, 5, 2),
    Workload("list 600 pods, kept, Table", _asked(_ALL, _KUBECTL), _list, 5, 2),
    Workload("list 600 pods, new samples", _all_changed, _list, 1, 1),
    Workload("HPA query", _asked(_ONE_APP), _list, 50),
    Workload("HPA query, protobuf", _asked(_ONE_APP, _AUTOSCALER), _list, 50),
    Workload("get a pod", _the_same(_one_pod), _get, 50),
    Workload("parse a target, new", _never_asked(_ONE_APP), _parse, 100),
    Workload("parse a target, known", lambda n: [_ONE_APP] * n, _parse, 500),
    Workload("negotiate, new", _never_asked(f"{_KUBECTL};q=0."), _negotiate, 100),
    Workload("negotiate, known", lambda n: [_KUBECTL] * n, _negotiate, 500),
)

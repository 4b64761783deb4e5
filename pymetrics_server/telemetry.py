"""Every Prometheus family of the server, on a registry that is handed in.

Names, types and help texts of the first six are the original's (metrics-server's /metrics); per-node
series exist only where they are asked for: at 5,000 nodes they would be 75,000.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pymetrics_server.meta.verification import Verification

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

_SCRAPE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: kube-apiserver's, which rules about its latency name one by one.
_REQUEST_BUCKETS_S = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5),
    *(2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
)
_REQUEST_LABELS = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
#: kube-apiserver's for what is left of a client's certificate: half an hour to a year.
_CERTIFICATE_BUCKETS_S = (
    *(0, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 172_800, 345_600, 604_800),
    *(2_592_000, 7_776_000, 15_552_000, 31_104_000),
)
_TERMINATION_LABELS = tuple(label for label in _REQUEST_LABELS if label != "dry_run")
_COMPONENT = "apiserver"  # as kube-apiserver's library names every server that is built on it
_TOO_MANY_REQUESTS = 429


def tick_buckets_s(resolution_s: float) -> tuple[float, ...]:
    """The original's buckets for a scrape round, which depend on --metric-resolution."""
    if resolution_s > 10:
        return (
            *_SCRAPE_BUCKETS_S,
            10 + (resolution_s - 10) / 2,
            resolution_s,
            1.5 * resolution_s,
            2 * resolution_s,
        )
    if resolution_s == 10 or any(abs(resolution_s - b) <= 0.005 for b in _SCRAPE_BUCKETS_S):
        return _SCRAPE_BUCKETS_S
    return tuple(sorted({*_SCRAPE_BUCKETS_S, resolution_s}))


def freshness_buckets_s() -> tuple[float, ...]:
    """1 multiplied by 1.364 nineteen times over: repeated products, whose last digits differ from powers."""
    bounds = [1.0]
    for _ in range(19):
        bounds.append(bounds[-1] * 1.364)
    return tuple(bounds)


def request_labels(
    verb: str, group: str, version: str, resource: str, subresource: str = "", scope: str = ""
) -> tuple[str, ...]:
    """As what a request is counted; `scope` is cluster, namespace, resource or nothing."""
    return verb, "", group, version, resource, subresource, scope, _COMPONENT


def _go_float(value: float) -> str:
    """le="1", as Go writes it."""
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # untyped there
    return text.removesuffix(".0")


class Buckets:
    """One histogram's counts. prometheus_client's own takes a lock for each of them and searches in a line,
    which costs a list of 30,000 objects 60 ms."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend and leave out +Inf."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def observe_counted(self, values: Mapping[float, int]) -> None:
        """Each value as often as it is counted."""
        bounds, counts = self._bounds, self._counts
        for value, count in values.items():
            counts[bisect_left(bounds, value)] += count
            self.sum += value * count

    def cumulative(self) -> list[int]:
        """How many were at most each bound, and at last all."""
        found: list[int] = []
        total = 0
        for count in self._counts:
            total += count
            found.append(total)
        return found


class Histograms(Collector):
    """One family: a histogram for each of the label values that occurred, or one without labels."""

    def __init__(
        self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self._name = name
        self._help = help_text
        self._bounds = bounds
        self._bounds_shown = [_go_float(bound) for bound in (*bounds, math.inf)]
        self._labels = labels
        self._by_values: dict[tuple[str, ...], Buckets] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> Buckets:
        found = self._by_values.get(values)
        if found is None:
            found = self._by_values[values] = Buckets(self._bounds)
        return found

    def remove(self, *values: str) -> None:
        self._by_values.pop(values, None)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for values, buckets in self._by_values.items():
            shown = list(zip(self._bounds_shown, buckets.cumulative(), strict=True))
            family.add_metric(values, shown, buckets.sum)
        yield family


class _Requests(Collector):
    """What the families apiserver_request_* show, found with one look at a dict for each request."""

    def __init__(self) -> None:
        self._durations = Histograms(
            "apiserver_request_duration_seconds",
            "[STABLE] Time to answer a request, by verb, resource and scope",
            _REQUEST_BUCKETS_S,
            _REQUEST_LABELS,
        )
        self._by_labels: dict[tuple[str, ...], tuple[Buckets, dict[int, int]]] = {}

    def observe(self, labels: tuple[str, ...], code: int, duration_s: float) -> None:
        found = self._by_labels.get(labels)
        if found is None:
            found = self._by_labels[labels] = self._durations.of(*labels), {}
        duration, codes = found
        duration.observe(duration_s)
        codes[code] = codes.get(code, 0) + 1

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily(
            "apiserver_request_total",
            "[STABLE] Requests served, as kube-apiserver counts its own",
            labels=(*_REQUEST_LABELS, "code"),
        )
        terminations = CounterMetricFamily(
            "apiserver_request_terminations_total",
            "[ALPHA] Requests refused to keep the server alive: too many were in flight",
            labels=(*_TERMINATION_LABELS, "code"),
        )
        for labels, (_, codes) in self._by_labels.items():
            for code, count in codes.items():
                total.add_metric((*labels, str(code)), count)
                if code == _TOO_MANY_REQUESTS:
                    verb, _dry_run, *rest = labels
                    terminations.add_metric((verb, *rest, str(code)), count)
        yield total
        yield terminations
        yield from self._durations.collect()


class Telemetry:
    def __init__(self, registry: CollectorRegistry, resolution_s: float, *, per_node: bool = False) -> None:
        # Of the process: the original has no such series, and they double the counters.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        self._registry = registry
        self._tick = Histograms(
            "metrics_server_manager_tick_duration_seconds",
            "[ALPHA] The total time spent collecting and storing metrics in seconds.",
            tick_buckets_s(resolution_s),
        )
        registry.register(self._tick)
        node_label = ["node"] if per_node else []
        self._per_node = per_node
        self._scrape_duration = Histograms(
            "metrics_server_kubelet_request_duration_seconds",
            "[ALPHA] Duration of requests to Kubelet API in seconds",
            _SCRAPE_BUCKETS_S,
            node_label,
        )
        registry.register(self._scrape_duration)
        self._last_request_time = Gauge(
            "metrics_server_kubelet_last_request_time_seconds",
            "[ALPHA] Time of last request performed to Kubelet API since unix epoch in seconds",
            node_label,
            registry=registry,
        )
        requests = Counter(
            "metrics_server_kubelet_request_total",
            "[ALPHA] Number of requests sent to Kubelet API",
            ["success"],
            registry=registry,
        )
        self._succeeded, self._failed = requests.labels("true"), requests.labels("false")
        self._failures = Counter(
            "pymetrics_server_kubelet_failures_total",
            "Scrapes that failed, by the class that logs and readyz name",
            ["reason"],
            registry=registry,
        )
        unverified = Gauge(
            "pymetrics_server_kubelet_unverified_nodes",
            "Nodes that are scraped without proof that they answer themselves, by what is verified all the same: "
            "chain (some serving certificate of the CA), insecure (nothing), http (nothing, over plain HTTP)",
            ["verify"],
            registry=registry,
        )
        self._unverified = {v: unverified.labels(v.value) for v in Verification if not v.proves_the_node}
        freshness = Histograms(
            "metrics_server_api_metric_freshness_seconds",
            "[ALPHA] Freshness of metrics exported",
            freshness_buckets_s(),
        )
        registry.register(freshness)
        self._freshness = freshness.of()
        points = Gauge(
            "metrics_server_storage_points",
            "[ALPHA] Number of metrics points stored.",
            ["type"],
            registry=registry,
        )
        self._node_points, self._container_points = points.labels("node"), points.labels("container")
        in_flight = Gauge(
            "apiserver_current_inflight_requests",
            "[STABLE] The most requests in flight at once within the last second, by kind",
            ["request_kind"],
            registry=registry,
        )
        in_flight.labels("mutating").set(0)  # none is served
        self._in_flight_shown = in_flight.labels("readOnly")
        self._in_flight = self._most_in_flight = 0
        self._requests = _Requests()
        registry.register(self._requests)
        certificates = Histograms(
            "apiserver_client_certificate_expiration_seconds",
            "[ALPHA] Distribution of the remaining lifetime on the certificate used to authenticate a request.",
            _CERTIFICATE_BUCKETS_S,
        )
        registry.register(certificates)
        self._client_certificates = certificates.of()
        self._front_proxy_until = Gauge(
            "pymetrics_server_front_proxy_certificate_expiration_seconds",
            "When the first of the front-proxy certificates seen within the last hour ends, in seconds since "
            "unix epoch; 0 where none was seen",
            registry=registry,
        )
        self._front_proxy_ca_until = Gauge(
            "pymetrics_server_front_proxy_ca_expiration_seconds",
            "When the last of the requestheader CAs ends, in seconds since unix epoch; 0 where there is none",
            registry=registry,
        )
        PlatformCollector(registry)
        ProcessCollector(registry=registry)

    def observe_scrape(self, node: str, duration_s: float, now_s: float, failure: str = "") -> None:
        """One request to a kubelet ended; `failure` is the label of its FailureClass, or "" for success."""
        if failure:
            self._failed.inc()
            self._failures.labels(failure).inc()
        else:
            self._succeeded.inc()
        labels = (node,) if self._per_node else ()
        self._scrape_duration.of(*labels).observe(duration_s)
        at = self._last_request_time.labels(*labels) if labels else self._last_request_time
        at.set(int(now_s))

    def forget_node(self, node: str) -> None:
        """Ends the series of a node that left; a no-op without per-node series."""
        if self._per_node:
            self._scrape_duration.remove(node)
            self._last_request_time.remove(node)

    def observe_round(self, duration_s: float) -> None:
        """What one resolution brought, from the first question to the last answer."""
        self._tick.of().observe(duration_s)

    def observe_freshness(self, ages_s: Mapping[float, int]) -> None:
        """How many of what was returned were so old."""
        self._freshness.observe_counted(ages_s)

    def set_points(self, nodes: int, containers: int) -> None:
        self._node_points.set(nodes)
        self._container_points.set(containers)

    def set_verification(self, verify: Verification, nodes: int) -> None:
        """So is each of the nodes scraped."""
        for unproven, shown in self._unverified.items():
            shown.set(nodes if unproven is verify else 0)

    def set_in_flight(self, count: int) -> None:
        """Reading requests being answered now; called at each change, shown by publish_in_flight."""
        self._in_flight = count
        if count > self._most_in_flight:
            self._most_in_flight = count

    def publish_in_flight(self) -> None:
        """Shows the most since the last call; to be called each second, as kube-apiserver samples its own."""
        self._in_flight_shown.set(self._most_in_flight)
        self._most_in_flight = self._in_flight

    def observe_request(self, labels: tuple[str, ...], code: int, duration_s: float) -> None:
        """`labels` are from request_labels; a 429 counts as a termination, too."""
        self._requests.observe(labels, code, duration_s)

    def observe_client_certificate(self, remaining_s: float) -> None:
        """A request was let in by a client's certificate that holds for so long."""
        self._client_certificates.observe(remaining_s)

    def set_front_proxy_expiration(self, certificate_s: float, ca_s: float) -> None:
        """Since the epoch; 0 where nothing is known."""
        self._front_proxy_until.set(certificate_s)
        self._front_proxy_ca_until.set(ca_s)

    def exposition(self) -> bytes:
        """Everything, in the Prometheus text format (CONTENT_TYPE)."""
        return generate_latest(self._registry)

"""Every Prometheus family of the server, on a registry that is handed in.

Names, types and help texts of the first six are the original's (metrics-server's /metrics); per-node
series exist only where they are asked for: at 5,000 nodes they would be 75,000.
"""

import re
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

_WHOLE_BOUND = re.compile(rb'(?<=[{,]le=")([0-9]+)\.0"')
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def tick_buckets_s(resolution_s: float) -> tuple[float, ...]:
    """The original's buckets for a scrape round, which depend on --metric-resolution."""
    if resolution_s > 10:
        return (
            *_REQUEST_BUCKETS_S,
            10 + (resolution_s - 10) / 2,
            resolution_s,
            1.5 * resolution_s,
            2 * resolution_s,
        )
    if resolution_s == 10 or any(abs(resolution_s - b) <= 0.005 for b in _REQUEST_BUCKETS_S):
        return _REQUEST_BUCKETS_S
    return tuple(sorted({*_REQUEST_BUCKETS_S, resolution_s}))


def freshness_buckets_s() -> tuple[float, ...]:
    """1 multiplied by 1.364 nineteen times over: repeated products, whose last digits differ from powers."""
    bounds = [1.0]
    for _ in range(19):
        bounds.append(bounds[-1] * 1.364)
    return tuple(bounds)


class Telemetry:
    def __init__(self, registry: CollectorRegistry, resolution_s: float, *, per_node: bool = False) -> None:
        # Of the process: the original has no such series, and they double the counters.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        self._registry = registry
        self._tick = Histogram(
            "metrics_server_manager_tick_duration_seconds",
            "[ALPHA] The total time spent collecting and storing metrics in seconds.",
            registry=registry,
            buckets=tick_buckets_s(resolution_s),
        )
        node_label = ["node"] if per_node else []
        self._per_node = per_node
        self._request_duration = Histogram(
            "metrics_server_kubelet_request_duration_seconds",
            "[ALPHA] Duration of requests to Kubelet API in seconds",
            node_label,
            registry=registry,
            buckets=_REQUEST_BUCKETS_S,
        )
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
        self._freshness = Histogram(
            "metrics_server_api_metric_freshness_seconds",
            "[ALPHA] Freshness of metrics exported",
            registry=registry,
            buckets=freshness_buckets_s(),
        )
        points = Gauge(
            "metrics_server_storage_points",
            "[ALPHA] Number of metrics points stored.",
            ["type"],
            registry=registry,
        )
        self._node_points, self._container_points = points.labels("node"), points.labels("container")
        self._api_requests = Counter(
            "apiserver_request_total",
            "Requests served, as kube-apiserver counts its own",
            ["verb", "group", "version", "resource", "code"],
            registry=registry,
        )
        self._api_duration = Histogram(
            "apiserver_request_duration_seconds",
            "Time to answer a request, by verb and resource",
            ["verb", "group", "version", "resource"],
            registry=registry,
            buckets=(0.0005, 0.001, 0.0025, *_REQUEST_BUCKETS_S),
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
        if self._per_node:
            self._request_duration.labels(node).observe(duration_s)
            self._last_request_time.labels(node).set(int(now_s))
        else:
            self._request_duration.observe(duration_s)
            self._last_request_time.set(int(now_s))

    def forget_node(self, node: str) -> None:
        """Ends the series of a node that left; a no-op without per-node series."""
        if self._per_node:
            for family in (self._request_duration, self._last_request_time):
                family.remove(node)

    def observe_round(self, duration_s: float) -> None:
        """What one resolution brought, from the first question to the last answer."""
        self._tick.observe(duration_s)

    def observe_freshness(self, ages_s: Iterable[float]) -> None:
        for age_s in ages_s:
            self._freshness.observe(age_s)

    def set_points(self, nodes: int, containers: int) -> None:
        self._node_points.set(nodes)
        self._container_points.set(containers)

    def observe_request(
        self, verb: str, group: str, version: str, resource: str, code: int, duration_s: float
    ) -> None:
        self._api_requests.labels(verb, group, version, resource, str(code)).inc()
        self._api_duration.labels(verb, group, version, resource).observe(duration_s)

    def exposition(self) -> bytes:
        """Everything, in the Prometheus text format (CONTENT_TYPE)."""
        return _WHOLE_BOUND.sub(rb'\1"', generate_latest(self._registry))  # le="1", as Go writes it

"""/metrics: the names, types, help texts and label values that dashboards of metrics-server rely on."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from pymetrics_server.meta.verification import Verification
from pymetrics_server.telemetry import (
    Buckets,
    Telemetry,
    freshness_buckets_s,
    request_labels,
    tick_buckets_s,
)

OURS = re.compile(r"^(?:# (?:HELP|TYPE) )?(?:metrics_server|pymetrics_server|apiserver)_")

GOLDEN = """\
# HELP metrics_server_manager_tick_duration_seconds [ALPHA] The total time spent collecting and storing metrics in seconds.
# TYPE metrics_server_manager_tick_duration_seconds histogram
metrics_server_manager_tick_duration_seconds_bucket{le="0.005"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="0.01"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="0.025"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="0.05"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="0.1"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="0.25"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="0.5"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="1"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="2.5"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="5"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="10"} 0.0
metrics_server_manager_tick_duration_seconds_bucket{le="12.5"} 1.0
metrics_server_manager_tick_duration_seconds_bucket{le="15"} 1.0
metrics_server_manager_tick_duration_seconds_bucket{le="22.5"} 1.0
metrics_server_manager_tick_duration_seconds_bucket{le="30"} 1.0
metrics_server_manager_tick_duration_seconds_bucket{le="+Inf"} 1.0
metrics_server_manager_tick_duration_seconds_count 1.0
metrics_server_manager_tick_duration_seconds_sum 12.0
# HELP metrics_server_kubelet_request_duration_seconds [ALPHA] Duration of requests to Kubelet API in seconds
# TYPE metrics_server_kubelet_request_duration_seconds histogram
metrics_server_kubelet_request_duration_seconds_bucket{le="0.005",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="0.01",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="0.025",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="0.05",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="0.1",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="0.25",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="0.5",node="node1"} 0.0
metrics_server_kubelet_request_duration_seconds_bucket{le="1",node="node1"} 1.0
metrics_server_kubelet_request_duration_seconds_bucket{le="2.5",node="node1"} 2.0
metrics_server_kubelet_request_duration_seconds_bucket{le="5",node="node1"} 2.0
metrics_server_kubelet_request_duration_seconds_bucket{le="10",node="node1"} 2.0
metrics_server_kubelet_request_duration_seconds_bucket{le="+Inf",node="node1"} 2.0
metrics_server_kubelet_request_duration_seconds_count{node="node1"} 2.0
metrics_server_kubelet_request_duration_seconds_sum{node="node1"} 3.0
# HELP metrics_server_kubelet_last_request_time_seconds [ALPHA] Time of last request performed to Kubelet API since unix epoch in seconds
# TYPE metrics_server_kubelet_last_request_time_seconds gauge
metrics_server_kubelet_last_request_time_seconds{node="node1"} 1.79e+09
# HELP metrics_server_kubelet_request_total [ALPHA] Number of requests sent to Kubelet API
# TYPE metrics_server_kubelet_request_total counter
metrics_server_kubelet_request_total{success="true"} 1.0
metrics_server_kubelet_request_total{success="false"} 1.0
# HELP pymetrics_server_kubelet_failures_total Scrapes that failed, by the class that logs and readyz name
# TYPE pymetrics_server_kubelet_failures_total counter
pymetrics_server_kubelet_failures_total{reason="refused"} 1.0
# HELP pymetrics_server_kubelet_unverified_nodes Nodes that are scraped without proof that they answer themselves, by what is verified all the same: chain (some serving certificate of the CA), insecure (nothing), http (nothing, over plain HTTP)
# TYPE pymetrics_server_kubelet_unverified_nodes gauge
pymetrics_server_kubelet_unverified_nodes{verify="chain"} 0.0
pymetrics_server_kubelet_unverified_nodes{verify="insecure"} 3.0
pymetrics_server_kubelet_unverified_nodes{verify="http"} 0.0
# HELP metrics_server_api_metric_freshness_seconds [ALPHA] Freshness of metrics exported
# TYPE metrics_server_api_metric_freshness_seconds histogram
metrics_server_api_metric_freshness_seconds_bucket{le="1"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="1.364"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="1.8604960000000004"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="2.5377165440000007"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="3.4614453660160014"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="4.721411479245826"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="6.440005257691307"} 0.0
metrics_server_api_metric_freshness_seconds_bucket{le="8.784167171490942"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="11.981604021913647"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="16.342907885890217"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="22.291726356354257"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="30.405914750067208"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="41.47366771909167"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="56.57008276884105"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="77.16159289669919"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="105.2484127110977"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="143.55883493793726"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="195.81425085534644"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="267.09063816669254"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="364.31163045936864"} 1.0
metrics_server_api_metric_freshness_seconds_bucket{le="+Inf"} 2.0
metrics_server_api_metric_freshness_seconds_count 2.0
metrics_server_api_metric_freshness_seconds_sum 1.790000008e+09
# HELP metrics_server_storage_points [ALPHA] Number of metrics points stored.
# TYPE metrics_server_storage_points gauge
metrics_server_storage_points{type="node"} 3.0
metrics_server_storage_points{type="container"} 40.0
# HELP apiserver_current_inflight_requests [STABLE] The most requests in flight at once within the last second, by kind
# TYPE apiserver_current_inflight_requests gauge
apiserver_current_inflight_requests{request_kind="mutating"} 0.0
apiserver_current_inflight_requests{request_kind="readOnly"} 0.0
# HELP apiserver_request_total [STABLE] Requests served, as kube-apiserver counts its own
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="metrics.k8s.io",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1beta1"} 1.0
# HELP apiserver_request_terminations_total [ALPHA] Requests refused to keep the server alive: too many were in flight
# TYPE apiserver_request_terminations_total counter
# HELP apiserver_request_duration_seconds [STABLE] Time to answer a request, by verb, resource and scope
# TYPE apiserver_request_duration_seconds histogram
# HELP apiserver_client_certificate_expiration_seconds [ALPHA] Distribution of the remaining lifetime on the certificate used to authenticate a request.
# TYPE apiserver_client_certificate_expiration_seconds histogram
apiserver_client_certificate_expiration_seconds_bucket{le="0"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="1800"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="3600"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="7200"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="21600"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="43200"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="86400"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="172800"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="345600"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="604800"} 0.0
apiserver_client_certificate_expiration_seconds_bucket{le="2.592e+06"} 1.0
apiserver_client_certificate_expiration_seconds_bucket{le="7.776e+06"} 1.0
apiserver_client_certificate_expiration_seconds_bucket{le="1.5552e+07"} 1.0
apiserver_client_certificate_expiration_seconds_bucket{le="3.1104e+07"} 1.0
apiserver_client_certificate_expiration_seconds_bucket{le="+Inf"} 1.0
apiserver_client_certificate_expiration_seconds_count 1.0
apiserver_client_certificate_expiration_seconds_sum 604801.0
# HELP pymetrics_server_front_proxy_certificate_expiration_seconds When the first of the front-proxy certificates seen within the last hour ends, in seconds since unix epoch; 0 where none was seen
# TYPE pymetrics_server_front_proxy_certificate_expiration_seconds gauge
pymetrics_server_front_proxy_certificate_expiration_seconds 1.79e+09
# HELP pymetrics_server_front_proxy_ca_expiration_seconds When the last of the requestheader CAs ends, in seconds since unix epoch; 0 where there is none
# TYPE pymetrics_server_front_proxy_ca_expiration_seconds gauge
pymetrics_server_front_proxy_ca_expiration_seconds 2.1e+09
"""


def telemetry(*, per_node: bool = True) -> Telemetry:
    return Telemetry(CollectorRegistry(), 15, per_node=per_node)


def lines(shown: Telemetry) -> list[str]:
    return [line for line in shown.exposition().decode().splitlines() if OURS.match(line)]


def test_every_family_is_shown_by_the_name_type_and_help_that_dashboards_know() -> None:
    shown = telemetry()
    shown.observe_scrape("node1", 1, 1_790_000_000.9)
    shown.observe_scrape("node1", 2, 1_790_000_000.9, "refused")
    shown.observe_round(12)
    shown.observe_freshness({8: 1, 1_790_000_000: 1})
    shown.set_points(nodes=3, containers=40)
    shown.set_verification(Verification.INSECURE, 3)
    shown.observe_request(
        request_labels("LIST", "metrics.k8s.io", "v1beta1", "pods", scope="namespace"), 200, 0.004
    )
    shown.observe_client_certificate(604_801)
    shown.set_front_proxy_expiration(1_790_000_000, 2_100_000_000)
    of_requests = [one for one in lines(shown) if one.startswith("apiserver_request_duration_seconds_")]
    assert [one for one in lines(shown) if one not in of_requests] == GOLDEN.splitlines()
    labels = (
        'component="apiserver",dry_run="",group="metrics.k8s.io",le="0.005",resource="pods",'
        'scope="namespace",subresource="",verb="LIST",version="v1beta1"'
    )
    assert f"apiserver_request_duration_seconds_bucket{{{labels}}} 1.0" in of_requests
    assert len([one for one in of_requests if "_bucket{" in one]) == 24


@pytest.mark.parametrize("verify", list(Verification))
def test_nodes_count_as_unverified_by_what_is_verified_now_and_not_at_all_where_they_are_proven(
    verify: Verification,
) -> None:
    shown = telemetry()
    for before in Verification:
        shown.set_verification(before, 9)
    shown.set_verification(verify, 7)
    series = "pymetrics_server_kubelet_unverified_nodes"
    counted = {
        v: f'{series}{{verify="{v.value}"}} {7 if v is verify else 0}.0'
        for v in Verification
        if not v.proves_the_node
    }
    assert [one for one in lines(shown) if one.startswith(series)] == list(counted.values())


def test_a_request_refused_for_too_many_in_flight_is_a_termination() -> None:
    shown = telemetry()
    for code in (200, 429, 429):
        shown.observe_request(request_labels("GET", "", "", "", "/metrics"), code, 0.001)
    ends = [one for one in lines(shown) if one.startswith("apiserver_request_terminations_total{")]
    assert ends == [
        'apiserver_request_terminations_total{code="429",component="apiserver",group="",resource="",scope="",'
        'subresource="/metrics",verb="GET",version=""} 2.0'
    ]
    assert sum(one.startswith("apiserver_request_total{") for one in lines(shown)) == 2


def test_requests_in_flight_are_shown_at_their_most_since_they_were_last_shown() -> None:
    shown = telemetry()
    series = 'apiserver_current_inflight_requests{request_kind="readOnly"}'

    def most() -> list[str]:
        shown.publish_in_flight()
        return [one for one in lines(shown) if one.startswith(series)]

    for count in (1, 2, 3, 2, 1):
        shown.set_in_flight(count)
    assert most() == [f"{series} 3.0"]
    assert most() == [f"{series} 1.0"]
    shown.set_in_flight(0)
    assert most() == [f"{series} 1.0"]
    assert most() == [f"{series} 0.0"]


@given(st.lists(st.floats(min_value=-10, max_value=1e9), max_size=50), st.integers(min_value=1, max_value=7))
def test_a_batch_counts_as_its_values_one_by_one_do(values: list[float], size: int) -> None:
    bounds = freshness_buckets_s()
    ours = Buckets(bounds)
    for start in range(0, len(values), size):
        ours.observe_counted(Counter(values[start : start + size]))
    theirs = [sum(value <= bound for value in values) for bound in bounds]
    assert ours.cumulative() == [*theirs, len(values)]
    assert ours.sum == pytest.approx(sum(values))


def test_a_value_on_a_bound_belongs_to_that_bound() -> None:
    buckets = Buckets([1, 2])
    for value in (1, 1.5, 2, 3):
        buckets.observe(value)
    assert buckets.cumulative() == [1, 3, 4]


def test_what_is_shown_is_the_text_format() -> None:
    shown = telemetry(per_node=False)
    shown.observe_scrape("node1", 1, 2)
    families = {family.name for family in text_string_to_metric_families(shown.exposition().decode())}
    assert families >= {"metrics_server_kubelet_request", "process_cpu_seconds", "process_start_time_seconds"}
    assert not [family for family in families if family.endswith("_created")]


def test_without_series_per_node_all_nodes_share_one() -> None:
    shown = telemetry(per_node=False)
    for node in ("node1", "node2"):
        shown.observe_scrape(node, 1, 2)
        shown.forget_node(node)
    assert "metrics_server_kubelet_request_duration_seconds_count 2.0" in lines(shown)
    assert not [line for line in lines(shown) if "node1" in line]


def test_the_series_of_a_node_that_left_end_and_one_never_asked_leaves_in_peace() -> None:
    shown = telemetry()
    shown.observe_scrape("node1", 1, 2)
    shown.observe_scrape("node2", 1, 2)
    for node in ("node1", "node1", "never-asked"):
        shown.forget_node(node)
    left = [line for line in lines(shown) if "node=" in line]
    assert left
    assert all('node="node2"' in line for line in left)


@pytest.mark.parametrize(
    ("resolution_s", "beyond_the_defaults"),
    [
        (10, []),
        (15, [12.5, 15, 22.5, 30]),
        (60, [35, 60, 90, 120]),
        (5, []),
        (7, [7]),
        (0.503, []),
    ],
)
def test_buckets_of_a_round_follow_the_resolution(
    resolution_s: float, beyond_the_defaults: list[float]
) -> None:
    buckets = tick_buckets_s(resolution_s)
    defaults = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
    assert list(buckets) == sorted(defaults | set(beyond_the_defaults))

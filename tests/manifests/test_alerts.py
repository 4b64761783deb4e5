"""When each alert fires, when it does not, and that it says what to do. Prometheus' own promtool judges."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.manifests.promql import promtool, unknown
from tests.manifests.rendering import MANIFESTS, ROOT

ALERTS = MANIFESTS / "components" / "monitoring" / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "monitoring.md"
SPEC: dict[str, Any] = yaml.safe_load(ALERTS.read_text())["spec"]
RULES: Mapping[str, dict[str, Any]] = {
    rule["alert"]: rule for group in SPEC["groups"] for rule in group["rules"]
}

DAY_S = 86_400
JOB = 'job="metrics-server"'
API = 'aggregator_unavailable_apiservice{name="%s.metrics.k8s.io", instance="%s"}'
POINTS = f'metrics_server_storage_points{{{JOB}, pod="%s", type="%s"}}'
ASKED = f'metrics_server_kubelet_request_total{{{JOB}, pod="%s", success="%s"}}'
FAILED = f'pymetrics_server_kubelet_failures_total{{{JOB}, pod="%s", reason="%s"}}'
AGES = f'metrics_server_api_metric_freshness_seconds_bucket{{{JOB}, le="%s"}}'
CERTIFICATE = f'pymetrics_server_front_proxy_certificate_expiration_seconds{{{JOB}, pod="%s"}}'
CA = f'pymetrics_server_front_proxy_ca_expiration_seconds{{{JOB}, pod="%s"}}'
REQUESTS = f'apiserver_request_total{{{JOB}, resource="%s", code="%s"}}'
REFUSED = f'apiserver_request_terminations_total{{{JOB}, resource="pods", code="429"}}'

ALWAYS_0, ALWAYS_1 = "0x120", "1x120"


class Case(msgspec.Struct, frozen=True):
    """Series -> values, one a minute. Fired: the labels, and what stands in place of the templates."""

    name: str
    alert: str
    series: Mapping[str, str]
    fires: Mapping[str, str] | None = None
    says: Mapping[str, str] = {}
    after: str = "60m"


CASES = [
    Case(
        "one kube-apiserver of two cannot use v1",
        "MetricsServerAPIUnavailable",
        {
            API % ("v1", "a"): ALWAYS_0,
            API % ("v1", "b"): ALWAYS_1,
            API % ("v1beta1", "a"): ALWAYS_0,
            API % ("v1.custom", "a"): ALWAYS_1,
        },
        {"name": "v1.metrics.k8s.io"},
        {"{{ $labels.name }}": "v1.metrics.k8s.io"},
    ),
    Case(
        "an unavailable API comes back",
        "MetricsServerAPIUnavailable",
        {API % ("v1", "a"): "0 1 1 1 0x120"},
    ),
    Case("no replica is reached", "MetricsServerDown", {f"up{{{JOB}}}": ALWAYS_0}, {}),
    Case("nothing is there", "MetricsServerDown", {}, {}),
    Case(
        "one replica of two is reached",
        "MetricsServerDown",
        {f'up{{{JOB}, pod="a"}}': ALWAYS_0, f'up{{{JOB}, pod="b"}}': ALWAYS_1},
    ),
    Case(
        "one replica has nodes and no containers",
        "MetricsServerServesNothing",
        {
            POINTS % ("a", "node"): "5x120",
            POINTS % ("a", "container"): ALWAYS_0,
            POINTS % ("b", "node"): "5x120",
            POINTS % ("b", "container"): "50x120",
        },
        {"pod": "a"},
        {"{{ $labels.pod }}": "a"},
    ),
    Case(
        "a replica that has just started",
        "MetricsServerServesNothing",
        {POINTS % ("a", "node"): "0 0 5x120", POINTS % ("a", "container"): "0 0 50x120"},
    ),
    Case(
        "every fourth node refuses, every tenth is slow",
        "MetricsServerNodesFailing",
        {
            ASKED % ("a", "true"): "0+65x120",
            ASKED % ("a", "false"): "0+35x120",
            FAILED % ("a", "refused"): "0+25x120",
            FAILED % ("a", "slow_response"): "0+10x120",
        },
        {"reason": "refused"},
        {"{{ $value | humanizePercentage }}": "25%", "{{ $labels.reason }}": "refused"},
    ),
    Case(
        "one node of a hundred is gone",
        "MetricsServerNodesFailing",
        {
            ASKED % ("a", "true"): "0+99x120",
            ASKED % ("a", "false"): "0+1x120",
            FAILED % ("a", "connect_timeout"): "0+1x120",
        },
    ),
    Case(
        "a fifth of what is served is between 77 and 105 seconds old",
        "MetricsServerStale",
        {
            AGES % "30.405914750067208": "0+80x120",
            AGES % "77.16159289669919": "0+80x120",
            AGES % "105.2484127110977": "0+100x120",
            AGES % "+Inf": "0+100x120",
        },
        {},
        {"{{ $value | humanizeDuration }}": "1m 31s"},
    ),
    Case(
        "what is served is as old as the resolution",
        "MetricsServerStale",
        {AGES % "16.342907885890217": "0+99x120", AGES % "+Inf": "0+100x120"},
    ),
    Case("nobody asks", "MetricsServerStale", {AGES % "1": "7x120", AGES % "+Inf": "9x120"}),
    Case(
        "a certificate ends in three days, and another has not been seen",
        "MetricsServerFrontProxyCertificateExpiring",
        {CERTIFICATE % "a": f"{3 * DAY_S}x120", CERTIFICATE % "b": ALWAYS_0},
        {},
        {"{{ $value | humanizeDuration }}": "2d 23h 0m 0s"},
    ),
    Case(
        "a certificate of a year",
        "MetricsServerFrontProxyCertificateExpiring",
        {CERTIFICATE % "a": f"{365 * DAY_S}x120", CERTIFICATE % "b": ALWAYS_0},
    ),
    Case(
        "the CA ends in ten days",
        "MetricsServerFrontProxyCAExpiring",
        {CA % "a": f"{10 * DAY_S}x120"},
        {},
        {"{{ $value | humanizeDuration }}": "9d 23h 0m 0s"},
    ),
    Case("no CA is known", "MetricsServerFrontProxyCAExpiring", {CA % "a": ALWAYS_0}),
    Case(
        "a tenth of the requests for pods fails",
        "MetricsServerErrors",
        {REQUESTS % ("pods", "200"): "0+90x120", REQUESTS % ("pods", "503"): "0+10x120"},
        {},
        {"{{ $value | humanizePercentage }}": "10%"},
    ),
    Case(
        "a probe fails, and who is unknown is refused",
        "MetricsServerErrors",
        {
            REQUESTS % ("", "500"): "0+90x120",
            REQUESTS % ("pods", "200"): "0+90x120",
            REQUESTS % ("pods", "401"): "0+90x120",
        },
    ),
    Case("requests are refused for long", "MetricsServerOverloaded", {REFUSED: "0+1x120"}, {}),
    Case("requests were refused once", "MetricsServerOverloaded", {REFUSED: "0 0 50x120"}),
]


@pytest.fixture(name="rules")
def _rules(tmp_path: Path) -> Path:
    """As Prometheus reads them."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return path


def test_prometheus_understands_every_rule(rules: Path) -> None:
    promtool("check", "rules", rules.name, folder=rules.parent)


def test_each_alert_fires_when_it_should_and_only_then(rules: Path) -> None:
    tests = rules.parent / "tests.yaml"
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": [_test(c) for c in CASES]}
    tests.write_text(yaml.safe_dump(document))
    promtool("test", "rules", tests.name, folder=rules.parent)


def _test(case: Case) -> dict[str, Any]:
    expected = []
    if case.fires is not None:
        rule = RULES[case.alert]
        annotations = {key: _filled(text, case.says) for key, text in rule["annotations"].items()}
        expected = [{"exp_labels": {**rule["labels"], **case.fires}, "exp_annotations": annotations}]
    return {
        "name": case.name,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.after, "alertname": case.alert, "exp_alerts": expected}],
    }


def _filled(text: str, says: Mapping[str, str]) -> str:
    for template, value in says.items():
        text = text.replace(template, value)
    assert "{{" not in text, "say in `says` what the template comes to"
    return text


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    for fires in (True, False):
        assert {c.alert for c in CASES if (c.fires is not None) == fires} == set(RULES)


def test_alerts_ask_for_what_the_server_has() -> None:
    assert unknown(rule["expr"] for rule in RULES.values()) == []


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_what_is_wrong_what_to_type_next_and_where_to_read_on(alert: str) -> None:
    annotations = RULES[alert]["annotations"]
    assert annotations["summary"].endswith(".")
    assert re.search(r"\. Next(, with [^:]+)?: (kubectl|kubeadm) ", annotations["description"])
    assert annotations["runbook"] == f"docs/monitoring.md#{alert.lower()}"
    assert RULES[alert]["labels"]["severity"] in ("critical", "warning")


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    assert _sections() == list(RULES)


def _sections() -> Sequence[str]:
    return re.findall(r"^### (\w+)$", RUNBOOKS.read_text(), re.M)


def test_links_within_the_runbooks_lead_somewhere() -> None:
    anchors = {section.lower() for section in _sections()}
    assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOKS.read_text())) <= anchors

"""Both endpoints of a kubelet, written from one view."""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pymetrics_server.standin.exposition import _number, resource_text, summary_json
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.standin.views import NodeView

EPOCH = 1_790_000_000_123_456_789
VIEW = SimulatedNode(5, 4, 2, epoch_ns=EPOCH, now_ns=lambda: EPOCH).view()


def summary(view: NodeView = VIEW) -> dict[str, Any]:
    decoded = json.loads(summary_json(view))
    assert isinstance(decoded, dict)
    return decoded


def series() -> dict[str, dict[tuple[str, str, str], tuple[float, Any]]]:
    found: dict[str, dict[tuple[str, str, str], tuple[float, Any]]] = {}
    for family in text_string_to_metric_families(resource_text(VIEW).decode()):
        for s in family.samples:
            key = (s.labels.get("namespace", ""), s.labels.get("pod", ""), s.labels.get("container", ""))
            found.setdefault(s.name, {})[key] = (s.value, s.timestamp)
    return found


def test_the_summary_tells_what_the_view_holds() -> None:
    got = summary()

    assert got["node"]["nodeName"] == VIEW.name
    assert got["node"]["cpu"]["usageCoreNanoSeconds"] == VIEW.cpu_ns
    assert got["node"]["memory"]["workingSetBytes"] == VIEW.memory_bytes
    told = [
        (p["podRef"]["namespace"], p["podRef"]["name"], c["name"], c["cpu"], c["memory"]["workingSetBytes"])
        for p in got["pods"]
        for c in p["containers"]
    ]
    held = [(p.namespace, p.name, c) for p in VIEW.pods for c in p.containers]
    for (namespace, pod, name, cpu, memory), (held_namespace, held_pod, c) in zip(told, held, strict=True):
        assert (namespace, pod, name) == (held_namespace, held_pod, c.name)
        assert (cpu["usageCoreNanoSeconds"], cpu["usageNanoCores"]) == (c.cpu_ns, c.usage_nanocores)
        assert memory == c.memory_bytes


def test_stamps_of_the_summary_are_whole_seconds_cut_off() -> None:
    assert VIEW.time_ns % 1_000_000_000
    stamps = re.findall(rb'"(?:time|startTime)":"([^"]+)"', summary_json(VIEW))

    assert all(re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", s) for s in stamps)
    at_zero = SimulatedNode(0, 1, 1, epoch_ns=1_999_999_999, now_ns=lambda: 1_999_999_999).view()
    assert summary(at_zero)["node"]["cpu"]["time"] == "1970-01-01T00:00:01Z"


def test_both_endpoints_tell_the_same() -> None:
    got, told = series(), summary()
    containers = {
        (p["podRef"]["namespace"], p["podRef"]["name"], c["name"]): c
        for p in told["pods"]
        for c in p["containers"]
    }
    cpu, memory = got["container_cpu_usage_seconds_total"], got["container_memory_working_set_bytes"]

    assert cpu.keys() == memory.keys() == got["container_start_time_seconds"].keys() == containers.keys()
    for key, c in containers.items():
        assert math.trunc(cpu[key][0] * 1e9) == pytest.approx(c["cpu"]["usageCoreNanoSeconds"], abs=1)
        assert memory[key][0] == c["memory"]["workingSetBytes"]
    nothing = ("", "", "")
    assert got["node_memory_working_set_bytes"][nothing][0] == VIEW.memory_bytes
    assert got["node_cpu_usage_seconds_total"][nothing][0] * 1e9 == pytest.approx(VIEW.cpu_ns, rel=1e-12)
    assert got["node_cpu_usage_seconds_total"][nothing][1] == pytest.approx(VIEW.time_ns // 10**6 / 1e3)
    assert got["resource_scrape_error"][nothing][0] == 0
    pods = {(p["podRef"]["namespace"], p["podRef"]["name"], ""): p for p in told["pods"]}
    for key, (value, _) in got["pod_memory_working_set_bytes"].items():
        assert value == pods[key]["memory"]["workingSetBytes"]


def test_a_node_without_pods_is_whole() -> None:
    view = SimulatedNode(1, 0, 0, epoch_ns=EPOCH, now_ns=lambda: EPOCH).view()

    assert summary(view)["pods"] == []
    assert b"container_" not in resource_text(view)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_the_same(value: float) -> None:
    assert float(_number(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (29.987230988, "29.987230988"),
        (69099520, "6.909952e+07"),
        (1795417758.4809995, "1.7954177584809995e+09"),
        (0, "0"),
        (999999, "999999"),
        (1e6, "1e+06"),
        (0.00001, "1e-05"),
    ],
)
def test_numbers_are_written_as_kubelets_write_them(value: float, text: str) -> None:
    assert _number(value) == text


def recorded(name: str) -> bytes:
    beside = Path(__file__).parents[2].parent / "shared" / "payloads"
    found = sorted(Path(os.environ.get("PAYLOADS", beside)).rglob(name))
    if not found:
        pytest.skip("no recorded payloads here: set PAYLOADS to their folder")
    return found[-1].read_bytes()


def test_families_are_described_in_the_words_of_real_kubelets() -> None:
    real = {line for line in recorded("resource-k8s*.txt").splitlines() if line.startswith(b"#")}
    ours = {line for line in resource_text(VIEW).splitlines() if line.startswith(b"#")}

    assert ours <= real
    assert all(b"swap" in line for line in real - ours)


def test_the_summary_has_no_field_that_a_real_kubelet_has_not() -> None:
    def paths(value: Any, at: str = "") -> set[str]:
        if isinstance(value, list):
            return set().union(*(paths(v, f"{at}[]") for v in value)) if value else set()
        if isinstance(value, dict):
            return set().union({at}, *(paths(v, f"{at}.{k}") for k, v in value.items()))
        return {at}

    real = paths(json.loads(recorded("summary-k8s*-only-cpu-memory.json")))

    assert paths(summary()) <= real
    assert {p for p in real - paths(summary()) if "psi" not in p and "swap" not in p} <= {
        ".node.systemContainers[].memory.availableBytes",
        ".pods[].containers[].memory.availableBytes",
    }

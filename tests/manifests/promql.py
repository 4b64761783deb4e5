"""Which series PromQL asks for, and which ones the server has."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from pymetrics_server.telemetry import Telemetry, request_labels

NO_PROMTOOL = "install promtool (Debian: prometheus)"
#: Whatever Prometheus adds to each series of a ServiceMonitor.
TARGET_LABELS = frozenset({"job", "pod", "instance", "namespace"})
#: Not ours: Prometheus' own, and kube-apiserver's.
FOREIGN: Mapping[str, frozenset[str]] = {
    "up": frozenset(),
    "aggregator_unavailable_apiservice": frozenset({"name"}),
}

_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"')


def exposed() -> dict[str, set[str]]:
    """Name of a series -> its labels, of a server that had every kind of work."""
    telemetry = Telemetry(CollectorRegistry(), 15.0)
    telemetry.observe_scrape("node-a", 0.1, 1.0)
    telemetry.observe_scrape("node-b", 0.1, 1.0, "refused")
    asked = request_labels("LIST", "metrics.k8s.io", "v1beta1", "pods", scope="cluster")
    telemetry.observe_request(asked, 200, 0.1)
    telemetry.observe_request(asked, 429, 0.1)
    telemetry.set_points(2, 2)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(telemetry.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def unknown(expressions: Iterable[str]) -> list[str]:
    """Series and labels that are asked for and that nobody has."""
    ours = exposed()
    wrong: list[str] = []
    for expression in expressions:
        selectors = _SELECTOR.findall(expression)
        assert selectors, f"each series needs its braces: {expression}"
        for name, matchers in selectors:
            has = FOREIGN.get(name) if name in FOREIGN else ours.get(name)
            if has is None:
                wrong.append(name)
                continue
            asked = set(_MATCHER.findall(matchers))
            wrong += [f"{name}{{{label}}}" for label in asked - has - TARGET_LABELS]
    return wrong


def promtool(*arguments: str, folder: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip(NO_PROMTOOL)
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr

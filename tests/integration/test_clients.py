"""The client libraries that users have, each read with as they would: all see what `kubectl get --raw` sees.

Each runs as a program of its own (`clients/`): what it imports, warns of and remembers stays there.
"""

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kubernetes.utils import quantity

from tests.integration.conftest import SIMULATED_NODES, Demo
from tests.integration.kubectls import ROOT
from tests.integration.test_kubectl import BASE
from tests.programs import direct_environment

parse_quantity: Callable[[str], Decimal] = quantity.parse_quantity  # what users of Python parse with

CLIENTS = Path(__file__).parent / "clients"
NODE_MODULES = ROOT / ".venv/node/node_modules"
NAMESPACE, SELECTOR, NODE = "team-14", "app=web", "sim-00001"
WARNINGS = (
    "-Werror",
    "-Wignore:Kubernetes version:UserWarning",  # kr8s, of any kube-apiserver that is newer than itself
)
EVERY_CALL = frozenset({"nodes", "node", "pods", "namespaced", "selected", "pod", "missing", "kinds"})
READINGS = {  # which calls a client has
    ("official.py", "CustomObjectsApi"): EVERY_CALL,
    ("official.py", "DynamicClient"): EVERY_CALL,
    ("official_asyncio.py", "CustomObjectsApi"): EVERY_CALL,
    ("official_asyncio.py", "DynamicClient"): EVERY_CALL,
    ("with_kr8s.py", "get"): {"nodes", "node", "kinds"},
    ("with_kr8s.py", "new_class"): EVERY_CALL - {"kinds"},
    ("client_node.mjs", "Metrics"): {"nodes", "pods", "namespaced"},
}


def in_every_client_with(call: str) -> pytest.MarkDecorator:
    having = [reading for reading, calls in READINGS.items() if call in calls]
    return pytest.mark.parametrize("reading", having, ids=":".join, indirect=True)


@functools.cache
def read_with(script: str, directory: Path) -> Mapping[str, Any]:
    kubeconfig = str(directory / "admin.kubeconfig")
    environment = direct_environment(HOME=str(directory), TMPDIR=str(directory))
    if script.endswith(".py"):
        command = [sys.executable, *WARNINGS, str(CLIENTS / script), kubeconfig, NODE, NAMESPACE, SELECTOR]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment, stdin=subprocess.DEVNULL
        )
    else:
        done = subprocess.run(
            [node(), "--input-type=module", "-", kubeconfig, NAMESPACE],
            capture_output=True, text=True, timeout=60, env=environment,
            input=(CLIENTS / script).read_text(), cwd=NODE_MODULES.parent,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def node() -> str:
    if not (NODE_MODULES / "@kubernetes/client-node").is_dir():
        pytest.skip(
            "@kubernetes/client-node is not installed: `make test` does it where there is npm and a registry"
        )
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs")
    return program


@pytest.fixture(name="reading")
def _reading(demo: Demo, request: pytest.FixtureRequest) -> Mapping[str, Any]:
    script, part = request.param
    read: Mapping[str, Any] = read_with(script, demo.directory)[part]
    return read


def simulated(items: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Usage by namespace and name of what has a constant load, so that two readings can be compared."""
    return {
        (i["metadata"].get("namespace", ""), i["metadata"]["name"]): i.get("usage") or i["containers"]
        for i in items
        if i["metadata"].get("labels", {}).get("standin.pymetrics/kind") == "simulated"
    }


@in_every_client_with("nodes")
def test_nodes_are_the_same_in_every_client(demo: Demo, reading: Mapping[str, Any]) -> None:
    served = demo.get(f"{BASE}/v1beta1/nodes")["items"]
    items = reading["nodes"]
    assert [n["metadata"]["name"] for n in items] == [n["metadata"]["name"] for n in served]
    assert simulated(items) == simulated(served)
    assert len(simulated(items)) == SIMULATED_NODES
    for item in items:
        assert parse_quantity(item["usage"]["cpu"]) > 0
        assert parse_quantity(item["usage"]["memory"]) > 1 << 20
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["timestamp"])


@in_every_client_with("node")
def test_one_node_is_the_same_in_every_client(demo: Demo, reading: Mapping[str, Any]) -> None:
    assert reading["node"]["usage"] == demo.get(f"{BASE}/v1beta1/nodes/{NODE}")["usage"]


@in_every_client_with("pods")
def test_pods_are_the_same_in_every_client(demo: Demo, reading: Mapping[str, Any]) -> None:
    served = simulated(demo.get(f"{BASE}/v1beta1/pods")["items"])
    assert len(served) == SIMULATED_NODES * 30
    assert simulated(reading["pods"]) == served


@in_every_client_with("namespaced")
def test_a_namespace_has_the_same_pods_in_every_client(demo: Demo, reading: Mapping[str, Any]) -> None:
    served = simulated(demo.get(f"{BASE}/v1beta1/namespaces/{NAMESPACE}/pods")["items"])
    assert {namespace for namespace, _ in served} == {NAMESPACE}
    assert simulated(reading["namespaced"]) == served


@in_every_client_with("selected")
def test_a_label_selects_the_same_pods_in_every_client(demo: Demo, reading: Mapping[str, Any]) -> None:
    query = SELECTOR.replace("=", "%3D")
    served = simulated(demo.get(f"{BASE}/v1beta1/pods?labelSelector={query}")["items"])
    assert served
    assert simulated(reading["selected"]) == served


@in_every_client_with("pod")
def test_one_pod_is_the_same_in_every_client(demo: Demo, reading: Mapping[str, Any]) -> None:
    pod = reading["pod"]
    served = demo.get(f"{BASE}/v1beta1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}")
    assert (pod["kind"], pod["containers"]) == ("PodMetrics", served["containers"])


@in_every_client_with("missing")
def test_what_does_not_exist_is_not_found_in_every_client(reading: Mapping[str, Any]) -> None:
    assert reading["missing"] in (
        'node "nobody" not found',
        "Could not find NodeMetrics nobody in namespace default.",  # kr8s' own sentence for a 404
    )


@in_every_client_with("kinds")
def test_every_client_discovers_both_kinds(reading: Mapping[str, Any]) -> None:
    assert reading["kinds"] == {"nodes": "NodeMetrics", "pods": "PodMetrics"}


def test_the_official_client_finds_the_group_and_parses_every_quantity(demo: Demo) -> None:
    read = read_with("official.py", demo.directory)
    assert "metrics.k8s.io" in read["groups"]
    assert read["version"] == demo.get("/version")["gitVersion"]
    assert [set(usage) for usage in read["parsed"]] == [{"cpu", "memory"}] * (1 + SIMULATED_NODES)


def test_top_pods_of_the_javascript_client_sums_what_is_served(demo: Demo) -> None:
    top = read_with("client_node.mjs", demo.directory)["topPods"]
    served = simulated(demo.get(f"{BASE}/v1beta1/namespaces/{NAMESPACE}/pods")["items"])
    assert {pod["name"] for pod in top} >= {name for _, name in served}
    for pod in top:
        usages = [c["usage"] for c in served[NAMESPACE, pod["name"]]]
        assert pod["cpu"] == pytest.approx(float(sum(parse_quantity(u["cpu"]) for u in usages)))
        assert pod["memory"] == sum(parse_quantity(u["memory"]) for u in usages)


def test_top_nodes_of_the_javascript_client_shows_every_node(demo: Demo) -> None:
    top = read_with("client_node.mjs", demo.directory)["topNodes"]
    served = demo.get(f"{BASE}/v1beta1/nodes")["items"]
    assert sorted(n["name"] for n in top) == sorted(n["metadata"]["name"] for n in served)
    for one, node_metrics in zip(
        sorted(top, key=lambda n: str(n["name"])),
        sorted(served, key=lambda n: n["metadata"]["name"]),
        strict=True,
    ):
        assert 0 < parse_quantity(node_metrics["usage"]["memory"]) < one["memory"]

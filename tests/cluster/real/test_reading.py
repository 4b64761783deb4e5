"""What anybody does with a cluster's metrics. Only reads, so that it may run against somebody's cluster."""

import re

import pytest
import yaml

from tests.cluster.real.client import Kubectl
from tests.cluster.real.conftest import available
from tests.cluster.real.deployed import GROUP, VERSIONS
from tests.programs import until

both_versions = pytest.mark.parametrize("version", VERSIONS)


@both_versions
def test_the_apiservice_becomes_available(kubectl: Kubectl, version: str) -> None:
    condition = available(kubectl, version)
    assert (condition["status"], condition["reason"]) == ("True", "Passed")


def test_top_nodes_lists_every_node_with_its_share(kubectl: Kubectl) -> None:
    known = {n["metadata"]["name"] for n in kubectl.items("/api/v1/nodes")}
    rows = until("all nodes", lambda: len(rows := kubectl.rows("top", "nodes")) >= len(known) and rows)
    assert {row[0] for row in rows} == known
    for row in rows:
        assert re.fullmatch(r"\S+ \d+m \d+% \d+Mi \d+%", " ".join(row))


def test_top_pods_of_all_namespaces_lists_every_container(kubectl: Kubectl) -> None:
    rows = until("pods", lambda: kubectl.rows("top", "pods", "-A", "--containers"))
    for row in rows:
        assert re.fullmatch(r"\S+ \S+ \S+ \d+m \d+Mi", " ".join(row))
    running = {
        (p["metadata"]["namespace"], p["metadata"]["name"])
        for p in kubectl.items("/api/v1/pods?fieldSelector=status.phase%3DRunning")
    }
    assert {(row[0], row[1]) for row in rows} <= running


@both_versions
@pytest.mark.parametrize(("plural", "kind"), [("nodes", "NodeMetrics"), ("pods", "PodMetrics")])
def test_lists_are_served_raw_in_both_versions(
    kubectl: Kubectl, version: str, plural: str, kind: str
) -> None:
    answer = kubectl.raw(f"/apis/{GROUP}/{version}/{plural}")
    assert (answer["kind"], answer["apiVersion"]) == (f"{kind}List", f"{GROUP}/{version}")
    first = answer["items"][0]
    name, namespace = first["metadata"]["name"], first["metadata"].get("namespace")
    within = f"namespaces/{namespace}/" if namespace else ""
    one = kubectl.raw(f"/apis/{GROUP}/{version}/{within}{plural}/{name}")
    assert (one["kind"], one["apiVersion"]) == (kind, f"{GROUP}/{version}")
    assert one["metadata"]["name"] == name
    assert {"timestamp", "window"} <= one.keys()


def test_get_podmetrics_prints_a_table(kubectl: Kubectl) -> None:
    header, *rows = kubectl("get", "podmetrics", "-A").splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "CPU", "MEMORY", "WINDOW"]
    assert rows


def test_get_nodemetrics_prints_yaml(kubectl: Kubectl) -> None:
    printed = yaml.safe_load(kubectl("get", "nodemetrics", "-o", "yaml"))
    names = {item["metadata"]["name"] for item in printed["items"]}
    assert names == {n["metadata"]["name"] for n in kubectl.items("/api/v1/nodes")}
    assert {item["kind"] for item in printed["items"]} == {"NodeMetrics"}


@pytest.mark.parametrize("version", [f"--api-version={GROUP}/{v}" for v in VERSIONS])
def test_explain_knows_the_fields(kubectl: Kubectl, version: str) -> None:
    nodes = until(
        "explained", lambda: (d := kubectl.run("explain", "nodemetrics", version)).returncode == 0 and d, 90
    )
    assert re.search(r"KIND:\s+NodeMetrics", nodes.stdout)
    for field in ("timestamp", "usage", "window"):
        assert re.search(rf"^\s+{field}\s+<", nodes.stdout, re.MULTILINE)
    containers = kubectl("explain", "podmetrics.containers", version)
    assert re.search(r"FIELDS?: containers <\[\]ContainerMetrics>", containers)
    assert re.search(r"^\s+usage\s+<map\[string\]Quantity>", containers, re.MULTILINE)


def test_discovery_lists_both_versions_and_prefers_v1(kubectl: Kubectl) -> None:
    group = kubectl.raw(f"/apis/{GROUP}")
    assert [v["version"] for v in group["versions"]] == ["v1", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1"
    listed = kubectl("api-resources", f"--api-group={GROUP}", "--no-headers")
    assert sorted(line.split()[0] for line in listed.splitlines()) == ["nodes", "pods"]


def test_a_node_that_does_not_exist_is_not_found(kubectl: Kubectl) -> None:
    done = kubectl.run("get", "--raw", f"/apis/{GROUP}/v1beta1/nodes/nobody")
    assert done.returncode == 1
    assert "NotFound" in done.stderr
    assert 'node "nobody" not found' in done.stderr

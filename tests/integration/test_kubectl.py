"""What a person types against `make demo`, with every kubectl that there is."""

import re
import socket

import pytest
import yaml

from tests.integration.conftest import SIMULATED_NODES, Demo
from tests.integration.kubectls import Kubectl

BASE = "/apis/metrics.k8s.io"


def host_node(demo: Demo) -> str:
    names = [n["metadata"]["name"] for n in demo.get(f"{BASE}/v1beta1/nodes")["items"]]
    (name,) = [n for n in names if not n.startswith("sim-")]
    return str(name)


def test_top_nodes_lists_this_machine_and_every_simulated_node(kubectl: Kubectl) -> None:
    done = kubectl("top", "nodes")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split()[:2] == ["NAME", "CPU(cores)"]
    assert len(rows) == 1 + SIMULATED_NODES
    for row in rows:
        assert re.fullmatch(r"\S+\s+\d+m\s+\d+%\s+\d+Mi\s+\d+%\s*", row), row


def test_top_pods_of_all_namespaces_shows_every_container(kubectl: Kubectl) -> None:
    done = kubectl("top", "pods", "-A", "--containers")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert len(rows) > SIMULATED_NODES * 30
    for row in rows:
        assert re.fullmatch(r"\S+\s+\S+\s+\S+\s+\d+m\s+\d+Mi\s*", row), row


def test_top_pods_selects_by_label_and_sorts_by_cpu(demo: Demo, kubectl: Kubectl) -> None:
    pods = demo.get(f"{BASE}/v1beta1/pods")["items"]
    namespace = next(
        p["metadata"]["namespace"] for p in pods if p["metadata"]["namespace"].startswith("team-")
    )
    label = next(p["metadata"]["labels"]["app"] for p in pods if p["metadata"]["namespace"] == namespace)
    wanted = {
        p["metadata"]["name"]
        for p in pods
        if p["metadata"]["namespace"] == namespace and p["metadata"]["labels"].get("app") == label
    }
    done = kubectl("top", "pods", "-n", namespace, "-l", f"app={label}", "--sort-by=cpu")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert {row[0] for row in rows} == wanted
    cpu = [int(row[1].removesuffix("m")) for row in rows]
    assert cpu == sorted(cpu, reverse=True)


def test_top_node_by_name_is_this_machine(demo: Demo, kubectl: Kubectl) -> None:
    name = host_node(demo)
    assert name == re.sub("[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.")
    done = kubectl("top", "node", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[0] == name


def test_both_versions_serve_the_same_kinds(demo: Demo) -> None:
    nodes = demo.get(f"{BASE}/v1beta1/nodes")
    assert (nodes["kind"], nodes["apiVersion"]) == ("NodeMetricsList", "metrics.k8s.io/v1beta1")
    assert {"timestamp", "window", "usage", "metadata"} == set(nodes["items"][0])
    pods = demo.get(f"{BASE}/v1/pods")
    assert (pods["kind"], pods["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1")
    assert {"timestamp", "window", "containers", "metadata"} == set(pods["items"][0])


def test_get_prints_node_metrics_as_a_table(kubectl: Kubectl) -> None:
    header, *rows = kubectl.rows("get", "nodes.metrics.k8s.io")
    assert header == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert len(rows) == 1 + SIMULATED_NODES


@pytest.mark.parametrize("form", [(), ("-o", "wide")], ids=["plain", "wide"])
def test_get_prints_pod_metrics_as_a_table(demo: Demo, kubectl: Kubectl, form: tuple[str, ...]) -> None:
    header, *rows = kubectl.rows("get", "podmetrics", "-A", *form)
    assert header == ["NAMESPACE", "NAME", "CPU", "MEMORY", "WINDOW"]
    simulated = {(r[0], r[1], r[2], r[3]) for r in rows if r[0].startswith("team-")}
    assert len(simulated) == SIMULATED_NODES * 30
    (one,) = [r for r in simulated if r[1] == "billing-00000-014"]
    pod = demo.get(f"{BASE}/v1beta1/namespaces/{one[0]}/pods/{one[1]}")
    milli = sum(int(c["usage"]["cpu"].removesuffix("m")) for c in pod["containers"])
    mebi = sum(int(c["usage"]["memory"].removesuffix("Mi")) for c in pod["containers"])
    assert one[2:] == (f"{milli}m", f"{mebi}Mi")


def test_get_writes_pod_metrics_as_yaml(demo: Demo, kubectl: Kubectl) -> None:
    done = kubectl("get", "podmetrics", "-n", "team-14", "-o", "yaml")
    assert done.returncode == 0, done.stderr
    written = {pod["metadata"]["name"]: pod for pod in yaml.safe_load(done.stdout)["items"]}
    served = demo.get(f"{BASE}/v1beta1/namespaces/team-14/pods")["items"]
    assert list(written) == [pod["metadata"]["name"] for pod in served]
    for pod in served:
        one = written[pod["metadata"]["name"]]
        assert (one["kind"], one["apiVersion"]) == ("PodMetrics", "metrics.k8s.io/v1beta1")
        assert one["containers"] == pod["containers"]


def test_one_pod_can_be_asked_for_by_its_name(kubectl: Kubectl) -> None:
    _, row = kubectl.rows("get", "pods.metrics.k8s.io", "billing-00000-014", "-n", "team-14")
    assert row[0] == "billing-00000-014"
    _, row = kubectl.rows("top", "pod", "billing-00000-014", "-n", "team-14")
    assert row[0] == "billing-00000-014"
    done = kubectl("describe", "podmetrics", "billing-00000-014", "-n", "team-14")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Kind: +PodMetrics$", done.stdout, re.M)


def test_get_raw_is_the_answer_to_the_byte(kubectl: Kubectl) -> None:
    done = kubectl("get", "--raw", f"{BASE}/v1beta1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        '{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"metrics.k8s.io/v1beta1","resources":['
        '{"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]},'
        '{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}]}\n'
    )


def test_api_resources_lists_both_kinds(kubectl: Kubectl) -> None:
    rows = kubectl.rows("api-resources", "--api-group=metrics.k8s.io", "--no-headers")
    assert rows == [
        ["nodes", "metrics.k8s.io/v1beta1", "false", "NodeMetrics"],
        ["pods", "metrics.k8s.io/v1beta1", "true", "PodMetrics"],
    ]


@pytest.mark.parametrize(
    ("what", "kind", "fields"),
    [
        ("nodemetrics", "NodeMetrics", {"metadata", "timestamp", "usage", "window"}),
        ("podmetrics", "PodMetrics", {"metadata", "timestamp", "containers", "window"}),
        ("podmetrics.containers", "PodMetrics", {"name", "usage"}),
    ],
)
def test_explain_tells_the_fields(kubectl: Kubectl, what: str, kind: str, fields: set[str]) -> None:
    done = kubectl("explain", what)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^KIND: +{kind}$", done.stdout, re.M)
    listed = re.findall(r"^ {2,3}(\w+)\t ?<", done.stdout.partition("FIELDS:")[2], re.M)
    assert fields <= set(listed), done.stdout


@pytest.mark.parametrize("what", ["nodes", "pods"])
def test_top_is_answered_in_the_form_that_it_asks_for_first(kubectl: Kubectl, what: str) -> None:
    """Newer kubectls prefer protobuf even with --use-protocol-buffers=false, old ones know JSON alone."""
    modern = kubectl.minor() >= 22
    flags = [f"--use-protocol-buffers={on}" for on in ("true", "false")] if modern else []
    forms, printed = set(), set()
    for flag in ("--no-headers", *flags):
        done = kubectl("top", what, "-n", "team-14", flag, "-v=8")
        assert done.returncode == 0, done.stderr
        told = re.search(
            rf"GET \S+{BASE}/\S+/{what}\b.*?Accept: ([^,\s]+).*?Content-Type: (\S+)", done.stderr, re.DOTALL
        )
        assert told is not None, done.stderr
        assert told[1] == told[2]
        forms.add(told[2])
        rows = (line.split() for line in done.stdout.splitlines())
        printed.add(tuple(tuple(row) for row in rows if re.search(r"^sim-|-0000\d-", row[0])))
    assert ("application/vnd.kubernetes.protobuf" in forms) == modern
    assert len(printed) == 1
    assert len(printed.pop()) >= SIMULATED_NODES


def test_newer_flags_of_top_are_served(demo: Demo) -> None:
    kubectl = demo.kubectl
    if kubectl.minor() < 24:
        pytest.skip(f"kubectl 1.{kubectl.minor()} does not have them")
    *rows, line, total = kubectl.rows("top", "pods", "-n", "team-14", "--sum", "--no-headers")
    assert line == ["________", "________"]
    assert total[0] == f"{sum(int(row[1].removesuffix('m')) for row in rows)}m"
    _, *rows = kubectl.rows("top", "nodes", "--show-capacity")
    assert len(rows) == 1 + SIMULATED_NODES
    rows = kubectl.rows(
        "top", "pods", "-A", "--field-selector=metadata.name=billing-00000-014", "--no-headers"
    )
    assert [row[1] for row in rows] == ["billing-00000-014"]


def test_a_node_that_does_not_exist_is_not_found(kubectl: Kubectl) -> None:
    done = kubectl("top", "node", "nobody")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): node "nobody" not found\n'
    done = kubectl("get", "--raw", f"{BASE}/v1beta1/nodes/nobody")
    assert done.returncode == 1
    assert 'node "nobody" not found' in done.stderr


def test_a_pod_that_does_not_exist_is_not_found(kubectl: Kubectl) -> None:
    done = kubectl("top", "pod", "nobody", "-n", "team-01")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): pods "nobody" not found\n'


def test_the_api_services_are_available_and_say_why(kubectl: Kubectl) -> None:
    done = kubectl(
        "get", "apiservices", "v1beta1.metrics.k8s.io", "-o", "jsonpath={.status.conditions[0].status}"
    )
    assert (done.returncode, done.stdout) == (0, "True"), done.stderr

"""What a person types against `make demo`, with the real kubectl."""

import re
import socket

from tests.integration.conftest import SIMULATED_NODES, Demo

BASE = "/apis/metrics.k8s.io"


def host_node(demo: Demo) -> str:
    names = [n["metadata"]["name"] for n in demo.get(f"{BASE}/v1beta1/nodes")["items"]]
    (name,) = [n for n in names if not n.startswith("sim-")]
    return str(name)


def test_top_nodes_lists_this_machine_and_every_simulated_node(demo: Demo) -> None:
    done = demo.kubectl("top", "nodes")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split()[:2] == ["NAME", "CPU(cores)"]
    assert len(rows) == 1 + SIMULATED_NODES
    for row in rows:
        assert re.fullmatch(r"\S+\s+\d+m\s+\d+%\s+\d+Mi\s+\d+%\s*", row), row


def test_top_pods_of_all_namespaces_shows_every_container(demo: Demo) -> None:
    done = demo.kubectl("top", "pods", "-A", "--containers")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert len(rows) > SIMULATED_NODES * 30
    for row in rows:
        assert re.fullmatch(r"\S+\s+\S+\s+\S+\s+\d+m\s+\d+Mi\s*", row), row


def test_top_pods_selects_by_label_and_sorts_by_cpu(demo: Demo) -> None:
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
    done = demo.kubectl("top", "pods", "-n", namespace, "-l", f"app={label}", "--sort-by=cpu")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert {row[0] for row in rows} == wanted
    cpu = [int(row[1].removesuffix("m")) for row in rows]
    assert cpu == sorted(cpu, reverse=True)


def test_top_node_by_name_is_this_machine(demo: Demo) -> None:
    name = host_node(demo)
    assert name == re.sub("[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.")
    done = demo.kubectl("top", "node", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[0] == name


def test_both_versions_serve_the_same_kinds(demo: Demo) -> None:
    nodes = demo.get(f"{BASE}/v1beta1/nodes")
    assert (nodes["kind"], nodes["apiVersion"]) == ("NodeMetricsList", "metrics.k8s.io/v1beta1")
    assert {"timestamp", "window", "usage", "metadata"} == set(nodes["items"][0])
    pods = demo.get(f"{BASE}/v1/pods")
    assert (pods["kind"], pods["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1")
    assert {"timestamp", "window", "containers", "metadata"} == set(pods["items"][0])


def test_get_prints_node_metrics_as_a_table(demo: Demo) -> None:
    done = demo.kubectl("get", "nodes.metrics.k8s.io")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert len(rows) == 1 + SIMULATED_NODES


def test_a_node_that_does_not_exist_is_not_found(demo: Demo) -> None:
    done = demo.kubectl("top", "node", "nobody")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): node "nobody" not found\n'
    done = demo.kubectl("get", "--raw", f"{BASE}/v1beta1/nodes/nobody")
    assert done.returncode == 1
    assert 'node "nobody" not found' in done.stderr


def test_a_pod_that_does_not_exist_is_not_found(demo: Demo) -> None:
    done = demo.kubectl("top", "pod", "nobody", "-n", "team-01")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): pods "nobody" not found\n'


def test_the_api_services_are_available_and_say_why(demo: Demo) -> None:
    done = demo.kubectl(
        "get", "apiservices", "v1beta1.metrics.k8s.io", "-o", "jsonpath={.status.conditions[0].status}"
    )
    assert (done.returncode, done.stdout) == (0, "True"), done.stderr


def test_server_logs_no_error_over_the_whole_run(demo: Demo) -> None:
    lines = (demo.directory / "server.log").read_text().splitlines()
    assert [line for line in lines if line.startswith(("E", "F", "Traceback"))] == []

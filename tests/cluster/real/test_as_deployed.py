"""From `kubectl apply -k manifests/base` to `kubectl top`: nothing between was bent to fit.

Deployment, ReplicaSet, EndpointSlice and APIServices are looked after by their real controllers.
"""

import contextlib
import json
from pathlib import Path

import pytest

from tests.cluster.real.agent import COMMAND
from tests.cluster.real.conftest import NODES, PODS, Cluster
from tests.cluster.real.container import can_isolate
from tests.cluster.real.control_plane import on_loopback
from tests.cluster.real.deployed import GROUP


def test_the_rollout_ends(controlled: Cluster) -> None:
    where = ("deployment/metrics-server", "-n", "kube-system", "--timeout=20s")
    assert "successfully rolled out" in controlled.kubectl("rollout", "status", *where)
    apiservices = [f"apiservice/{version}.{GROUP}" for version in ("v1", "v1beta1")]
    controlled.kubectl("wait", "--for=condition=Available", "--timeout=20s", *apiservices)


def test_its_arguments_are_the_deployments(own: Cluster) -> None:
    deployment = json.loads(
        own.kubectl("get", "deployment/metrics-server", "-n", "kube-system", "-o", "json")
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    if not can_isolate():
        pytest.skip("without root, or mounts of one's own, it is given a kubeconfig: run as root")
    pod = own.kubectl.items("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dmetrics-server")[0]
    address = on_loopback(pod["status"]["podIP"])
    wanted = [*COMMAND, *container["args"], f"--bind-address={address}"]
    assert "\0".join([*wanted, ""]) in command_lines()


def test_it_comes_with_the_token_of_its_own_pod(own: Cluster) -> None:
    pods = own.kubectl.items("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dmetrics-server")
    names = {pod["metadata"]["name"] for pod in pods}
    last = own.control_plane.asked_by_the_server()[-1]["user"]
    assert last["extra"]["authentication.kubernetes.io/pod-name"][0].startswith("metrics-server-")
    assert len(names) == 1


def command_lines() -> list[str]:
    """Of all processes; a process may end while it is looked at."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((process / "cmdline").read_text(errors="replace"))
    return found


def test_top_answers_for_every_node_and_pod(own: Cluster) -> None:
    assert len(own.kubectl.rows("top", "nodes")) == NODES
    assert len(own.kubectl.rows("top", "pods", "-A")) >= NODES * PODS

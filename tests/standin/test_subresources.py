"""What stands below objects, as kubectl and whoever diagnoses a cluster ask for it."""

from pathlib import Path
from typing import Any

import msgspec

from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.deployed import deployment_body
from pymetrics_server.standin.resources import DEPLOYMENTS, ENDPOINTSLICES, PODS
from tests.standin.backend import FakeBackend
from tests.standin.conftest import Client, Kubectl

_POD = "/api/v1/namespaces/kube-system/pods"


def _put_server(cluster: StandinCluster, port: int) -> None:
    pod: dict[str, Any] = {
        "metadata": {"name": "server-1", "namespace": "kube-system", "creationTimestamp": format_rfc3339(0)},
        "spec": {"containers": [{"name": "server", "ports": [{"name": "https", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }
    cluster.revisions.put(PODS, pod)


async def test_logs_show_the_last_lines_that_a_pod_wrote(
    cluster: StandinCluster, kubectl: Kubectl, admin: Client, tmp_path: Path
) -> None:
    _put_server(cluster, 1)
    cluster.logs["kube-system", "server-1"] = tmp_path / "server-1.log"
    (tmp_path / "server-1.log").write_text("one\ntwo\nthree\n")
    code, out, err = await kubectl("-n", "kube-system", "logs", "server-1", "--tail=2")
    assert (code, out) == (0, "two\nthree\n"), err
    status, refused = await admin.get(f"{_POD}/nobody/log")
    assert (status, refused["message"]) == (404, 'pods "nobody" not found')


async def test_a_pod_is_asked_through_kube_apiserver_as_nobody(
    cluster: StandinCluster, backend: FakeBackend, admin: Client
) -> None:
    port = _port_of(cluster)
    _put_server(cluster, port)
    for name in (f"https:server-1:{port}", "https:server-1:https"):
        status, _ = await admin.get(f"{_POD}/{name}/proxy/apis/other/v1/nodes?a=b")
        assert status == 200
        path, headers, common_name = backend.requests.pop()
        assert (path, common_name) == ("/apis/other/v1/nodes?a=b", "")
        assert {key.lower() for key, _ in headers}.isdisjoint({"authorization", "x-remote-user"})
    status, refused = await admin.get(f"{_POD}/https:server-1:web/proxy/")
    assert (status, refused["message"]) == (400, 'no port with the name "web"')


async def test_a_pod_where_nothing_listens_is_told_of_in_gos_words(
    cluster: StandinCluster, admin: Client
) -> None:
    _put_server(cluster, 1)
    status, refused = await admin.get(f"{_POD}/https:server-1:1/proxy/readyz")
    assert status == 503
    assert (
        refused["message"]
        == "error trying to reach service: dial tcp 127.0.0.1:1: connect: connection refused"
    )


async def test_a_kubelet_is_asked_through_kube_apiserver(cluster: StandinCluster, admin: Client) -> None:
    status, summary = await admin.get("/api/v1/nodes/sim-00001/proxy/stats/summary?only_cpu_and_memory=true")
    assert (status, summary["node"]["nodeName"]) == (200, "sim-00001")


async def test_a_deployment_tells_its_scale_and_whom_it_selects(
    cluster: StandinCluster, admin: Client
) -> None:
    cluster.revisions.put(DEPLOYMENTS, deployment_body(["--metric-resolution=15s"], 10250, 0))
    status, scale = await admin.get("/apis/apps/v1/namespaces/kube-system/deployments/metrics-server/scale")
    assert (status, scale["kind"], scale["apiVersion"]) == (200, "Scale", "autoscaling/v1")
    assert scale["status"] == {"replicas": 1, "selector": "k8s-app=metrics-server"}


async def test_below_other_objects_there_is_nothing(admin: Client, anonymous: Client) -> None:
    assert (await admin.get("/api/v1/nodes/sim-00000/status"))[0] == 404
    assert (await admin.get("/api/v1/namespaces/default/configmaps/x/proxy"))[0] == 404
    assert (await anonymous.get("/api/v1/nodes/sim-00000/proxy/stats/summary"))[0] == 403


def _port_of(cluster: StandinCluster) -> int:
    (found,) = cluster.revisions.all(ENDPOINTSLICES, "kube-system")
    return int(msgspec.json.decode(found.body)["ports"][0]["port"])


async def test_kubectl_shows_what_makes_the_server_findable(
    cluster: StandinCluster, kubectl: Kubectl
) -> None:
    cluster.revisions.put(DEPLOYMENTS, deployment_body([], 10250, cluster.clock.now_ns()))
    _put_server(cluster, 10250)
    asked = "services,endpointslices,deployments,pods,certificatesigningrequests,horizontalpodautoscalers"
    code, out, err = await kubectl("-n", "kube-system", "get", asked)
    assert code == 0, err
    rows = [
        line.split()[:-1]
        for line in out.splitlines()
        if line.startswith(("service/", "deployment.apps/", "pod/"))
    ]
    assert rows == [
        ["service/metrics-server", "ClusterIP", "10.96.0.43", "<none>", "443/TCP"],
        ["deployment.apps/metrics-server", "1/1", "1", "1"],
        ["pod/server-1", "0/1", "Running", "0"],
    ]

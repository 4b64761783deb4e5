"""The aggregation layer in front of a server, as a user and kube-apiserver see it."""

import asyncio

from pymetrics_server.standin.aggregator import VERSIONS
from pymetrics_server.standin.cluster import StandinCluster
from tests.standin.backend import FakeBackend
from tests.standin.conftest import Client, Kubectl

NODES = "/apis/metrics.k8s.io/v1beta1/nodes"


async def test_without_a_server_the_api_is_unavailable_and_says_so(admin: Client, kubectl: Kubectl) -> None:
    status, refused = await admin.get(NODES)
    assert (status, refused["reason"]) == (503, "ServiceUnavailable")
    assert refused["message"] == "the server is currently unable to handle the request"
    code, _, err = await kubectl("top", "nodes")
    assert (code, err) == (1, "error: Metrics API not available\n")


async def test_an_available_server_shows_in_discovery_and_apiservices(
    admin: Client, backend: FakeBackend, kubectl: Kubectl
) -> None:
    _, groups = await admin.get("/apis", "application/json")
    (group,) = [g for g in groups["groups"] if g["name"] == "metrics.k8s.io"]
    assert [v["version"] for v in group["versions"]] == list(VERSIONS)
    code, out, err = await kubectl("get", "apiservices", "--no-headers")
    assert code == 0, err
    assert [row.split()[2] for row in out.splitlines()] == ["True", "True"]
    assert ("system:kube-aggregator", "system:masters") in backend.checked_as
    code, out, err = await kubectl("api-resources", "--api-group=metrics.k8s.io", "--no-headers")
    assert code == 0, err
    assert [row.split() for row in out.splitlines()] == [
        ["nodes", "metrics.k8s.io/v1beta1", "false", "NodeMetrics"],
        ["pods", "metrics.k8s.io/v1beta1", "true", "PodMetrics"],
    ]


async def test_kubectl_top_nodes_works_through_it(backend: FakeBackend, kubectl: Kubectl) -> None:
    code, out, err = await kubectl("top", "nodes")
    assert code == 0, err
    assert [row.split()[:2] for row in out.splitlines()[1:]] == [
        ["sim-00000", "250m"],
        ["sim-00001", "1500m"],
    ]


async def test_the_server_is_told_who_asks_and_never_sees_their_credentials(
    cluster: StandinCluster, backend: FakeBackend
) -> None:
    client = Client(cluster, cluster.add_user("jane", "devs", "metrics-readers"))
    try:
        path = f"{NODES}?labelSelector=a%3Db&pretty=1"
        spoofed = {
            "X-Remote-User": "root",
            "X-Remote-Group": "system:masters",
            "X-Remote-Extra-Scopes": "all",
        }
        status, _ = await client.get(path, "application/json", **spoofed)
    finally:
        await client.session.close()
    assert status == 200
    ((seen, headers, peer),) = backend.requests
    assert (seen, peer) == (path, "front-proxy-client")
    remote = [(k, v) for k, v in headers if k.lower().startswith("x-remote-")]
    assert remote == [
        ("X-Remote-User", "jane"),
        ("X-Remote-Group", "devs"),
        ("X-Remote-Group", "metrics-readers"),
        ("X-Remote-Group", "system:authenticated"),
    ]
    names = {k.lower() for k, _ in headers}
    assert "authorization" not in names
    assert {"x-forwarded-for", "x-forwarded-host", "x-forwarded-uri", "x-forwarded-proto"} <= names


async def test_a_server_that_goes_away_is_noticed_and_its_return_too(
    admin: Client, cluster: StandinCluster, backend: FakeBackend
) -> None:
    backend.status = 500
    cluster.aggregator.check_now()
    async with asyncio.timeout(10):
        while cluster.aggregator.available_versions():
            await cluster.revisions.wait_past(cluster.revisions.revision)
    known = cluster.aggregator.availability("v1beta1")
    assert known.reason == "FailedDiscoveryCheck"
    assert known.message.endswith("/apis/metrics.k8s.io/v1beta1: 500")
    assert (await admin.get(NODES))[0] == 503
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    _, groups = await admin.get("/apis", accept)
    (group,) = [g for g in groups["items"] if g["metadata"]["name"] == "metrics.k8s.io"]
    assert {v["freshness"] for v in group["versions"]} == {"Stale"}
    backend.status = 200
    async with asyncio.timeout(10):
        await cluster.aggregator.wait_available()
    assert (await admin.get(NODES))[0] == 200


async def test_a_server_that_no_longer_knows_its_group_is_unavailable_until_it_does(
    backend: FakeBackend, cluster: StandinCluster
) -> None:
    backend.discovered = ["other.example"]
    cluster.aggregator.check_now()
    async with asyncio.timeout(10):
        while cluster.aggregator.available_versions():
            await cluster.revisions.wait_past(cluster.revisions.revision)
    assert "the discovery document cannot be read" in cluster.aggregator.availability("v1beta1").message
    backend.discovered = None
    async with asyncio.timeout(10):
        await cluster.aggregator.wait_available()


async def test_who_may_not_read_metrics_is_refused_before_the_server_is_asked(
    anonymous: Client, backend: FakeBackend
) -> None:
    assert (await anonymous.get(NODES))[0] == 403
    assert backend.requests == []

"""Straight to the server's port, past the aggregator: who may come in."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.integration.processes import BASE, RunningServer, server_beside

CLAIMS = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
NODES = f"{BASE}/nodes"

House = tuple[StandinCluster, RunningServer]


@pytest_asyncio.fixture(name="house")
async def _house(tmp_path: Path) -> AsyncIterator[House]:
    async with StandinCluster(tmp_path, 1, host=False) as cluster, server_beside(cluster) as server:
        yield cluster, server


async def test_claims_count_only_behind_the_front_proxys_own_certificate(house: House) -> None:
    cluster, server = house
    now_ns = SystemClock().now_ns()
    name = "front-proxy-client"
    stranger_ca = make_ca("front-proxy-ca", now_ns)

    status, body = await server.ask(NODES, CLAIMS)
    assert status == 403
    assert 'User \\"system:anonymous\\" cannot list' in body

    of_client_ca = issue(cluster.pki.cluster_ca, name, now_ns, client=True)
    status, body = await server.ask(NODES, CLAIMS, of_client_ca)
    assert status == 403
    assert f'User \\"{name}\\" cannot list' in body  # who the certificate says, not who the header says

    other_name = issue(cluster.pki.front_proxy_ca, "somebody", now_ns, client=True)
    assert (await server.ask(NODES, CLAIMS, other_name))[0] == 401

    for pair in (make_ca(name, now_ns), issue(stranger_ca, name, now_ns, client=True)):
        with pytest.raises(aiohttp.ClientError):  # refused in the handshake, before there is HTTP
            await server.ask(NODES, CLAIMS, pair)

    files = cluster.pki.front_proxy_client
    front_proxy = Pair(files.cert.read_bytes(), files.key.read_bytes())
    status, body = await server.ask(NODES, CLAIMS, front_proxy)
    assert status == 200
    assert [n["metadata"]["name"] for n in json.loads(body)["items"]] == cluster.node_names


async def test_only_the_probes_are_open_to_everybody(house: House) -> None:
    _, server = house
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await server.ask(path))[0] == 200
    for path in ("/", "/apis", BASE, NODES, "/metrics", "/readyz/ping", "/no/such/path"):
        assert (await server.ask(path))[0] == 403
    assert (await server.ask("/healthz", {"Authorization": "Bearer made-up"}))[0] == 401


async def test_a_token_is_who_kube_apiserver_says_it_is(house: House) -> None:
    cluster, server = house
    alice = cluster.add_user("alice")
    status, _ = await server.ask(BASE, {"Authorization": f"Bearer {alice}"})
    assert status == 200  # discovery is for all who are authenticated
    assert (await server.ask("/metrics", {"Authorization": f"Bearer {alice}", **CLAIMS}))[0] == 403


async def test_the_server_asks_kube_apiserver_for_nothing_beyond_its_role(house: House) -> None:
    cluster, _ = house
    asked = {
        (a.method, a.path.partition("?")[0])
        for a in cluster.apiserver.accesses
        if a.user == "system:serviceaccount:kube-system:metrics-server"
    }
    assert asked == {
        ("GET", "/api/v1/nodes"),
        ("GET", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/kube-system/configmaps"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    }

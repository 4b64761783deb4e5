"""Whom stand-in kubelets let in: whoever kube-apiserver knows and allows, and in a kubelet's own words nobody else."""

import aiohttp
import pytest

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.pki import client_context
from pymetrics_server.standin.reviews import SERVER_ACCOUNT

_REFUSED = "Forbidden (user={}, verb=get, resource=nodes, subresource(s)=[{}])"


async def ask(
    cluster: StandinCluster, path: str, token: str = "", *, as_admin: bool = False
) -> tuple[int, str]:
    pki = cluster.pki
    context = client_context(pki.cluster_ca.cert_pem, pki.admin if as_admin else None)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        url = f"https://127.0.0.1:{cluster._ports['sim-00000']}{path}"
        async with session.get(url, headers=headers) as answer:
            return answer.status, await answer.text()


@pytest.mark.parametrize("path", ["/stats/summary", "/metrics/resource"])
async def test_the_server_and_a_client_certificate_of_the_cluster_are_let_in(
    cluster: StandinCluster, path: str
) -> None:
    assert (await ask(cluster, path, cluster.server_token))[0] == 200
    assert (await ask(cluster, path, as_admin=True))[0] == 200
    assert await ask(cluster, path) == (401, "Unauthorized")
    assert await ask(cluster, path, "made-up") == (401, "Unauthorized")


async def test_who_may_not_is_told_who_and_what(cluster: StandinCluster) -> None:
    jane = cluster.add_user("jane")
    assert await ask(cluster, "/stats/summary", jane) == (403, _REFUSED.format("jane", "stats"))
    assert await ask(cluster, "/metrics/resource", jane) == (403, _REFUSED.format("jane", "metrics"))
    assert await ask(cluster, "/pods", cluster.server_token) == (
        403,
        _REFUSED.format(SERVER_ACCOUNT, "proxy"),
    )


async def test_to_a_kubelet_without_webhooks_whoever_shows_a_token_is_anonymous(
    cluster: StandinCluster,
) -> None:
    cluster.kubelet_guard.knows_tokens = False
    refused = _REFUSED.format("system:anonymous", "stats")
    assert await ask(cluster, "/stats/summary", cluster.server_token) == (403, refused)
    assert (await ask(cluster, "/stats/summary", as_admin=True))[0] == 200

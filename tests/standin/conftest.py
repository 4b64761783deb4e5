"""A small stand-in cluster of simulated nodes, and who may ask it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.pki import client_context
from tests.programs import direct_environment
from tests.standin.backend import FakeBackend, node_metrics

PODS = 4
NODES = 2


class Client:
    """Asks kube-apiserver as the administrator, or as whoever holds `token`."""

    def __init__(self, cluster: StandinCluster, token: str = "") -> None:
        pair = None if token else cluster.pki.admin
        self._url = cluster.apiserver_url
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context(cluster.pki.cluster_ca.cert_pem, pair)),
            headers={"Authorization": f"Bearer {token}"} if token and token != "-" else None,
        )

    async def get(self, path: str, accept: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
        sent = {**headers, **({"Accept": accept} if accept else {})}
        async with self.session.get(self._url + path, headers=sent) as answer:
            document: dict[str, Any] = await answer.json(content_type=None)
            return answer.status, document

    async def post(self, path: str, document: object) -> tuple[int, dict[str, Any]]:
        async with self.session.post(self._url + path, json=document) as answer:
            found: dict[str, Any] = await answer.json()
            return answer.status, found

    def stream(self, path: str) -> Any:
        return self.session.get(self._url + path)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[StandinCluster]:
    async with StandinCluster(
        tmp_path, NODES, host=False, simulated_pods=PODS, bookmark_interval_s=0.2
    ) as running:
        yield running


@pytest.fixture
async def backend(cluster: StandinCluster, tmp_path: Path) -> AsyncIterator[FakeBackend]:
    running = FakeBackend(tmp_path, cluster.pki.front_proxy_ca.cert_pem)
    running.nodes = [node_metrics("sim-00000"), node_metrics("sim-00001", "1500m")]
    cluster.set_backend(await running.start())
    async with asyncio.timeout(10):
        await cluster.aggregator.wait_available()
    yield running
    await running.stop()


@pytest.fixture
async def admin(cluster: StandinCluster) -> AsyncIterator[Client]:
    client = Client(cluster)
    yield client
    await client.session.close()


@pytest.fixture
async def server_account(cluster: StandinCluster) -> AsyncIterator[Client]:
    client = Client(cluster, cluster.server_token)
    yield client
    await client.session.close()


@pytest.fixture
async def anonymous(cluster: StandinCluster) -> AsyncIterator[Client]:
    client = Client(cluster, "-")
    yield client
    await client.session.close()


class Kubectl:
    """The real one."""

    def __init__(self, program: str, cluster: StandinCluster, home: Path) -> None:
        self._start = (
            program,
            "--kubeconfig",
            str(cluster.admin_kubeconfig),
            "--cache-dir",
            str(home / "cache"),
        )
        self._environment = direct_environment(HOME=str(home))

    async def __call__(self, *args: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            *self._start,
            *args,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def kubectl(cluster: StandinCluster, tmp_path: Path) -> Kubectl:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed: apt-get install kubernetes-client")
    return Kubectl(program, cluster, tmp_path)

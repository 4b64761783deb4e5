"""Stand-in kubelets over real sockets and real TLS."""

import asyncio
import json
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from pymetrics_server.standin.kubelet import StandinKubelet, StandinKubelets
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.x509 import issue, make_ca

TOKEN = {"Authorization": "Bearer good"}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A kubelet's context and one that trusts it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    ca = make_ca("kubelet-ca", time.time_ns())
    leaf = issue(ca, "system:node:a", time.time_ns(), hosts=["127.0.0.1"], server=True)
    (folder / "tls.pem").write_bytes(leaf.cert_pem + leaf.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.pem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client.load_verify_locations(cadata=ca.cert_pem.decode())
    return server, client


def knows(token: str | None) -> bool:
    return token == "good"


def simulated(index: int) -> SimulatedNode:
    return SimulatedNode(index, 2, epoch_ns=time.time_ns())


@pytest.fixture
async def port(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[int]:
    kubelet = StandinKubelet(simulated(1), tls[0], knows)
    yield await kubelet.start("127.0.0.1", 0)
    await kubelet.stop()


@pytest.fixture
async def session(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls[1])) as session:
        yield session


async def test_both_endpoints_answer_to_a_known_token(port: int, session: aiohttp.ClientSession) -> None:
    base = f"https://127.0.0.1:{port}"
    async with session.get(f"{base}/stats/summary?only_cpu_and_memory=true", headers=TOKEN) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert json.loads(await answer.read())["node"]["nodeName"] == "sim-00001"
    async with session.get(f"{base}/metrics/resource", headers=TOKEN) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert b"node_cpu_usage_seconds_total" in await answer.read()
    async with session.get(f"{base}/healthz", headers=TOKEN) as answer:
        assert (answer.status, await answer.text()) == (200, "ok")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer bad"}, {"Authorization": "Basic good"}, {"Authorization": "Bearer"}],
)
@pytest.mark.parametrize("path", ["/stats/summary", "/metrics/resource", "/other"])
async def test_without_a_known_token_nothing_is_told(
    port: int, session: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> None:
    async with session.get(f"https://127.0.0.1:{port}{path}", headers=headers) as answer:
        assert (answer.status, await answer.text()) == (401, "Unauthorized")


async def test_other_paths_are_not_found(port: int, session: aiohttp.ClientSession) -> None:
    async with session.get(f"https://127.0.0.1:{port}/pods", headers=TOKEN) as answer:
        assert answer.status == 404


async def test_nothing_can_be_changed(port: int, session: aiohttp.ClientSession) -> None:
    async with session.post(f"https://127.0.0.1:{port}/run", headers=TOKEN) as answer:
        assert answer.status == 405


async def test_one_connection_serves_many_scrapes(
    port: int, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls[1])
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer good\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
    writer.close()
    await writer.wait_closed()


async def test_clients_that_fail_the_handshake_leave_no_noise(
    port: int, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(sent)
    distrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=distrusting)
    async with session.get(f"https://127.0.0.1:{port}/healthz", headers=TOKEN) as answer:
        assert answer.status == 200
    assert caplog.records == []


class Broken:
    def view(self) -> SimulatedNode:
        raise RuntimeError("no /proc")


async def test_a_source_that_fails_is_a_500_and_is_logged(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kubelet = StandinKubelet(Broken(), tls[0], knows)  # type: ignore[arg-type]
    port = await kubelet.start()
    try:
        async with session.get(f"https://127.0.0.1:{port}/stats/summary", headers=TOKEN) as answer:
            assert answer.status == 500
    finally:
        await kubelet.stop()
    assert [r.getMessage() for r in caplog.records] == ["The stand-in kubelet failed to answer"]


async def test_a_stopped_kubelet_refuses(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], session: aiohttp.ClientSession
) -> None:
    kubelet = StandinKubelet(simulated(1), tls[0], knows)
    port = await kubelet.start()
    async with session.get(f"https://127.0.0.1:{port}/healthz", headers=TOKEN) as answer:
        assert answer.status == 200
    await kubelet.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(f"https://127.0.0.1:{port}/healthz", headers=TOKEN)


async def test_a_thousand_kubelets_are_up_in_seconds_and_each_speaks_for_its_own_node(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], session: aiohttp.ClientSession
) -> None:
    kubelets = StandinKubelets([simulated(i) for i in range(1000)], tls[0], knows)
    began = time.process_time()
    ports = await kubelets.start()
    took_s = time.process_time() - began
    try:
        assert len(set(ports.values())) == 1000
        assert took_s < 3
        for name in ("sim-00000", "sim-00500", "sim-00999"):
            async with session.get(f"https://127.0.0.1:{ports[name]}/stats/summary", headers=TOKEN) as answer:
                assert json.loads(await answer.read())["node"]["nodeName"] == name
    finally:
        await kubelets.stop()

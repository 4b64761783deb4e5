"""The process itself under clients that nobody would invite: those who belong are answered meanwhile."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import aiohttp

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.integration.processes import BASE, RunningServer, server_beside, trusting_anybody

SLOW_CLIENTS = 200
HANDSHAKES = 150


async def closed(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        return await asyncio.wait_for(reader.read(), 10)
    return b""


async def dial(server: RunningServer, context: ssl.SSLContext) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, "127.0.0.1", server.port, ssl=context
    )
    return transport


def open_files(server: RunningServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def test_hostile_clients_cost_those_who_belong_nothing(tmp_path: Path) -> None:
    async with StandinCluster(tmp_path, 1, host=False) as cluster, server_beside(cluster) as server:
        anybody = trusting_anybody(None, tmp_path)
        stranger = issue(
            make_ca("front-proxy-ca", now := SystemClock().now_ns()), "front-proxy-client", now, client=True
        )
        (tmp_path / "stranger").mkdir()
        distrusted = trusting_anybody(stranger, tmp_path / "stranger")
        files = cluster.pki.front_proxy_client
        front_proxy = Pair(files.cert.read_bytes(), files.key.read_bytes())
        reader = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
        files_before = open_files(server)

        async with contextlib.AsyncExitStack() as stack:
            for number in range(SLOW_CLIENTS):
                if number % 2:
                    silent = stack.enter_context(socket.socket())
                    silent.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(silent, ("127.0.0.1", server.port))
                else:
                    slow = await dial(server, anybody)
                    stack.callback(slow.abort)
                    slow.write(b"GET /healthz HTTP/1.1\r\nX-Slow: ")

            async def shake_hands_in_vain() -> None:
                for _ in range(HANDSHAKES):
                    with contextlib.suppress(OSError, aiohttp.ClientError):
                        (await dial(server, distrusted)).abort()

            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(shake_hands_in_vain())
                for _ in range(6):  # as the aggregator does: five at once, each on a connection of its own
                    async with asyncio.timeout(5), asyncio.TaskGroup() as burst:
                        asked = [burst.create_task(server.ask(BASE, reader, front_proxy)) for _ in range(5)]
                    assert [task.result()[0] for task in asked] == [200] * 5

        await server.until(lambda: open_files(server) <= files_before + 5)
        said = "\n".join(server.log_lines)
        assert said.count("A client's certificate was refused in the TLS handshake") == 1
        assert "Traceback" not in said


async def test_what_is_no_http_hears_so_and_leaves_no_trace_in_the_log(tmp_path: Path) -> None:
    async with (
        StandinCluster(tmp_path, 1, host=False) as cluster,
        server_beside(cluster, ready=False) as server,
    ):
        await server.until(lambda: any("Serving securely" in line for line in server.log_lines))
        lines_before = len(server.log_lines)
        anybody = trusting_anybody(None, tmp_path)
        for sent, code in (
            (b"\x16\x03\x01\x00\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nAuthorization: Bearer secret\0\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 300_000 + b"\r\n\r\n", b"431"),
            (b"GET / HTTP/1.1\r\n" + (b"X: " + b"x" * 1000 + b"\r\n") * 1200, b"431"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=anybody)
            with contextlib.suppress(ConnectionError):
                writer.write(sent)
                await writer.drain()
            head, _, body = (await closed(reader)).partition(b"\r\n\r\n")
            assert head.split(b" ")[1] == code
            assert body.startswith(code)
            writer.close()
        assert not [
            line for line in server.log_lines[lines_before:] if "secret" in line or "Traceback" in line
        ]

"""The server as a process of its own, beside a stand-in cluster that a test holds in its hands."""

import asyncio
import contextlib
import ssl
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.x509 import Pair
from tests.programs import free_port

BASE = "/apis/metrics.k8s.io/v1beta1"
_END_S = 20.0


def trusting_anybody(pair: Pair | None, directory: Path) -> ssl.SSLContext:
    """A client that shows `pair`, where there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pair is not None:
        path = directory / "client.pem"
        path.write_bytes(pair.cert_pem + pair.key_pem)
        context.load_cert_chain(path)
    return context


class RunningServer:
    def __init__(self, process: Process, port: int, directory: Path, token: str) -> None:
        self.process = process
        self.port = port
        self.directory = directory
        self._token = token

    @property
    def log_lines(self) -> list[str]:
        return (self.directory / "server.log").read_text().splitlines()

    async def ask(
        self, path: str, headers: Mapping[str, str] | None = None, pair: Pair | None = None
    ) -> tuple[int, str]:
        """Straight to the server on a new connection, as nobody unless `headers` and `pair` say otherwise."""
        connector = aiohttp.TCPConnector(ssl=trusting_anybody(pair, self.directory))
        url = f"https://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, headers=headers) as response,
        ):
            return response.status, await response.text()

    async def items(self, path: str) -> list[dict[str, Any]]:
        """A list, as a user who may read it; empty while it is refused."""
        connector = aiohttp.TCPConnector(ssl=trusting_anybody(None, self.directory))
        url = f"https://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, headers={"Authorization": f"Bearer {self._token}"}) as response,
        ):
            found: list[dict[str, Any]] = (await response.json())["items"] if response.status == 200 else []
            return found

    async def until(self, holds: Callable[[], Any], timeout_s: float = 40) -> None:
        """Until `holds()`, which may be a coroutine function, is true of the running server."""
        async with asyncio.timeout(timeout_s):
            while True:
                assert self.process.returncode is None, self.log_lines
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    answer = holds()
                    if await answer if asyncio.iscoroutine(answer) else answer:
                        return
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def server_beside(
    cluster: StandinCluster, *flags: str, ready: bool = True
) -> AsyncIterator[RunningServer]:
    """With `ready`, from when every node that the cluster has is served."""
    port = free_port()
    with (cluster.directory / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pymetrics_server", *cluster.server_flags(port), *flags, stderr=log
        )
    server = RunningServer(process, port, cluster.directory, cluster.add_user("reader", "system:masters"))
    try:
        if ready:

            async def all_there() -> bool:
                return len(await server.items(f"{BASE}/nodes")) == len(cluster.node_names)

            await server.until(all_there)
        yield server
    finally:
        await end(process)


async def end(process: Process) -> None:
    """Raises TimeoutError where it does not end by itself; it is gone then, too."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise

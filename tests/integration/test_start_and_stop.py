"""Start and stop with real signals: whenever one comes, the process ends as Kubernetes counts on."""

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.options import Options
from pymetrics_server.standin.apiserver import StandinApiserver
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.x509 import Pair
from tests.integration.processes import BASE, RunningServer, server_beside, trusting_anybody
from tests.programs import direct_environment, free_port, until

_SOON_S = 20.0  # of a machine that does other things as well
_AS_COMMANDED = ["-m", "pymetrics_server"]
_WITHOUT_UVLOOP = [
    "-c",
    "import sys; sys.modules['uvloop'] = None; from pymetrics_server.__main__ import main; sys.exit(main())",
]
LOOPS = pytest.mark.parametrize("program", [_AS_COMMANDED, _WITHOUT_UVLOOP], ids=["uvloop", "asyncio"])
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)

Start = Callable[..., "subprocess.Popen[bytes]"]


def kubeconfig(directory: Path, user: str = "{token: t}") -> Path:
    """Of a kube-apiserver that nobody runs."""
    path = directory / "kubeconfig"
    path.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        f" users: [{{name: u, user: {user}}}],"
        f" clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{free_port()}'}}}}]}}"
    )
    return path


def flags(kubeconfig: Path, *more: str) -> list[str]:
    return [
        *(f"--{p}kubeconfig={kubeconfig}" for p in ("", "authentication-", "authorization-")),
        "--bind-address=127.0.0.1",
        f"--secure-port={free_port()}",
        f"--cert-dir={kubeconfig.parent / 'certs'}",
        *more,
    ]


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "server.log").open("wb") as log:
            process = subprocess.Popen(arguments, stderr=log, stdout=log, env=direct_environment())
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def hears(pid: int, number: signal.Signals = signal.SIGTERM) -> bool:
    """Whether the process has a handler for the signal, as Linux tells."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def ended(process: "subprocess.Popen[bytes]", directory: Path) -> tuple[int, str]:
    """Its status and what it said."""
    status = process.wait(_SOON_S)
    return status, (directory / "server.log").read_text()


@SIGNALS
def test_a_signal_before_anything_is_there_ends_the_process_with_status_0(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(sys.executable, *_AS_COMMANDED, *flags(kubeconfig(tmp_path)))
    until("hears signals", lambda: hears(process.pid, number))
    process.send_signal(number)
    status, said = ended(process, tmp_path)
    assert (status, "Traceback" in said) == (0, False), said


@LOOPS
def test_a_signal_while_a_file_does_not_come_ends_the_process_with_status_0(
    start: Start, tmp_path: Path, program: list[str]
) -> None:
    """As from a mount that hangs."""
    os.mkfifo(tmp_path / "kubeconfig")
    process = start(sys.executable, *program, *flags(tmp_path / "kubeconfig"))
    until("has come to the kubeconfig", lambda: "self-signed cert" in (tmp_path / "server.log").read_text())
    process.send_signal(signal.SIGTERM)
    status, said = ended(process, tmp_path)
    assert (status, "Traceback" in said) == (0, False), said


@LOOPS
def test_a_signal_while_an_exec_plugin_thinks_ends_the_process_with_status_0(
    start: Start, tmp_path: Path, program: list[str]
) -> None:
    user = (
        "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh,"
        f" args: ['-c', 'echo $$ > {tmp_path}/began; exec sleep 60']}}}}"
    )
    process = start(sys.executable, *program, *flags(kubeconfig(tmp_path, user)))
    plugin = int(until("the plugin runs", lambda: began(tmp_path / "began")))
    try:
        process.send_signal(signal.SIGTERM)
        status, said = ended(process, tmp_path)
        assert (status, "Traceback" in said) == (0, False), said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(plugin, signal.SIGKILL)


def began(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def test_the_first_process_of_a_container_hears_signals_too(start: Start, tmp_path: Path) -> None:
    """The kernel takes a signal without a handler from the first process of a PID namespace."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--pid", "--fork", "true"], check=False).returncode:
        pytest.skip("needs root and unshare: apt-get install util-linux")
    outer = start(
        unshare, "--pid", "--fork", "--kill-child", sys.executable, *_AS_COMMANDED, *flags(kubeconfig(tmp_path))
    )  # fmt: skip
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    inner = until("is forked", lambda: int(children.read_text() or 0))
    until("hears signals", lambda: hears(inner))
    os.kill(inner, signal.SIGTERM)
    assert ended(outer, tmp_path)[0] == 0


@LOOPS
@SIGNALS
async def test_a_signal_while_the_caches_wait_ends_the_process_at_once_with_status_0(
    start: Start, tmp_path: Path, program: list[str], number: signal.Signals
) -> None:
    arguments = flags(kubeconfig(tmp_path), "--shutdown-delay-duration=10m")
    process = await asyncio.to_thread(start, sys.executable, *program, *arguments)
    await asyncio.to_thread(
        until, "waits", lambda: "connection refused" in (tmp_path / "server.log").read_text()
    )
    process.send_signal(number)
    status, said = await asyncio.to_thread(ended, process, tmp_path)
    assert (status, "Traceback" in said) == (0, False), said
    assert "Stopped listening" in said


@contextlib.asynccontextmanager
async def serving(directory: Path, *more: str, nodes: int = 1) -> AsyncIterator[RunningServer]:
    async with (
        StandinCluster(directory, nodes, host=False, simulated_pods=1) as cluster,
        server_beside(cluster, *more) as server,
    ):
        yield server


async def end_of(server: RunningServer) -> int:
    async with asyncio.timeout(_SOON_S):
        return await server.process.wait()


async def is_leaving(server: RunningServer) -> bool:
    status, body = await server.ask("/readyz")
    return status == 500 and "[-]shutdown failed: reason withheld" in body


async def test_who_still_comes_through_the_front_proxy_is_answered_until_nobody_comes(tmp_path: Path) -> None:
    """kube-apiserver learns of it a moment later, whatever the delay that was asked for."""
    async with (
        StandinCluster(tmp_path, 2, host=False, simulated_pods=1) as cluster,
        server_beside(cluster) as server,
    ):
        files = cluster.pki.front_proxy_client
        proxy = Pair(files.cert.read_bytes(), files.key.read_bytes())
        claims = {"X-Remote-User": "system:kube-aggregator", "X-Remote-Group": "system:masters"}

        async def comes() -> int:
            return (await server.ask(f"{BASE}/nodes", claims, proxy))[0]

        assert await comes() == 200
        server.process.terminate()
        leaving_s = time.monotonic()
        await server.until(lambda: is_leaving(server), 3)
        while time.monotonic() - leaving_s < 2:
            assert await comes() == 200
        assert await end_of(server) == 0


async def test_it_says_that_it_is_leaving_and_works_on_for_the_delay(tmp_path: Path) -> None:
    async with serving(tmp_path, "--shutdown-delay-duration=3s", "-v=2", nodes=20) as server:
        scraping = '"Scraping node"'
        await server.until(
            lambda: sum(scraping in line for line in server.log_lines) > 20
        )  # the second round
        began_s = time.monotonic()
        server.process.terminate()
        await server.until(lambda: is_leaving(server), 3)
        assert [(await server.ask(path))[0] for path in ("/livez", "/healthz")] == [200, 200]
        assert len(await server.items(f"{BASE}/nodes")) == 20
        assert await end_of(server) == 0
        assert time.monotonic() - began_s >= 3
        lines = server.log_lines
        said = [number for number, line in enumerate(lines) if '"Shutting down" delay_s=3' in line]
        assert len(said) == 1
        assert any(scraping in line for line in lines[said[0] :])  # to the very end
        events = [line.partition('event" name=')[2] for line in lines if "[graceful-termination]" in line]
        assert events == [
            '"ShutdownInitiated"',
            '"AfterShutdownDelayDuration"',
            '"HTTPServerStoppedListening"',
        ]
        assert '"Stopped listening"' in lines[-2]


@SIGNALS
async def test_a_second_signal_ends_it_at_once_with_status_1(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(tmp_path, "--shutdown-delay-duration=10m") as server:
        server.process.terminate()
        await server.until(lambda: is_leaving(server))
        server.process.send_signal(number)
        assert await end_of(server) == 1


class Held:
    """SubjectAccessReviews wait for `go`, and with them the requests that need one."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.go = asyncio.Event()


@pytest.fixture(name="held")
async def _held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held()
    answer = StandinApiserver._review

    async def review(
        self: StandinApiserver, request: web.BaseRequest, plural: str, user: UserInfo
    ) -> web.Response:
        if plural == "subjectaccessreviews":
            held.came.set()
            await held.go.wait()
        return await answer(self, request, plural, user)

    monkeypatch.setattr(StandinApiserver, "_review", review)
    return held


async def get(server: RunningServer, path: str) -> tuple[int, str, Mapping[str, str]]:
    """On a connection of its own, as somebody who is known."""
    connector = aiohttp.TCPConnector(ssl=trusting_anybody(None, server.directory))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"https://127.0.0.1:{server.port}{path}") as response,
    ):
        return response.status, await response.text(), response.headers


async def accepts(server: RunningServer) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return True


async def closed(server: RunningServer) -> bool:
    return not await accepts(server)


async def test_what_was_asked_before_the_end_is_answered_after_the_port_is_closed(
    tmp_path: Path, held: Held
) -> None:
    async with serving(tmp_path) as server:
        asking = asyncio.create_task(get(server, "/metrics"), name="asking")
        await held.came.wait()
        server.process.terminate()
        await server.until(lambda: closed(server))
        assert not asking.done()
        held.go.set()
        status, body, _ = await asking
        assert (status, "forbidden" in body) == (403, True)  # whole, and not cut off
        assert await end_of(server) == 0


async def test_a_request_that_never_ends_keeps_the_process_for_the_request_timeout_only(
    tmp_path: Path, held: Held
) -> None:
    async with serving(tmp_path, "--request-timeout=2s") as server:
        asking = asyncio.create_task(get(server, "/metrics"), name="asking")
        await held.came.wait()
        server.process.terminate()
        assert await end_of(server) == 0
        with contextlib.suppress(aiohttp.ClientError):  # cut off, or told that it timed out
            assert (await asking)[0] == 504
        held.go.set()


async def test_with_retry_after_newcomers_are_sent_away_while_the_others_are_answered(
    tmp_path: Path, held: Held
) -> None:
    if not hasattr(Options(), "shutdown_send_retry_after"):
        pytest.skip("the option is not there")
    async with serving(tmp_path, "--shutdown-send-retry-after") as server:
        asking = asyncio.create_task(get(server, "/metrics"), name="asking")
        await held.came.wait()
        server.process.terminate()

        async def sends_away() -> bool:
            status, body, headers = await get(server, BASE)
            if status != 429:
                return False
            assert body == "The apiserver is shutting down, please try again later.\n"
            assert (headers["Retry-After"], headers["Connection"]) == ("5", "close")
            return True

        await server.until(sends_away)
        assert await is_leaving(server)
        assert (await server.ask("/livez"))[0] == 200
        assert not asking.done()
        held.go.set()
        assert (await asking)[0] == 403
        assert await end_of(server) == 0

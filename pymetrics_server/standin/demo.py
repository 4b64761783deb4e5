"""`pymetrics-server demo`: a stand-in cluster of this machine, the server beside it, and a live table of what it serves."""

import argparse
import asyncio
import ctypes
import os
import shlex
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from pymetrics_server.clock import SystemClock
from pymetrics_server.errors import ApiserverError
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.pki import client_context
from pymetrics_server.standin.screen import Reader, Snapshot, render

_READY_TIMEOUT_S = 60.0
_WHOLE_WITHIN_S = 20.0
_POLL_INTERVAL_S = 0.25
_REFRESH_INTERVAL_S = 1.0
_TERMINATE_TIMEOUT_S = 1.0
_LOG_TAIL_LINES = 15
_PLAIN_WIDTH = 110
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_EPILOG = """\
arguments after -- go to the server: pymetrics-server demo -- -v=2 --kubelet-endpoint=resource
"""


class DemoError(Exception):
    """What to tell who started the demo, whole sentences."""


_libc = ctypes.CDLL(None)  # before the fork after which it is needed


def main(argv: Sequence[str], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> int:
    own, server_args = _split(argv)
    args = _parser().parse_args(own)
    if args.nodes < 0:
        _parser().error("--nodes must not be negative")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    kept = None if args.dir is None else os.path.abspath(args.dir)

    async def run() -> None:
        # Made and removed here, where a signal is a cancellation.
        with (
            tempfile.TemporaryDirectory(prefix="pymetrics-demo-", ignore_cleanup_errors=True)
            if kept is None
            else nullcontext(kept)
        ) as directory:
            await _Demo(Path(directory), args.nodes, server_args, console, once=args.once).run()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_until_signalled(run))
    except (DemoError, OSError) as err:
        console.print(Text(str(err)), style="red", soft_wrap=True)
        return 1
    return 0


class _Demo:
    def __init__(
        self, directory: Path, nodes: int, server_args: Sequence[str], console: Console, *, once: bool
    ) -> None:
        self._directory = directory
        self._nodes = nodes
        self._server_args = server_args
        self._console = console
        self._once = once
        self._clock = SystemClock()
        self._log_path = directory / "server.log"

    async def run(self) -> None:
        """Until cancelled, or once; raises DemoError."""
        async with StandinCluster(self._directory, self._nodes) as cluster:
            port = _free_port()
            flags = cluster.server_flags(port)
            server = await self._start_server(flags)
            reader = Reader(
                cluster.apiserver_url, client_context(cluster.pki.cluster_ca.cert_pem, cluster.pki.admin)
            )
            try:
                await cluster.deploy(server.pid, port, flags, self._log_path)
                cluster.set_backend(port)
                with self._console.status("Waiting for the first metrics ..."):
                    snapshot = await self._first_metrics(cluster, server, reader)
                self._introduce(cluster)
                if self._once:
                    self._console.print(self._rendered(snapshot))
                elif self._console.is_terminal:
                    await self._show_live(server, reader, snapshot)
                else:
                    await self._show_lines(server, reader, snapshot)
            finally:
                await reader.close()
                await _end(server)

    async def _start_server(self, flags: Sequence[str]) -> Process:
        with self._log_path.open("wb") as log_file:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pymetrics_server",
                *flags,
                *self._server_args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C is ours to pass on
                preexec_fn=_end_with_parent,
            )

    async def _first_metrics(self, cluster: StandinCluster, server: Process, reader: Reader) -> Snapshot:
        """Of every node and of pods of this machine; where it is to be shown only once, of all that it has:
        one that rests takes a second sample.
        """
        seen = "nothing was asked yet"
        loop = asyncio.get_running_loop()
        whole_until_s = loop.time() + _WHOLE_WITHIN_S if self._once else 0.0
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while True:
                    self._check_alive(server)
                    try:
                        snapshot = await reader.read()
                    except ApiserverError as err:
                        seen = str(err)
                    else:
                        missing = _missing(cluster, snapshot)
                        if not missing and (_is_whole(cluster, snapshot) or loop.time() > whole_until_s):
                            await cluster.aggregator.wait_available()
                            return snapshot
                        seen = f"no metrics yet of {missing or 'all pods'}"
                    await asyncio.sleep(_POLL_INTERVAL_S)
        except TimeoutError:
            why = f"The server did not serve metrics within {_READY_TIMEOUT_S:.0f} s ({seen})."
            raise DemoError(self._with_log(why)) from None

    async def _show_live(self, server: Process, reader: Reader, snapshot: Snapshot) -> None:
        with Live(self._rendered(snapshot), console=self._console, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(_REFRESH_INTERVAL_S)
                self._check_alive(server)
                with suppress(ApiserverError):  # the table's AGE shows it
                    snapshot = await reader.read()
                live.update(self._rendered(snapshot), refresh=True)

    async def _show_lines(self, server: Process, reader: Reader, snapshot: Snapshot) -> None:
        shown: Snapshot | None = None
        while True:
            if shown is None or snapshot.stamps != shown.stamps:
                self._console.print(self._rendered(snapshot), Text())
                shown = snapshot
            await asyncio.sleep(_REFRESH_INTERVAL_S)
            self._check_alive(server)
            with suppress(ApiserverError):
                snapshot = await reader.read()

    def _rendered(self, snapshot: Snapshot) -> RenderableType:
        bars = self._console.is_terminal and self._console.encoding.startswith("utf")
        return render(snapshot, self._clock.now_ns(), bars=bars)

    def _introduce(self, cluster: StandinCluster) -> None:
        simulated = (
            f"{self._nodes} simulated node{'s' * (self._nodes != 1)}" if self._nodes else "no simulated nodes"
        )
        say = self._console.print
        say(
            f"[bold]A stand-in cluster of this machine[/bold], with {simulated}: not Kubernetes, and not for production."
        )
        if self._once:
            say()
            return
        kubectl = f"kubectl --kubeconfig {shlex.quote(str(cluster.admin_kubeconfig))}"
        say("Try in another terminal (Ctrl-C here ends it all):\n")
        for command in (
            "top nodes",
            "top pods -A --containers",
            "get nodes,pods -A",
            "get --raw /apis/metrics.k8s.io/v1beta1/nodes",
        ):
            say(Text.assemble("  ", (f"{kubectl} ", "dim"), (command, "cyan")), soft_wrap=True)
        say(Text(f"\nThe server's log: {self._log_path}\n", style="dim"), soft_wrap=True)

    def _check_alive(self, server: Process) -> None:
        if server.returncode is not None:
            raise DemoError(self._with_log(f"The server ended by itself with exit code {server.returncode}."))

    def _with_log(self, sentence: str) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        refusals = [line for line in lines if line.startswith("Error: ")]  # the usage follows, at length
        if refusals:
            return "\n".join((sentence, *refusals))
        tail = lines[-_LOG_TAIL_LINES:]
        return (
            "\n".join((f"{sentence} The end of its log:", *tail)) if tail else f"{sentence} Its log is empty."
        )


def _missing(cluster: StandinCluster, snapshot: Snapshot) -> str:
    """What is still waited for, "" where all is there."""
    served = {node.name for node in snapshot.nodes}
    nodes = [name for name in cluster.node_names if name not in served]
    if nodes:
        return f"node {nodes[0]}" if len(nodes) == 1 else f"{len(nodes)} nodes"
    pods = {(pod.namespace, pod.name) for pod in snapshot.pods}
    if cluster.host is not None and not any((p.namespace, p.name) in pods for p in cluster.host.view().pods):
        return "this machine's pods"
    return ""


def _is_whole(cluster: StandinCluster, snapshot: Snapshot) -> bool:
    served = {(pod.namespace, pod.name) for pod in snapshot.pods}
    return cluster.host is None or all((p.namespace, p.name) in served for p in cluster.host.view().pods)


def _end_with_parent() -> None:
    """In the child: a SIGKILL of the demo must not leave the server behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _end(server: Process) -> None:
    if server.returncode is not None:
        return
    server.terminate()
    try:
        await asyncio.wait_for(server.wait(), _TERMINATE_TIMEOUT_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        await server.wait()


async def _until_signalled(run: Callable[[], Awaitable[None]]) -> None:
    """The first signal cancels it; the next ones find the end under way already."""
    task = asyncio.ensure_future(run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _cancel_once(task))
    with suppress(asyncio.CancelledError):
        await task


def _cancel_once(task: "asyncio.Future[None]") -> Callable[[], None]:
    asked = False

    def cancel() -> None:
        nonlocal asked
        if not asked:
            asked = True
            task.cancel()

    return cancel


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    found = list(argv)
    if "--" not in found:
        return found, []
    at = found.index("--")
    return found[:at], found[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pymetrics-server demo",
        description="Run the server against a stand-in cluster of this machine and show what it serves.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="show the table once and end")
    parser.add_argument(
        "--nodes", type=int, default=0, metavar="N", help="simulated nodes beside this machine (default 0)"
    )
    parser.add_argument(
        "--dir", metavar="DIR", help="keep kubeconfigs, certificates and the server's log there"
    )
    return parser

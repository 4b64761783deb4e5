"""A simulated cluster on loopback: `python -m benchmarks.fleet DIR --nodes N`.

Kubelets in processes of their own, and what of a kube-apiserver a metrics server needs. Prints one line of JSON when
it is ready (where its kubeconfig is, and a token that may read metrics), and ends at SIGTERM.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Mapping, MutableSequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

import msgspec
import psutil
import uvloop

from benchmarks import kubelets
from benchmarks.apiserver import Apiserver, nodes_of, pods_of, trust_of
from benchmarks.kubelets import COUNTED, Duty, Habits
from pymetrics_server.clock import SystemClock
from pymetrics_server.meta.identity import AUTHENTICATED_GROUP, UserInfo
from pymetrics_server.standin.kubeconfig import token_user, write_kubeconfig
from pymetrics_server.standin.pki import FRONT_PROXY_NAME, Pki, make_pki, server_context
from pymetrics_server.standin.reviews import METRICS_READERS, SERVER_ACCOUNT

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 5.0


class Fleet(msgspec.Struct, frozen=True):
    """What somebody needs to know to use it."""

    server_kubeconfig: str
    token: str
    apiserver_url: str
    apiserver_token: str


class _Worker(msgspec.Struct, frozen=True):
    process: SpawnProcess
    pipe: Connection
    counts: MutableSequence[int]


@asynccontextmanager
async def running(directory: Path, habits: Habits, workers: int = 2) -> AsyncIterator[Fleet]:
    """A fleet, for as long as it is needed."""
    pki = make_pki(directory / "pki", SystemClock())
    server_token, reader_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    epoch_ns = time.time_ns()
    workers = max(1, min(workers, habits.nodes))
    started = [
        _start(Duty(nodes=range(i, habits.nodes, workers), habits=habits, token=server_token, epoch_ns=epoch_ns, pair=pki.kubelet))
        for i in range(workers)
    ]  # fmt: skip
    apiserver = None
    try:
        pods = pods_of(habits, epoch_ns)  # while the workers prepare
        ports = [await asyncio.to_thread(_port, worker) for worker in started]
        apiserver = Apiserver(
            nodes_of(habits, epoch_ns, lambda node: ports[node % workers]),
            pods,
            trust_of(_trust(pki), epoch_ns),
            {
                server_token: UserInfo(SERVER_ACCOUNT, (AUTHENTICATED_GROUP,)),
                reader_token: UserInfo("bench", (METRICS_READERS, AUTHENTICATED_GROUP)),
            },
            lambda: _counted(started),
        )
        url = f"https://127.0.0.1:{await apiserver.start(server_context(pki.apiserver))}"
        kubeconfig = write_kubeconfig(
            directory / "server.kubeconfig",
            url,
            pki.cluster_ca.cert_pem,
            "metrics-server",
            token_user(server_token),
        )
        yield Fleet(str(kubeconfig), reader_token, url, server_token)
    finally:
        if apiserver is not None:
            await apiserver.stop()
        for worker in started:
            worker.pipe.close()
        for worker in started:
            await asyncio.to_thread(worker.process.join, _STOP_TIMEOUT_S)
            worker.process.kill()


def _start(duty: Duty) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    counts: MutableSequence[int] = RawArray("q", len(COUNTED))
    process = context.Process(target=kubelets.serve, args=(duty, counts, theirs), daemon=True)
    process.start()
    theirs.close()  # else the worker would hold the parent's death from itself
    return _Worker(process, ours, counts)


def _port(worker: _Worker) -> int:
    if not worker.pipe.poll(_START_TIMEOUT_S):
        raise TimeoutError("a worker of the fleet never listened")
    return int(worker.pipe.recv())


def _trust(pki: Pki) -> dict[str, str]:
    return {
        "client-ca-file": pki.cluster_ca.cert_pem.decode(),
        "requestheader-client-ca-file": pki.front_proxy_ca.cert_pem.decode(),
        "requestheader-allowed-names": json.dumps([FRONT_PROXY_NAME]),
        "requestheader-username-headers": json.dumps(["X-Remote-User"]),
        "requestheader-uid-headers": json.dumps(["X-Remote-Uid"]),
        "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
        "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
    }


def _counted(workers: list[_Worker]) -> Mapping[str, float]:
    """Of all kubelets, and the CPU they took."""
    found: dict[str, float] = {
        name: sum(worker.counts[i] for worker in workers) for i, name in enumerate(COUNTED)
    }
    found["kubelets_cpu_s"] = sum(
        times.user + times.system
        for times in (psutil.Process(worker.process.pid).cpu_times() for worker in workers)
    )
    return found


async def _until_told(a: argparse.Namespace) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    habits = Habits(
        nodes=a.nodes,
        pods=a.pods,
        containers=a.containers,
        fail_every=a.fail_every,
        slow_nodes=a.slow_nodes,
        slow_s=a.slow_s,
        interval_s=a.housekeeping_s,
    )
    async with running(a.directory, habits, a.workers) as fleet:
        print(msgspec.json.encode(fleet).decode(), flush=True)
        await over.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="for its certificates and kubeconfig")
    add_habits(parser)
    a = parser.parse_args()
    kubelets.allow_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(a))


def add_habits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--pods", type=int, default=30, help="on each node")
    parser.add_argument("--containers", type=int, default=2, help="in each pod")
    parser.add_argument("--fail-every", type=int, default=0, help="every k-th scrape of a node fails (500)")
    parser.add_argument("--slow-nodes", type=int, default=0, help="the first k nodes answer late")
    parser.add_argument("--slow-s", type=float, default=9.0, help="how late, in seconds")
    parser.add_argument(
        "--housekeeping-s", type=float, default=10.0, help="how often a kubelet takes a sample"
    )
    parser.add_argument(
        "--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes of kubelets"
    )


if __name__ == "__main__":
    main()

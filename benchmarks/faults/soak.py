"""A long life: `python -m benchmarks.faults.soak --minutes 60`, in a cluster that changes, is asked and fails all the time.

Connections come and go as the aggregator makes them, pods and nodes as people make them, and now and then some nodes go
wrong in one of the ways of `scenarios`. What must not grow is looked at every few seconds: memory, open files, threads,
series. Exit 1 where it does.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import msgspec

from benchmarks.asking import BASE
from benchmarks.faults.scenarios import OF_KUBELETS, churning
from benchmarks.faults.world import World, spoilt_world
from benchmarks.kubelets import allow_open_files

_LOOK_EVERY_S = 15.0
_WARM_UP_SHARE = 0.25
_RSS_MIB_PER_H = 1.0
_FILES_PER_H = 20.0  # they go up and down with what happens to be open
_SERIES_PER_H = 5.0
_WRONG_EVERY_S = 60.0
_WRONG_FOR_S = 20.0
_MiB = 1 << 20
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class Weight(msgspec.Struct, frozen=True):
    """What the process is at one instant."""

    at_s: float
    rss_mib: float
    files: int
    threads: int
    series: int


async def soak(directory: Path, nodes: int, pods: int, minutes: float) -> tuple[list[Weight], "Asked"]:
    """What it weighed, and who asked."""
    async with spoilt_world(directory, nodes, pods) as world:
        world.server.watcher.every_s = _LOOK_EVERY_S
        asked = Asked(world)
        jobs: Sequence[Coroutine[None, None, None]] = (
            asked.autoscalers(),
            asked.people(),
            _going_wrong(world),
        )
        weights: list[Weight] = []
        async with churning(world, (), pods_per_s=2, nodes_per_s=0.2):
            tasks = [asyncio.create_task(job) for job in jobs]
            ends_s = time.monotonic() + minutes * 60
            try:
                while time.monotonic() < ends_s:
                    await asyncio.sleep(_LOOK_EVERY_S)
                    if not world.server.lives:
                        raise RuntimeError(
                            "the server has ended:\n" + "\n".join(world.server.log_lines[-20:])
                        )
                    for task in tasks:
                        if task.done():
                            task.result()
                            raise RuntimeError("a job of the soak has ended")
                    if (weight := await _weighed(world, asked)).series:
                        weights.append(weight)
                        _say(weights)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        return weights, asked


class Asked:
    """Load: as autoscalers and people make it, through connections that come and go."""

    def __init__(self, world: World) -> None:
        self.answers = 0
        self.refused = 0
        self._world = world
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._random = random.Random(1)  # noqa: S311  the same each time

    async def autoscalers(self) -> None:
        """Ten questions a second; a new connection for every fifth."""
        while True:
            async with self._session() as session:
                for _ in range(5):
                    team = self._random.randrange(20)
                    path = f"{BASE}/namespaces/team-{team:02d}/pods?labelSelector=app%3Dweb"
                    await self.get(session, path, "application/vnd.kubernetes.protobuf, */*")
                    await asyncio.sleep(0.1)

    async def people(self) -> None:
        """`kubectl top` and probes, each over a connection of its own."""
        while True:
            for path, accept in (
                (f"{BASE}/nodes", "*/*"),
                (f"{BASE}/pods", _TABLE),
                ("/readyz?verbose", "*/*"),
                ("/statusz", "text/plain"),
                (f"{BASE}/pods", "application/yaml"),
            ):
                async with self._session() as session:
                    await self.get(session, path, accept)
                await asyncio.sleep(2)

    async def get(self, session: aiohttp.ClientSession, path: str, accept: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._world.reader_token}", "Accept": accept}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(
                f"https://127.0.0.1:{self._world.server.port}{path}", headers=headers
            ) as response:
                self.answers += 1
                self.refused += response.status != 200
                return await response.read()
        self.refused += 1
        return b""

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=30)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._context), timeout=timeout)

    async def series(self) -> int:
        async with self._session() as session:
            lines = (await self.get(session, "/metrics", "text/plain")).splitlines()
        return sum(not line.startswith(b"#") for line in lines)


async def _going_wrong(world: World) -> None:
    """Two nodes, in one way after the other."""
    chance = random.Random(2)  # noqa: S311  the same each time
    while True:
        await asyncio.sleep(_WRONG_EVERY_S - _WRONG_FOR_S)
        scenario = chance.choice(OF_KUBELETS)
        stays = [kubelet for kubelet in world.kubelets.values() if kubelet.source.index < 5000]
        hit = chance.sample(stays, 2)  # what they send at most is in memory at once
        async with AsyncExitStack() as spoilt:
            await spoilt.enter_async_context(scenario.spoils(world, hit))
            await asyncio.sleep(_WRONG_FOR_S)


async def _weighed(world: World, asked: Asked) -> Weight:
    process = world.server.process
    return Weight(
        time.monotonic(),
        process.memory_info().rss / _MiB,
        process.num_fds(),
        process.num_threads(),
        await asked.series(),
    )


def slopes_per_h(weights: Sequence[Weight]) -> dict[str, float]:
    """After a quarter of the time, in which caches fill."""
    settled = weights[int(len(weights) * _WARM_UP_SHARE) :]
    if len(settled) < 3:
        return {}
    at_h = [weight.at_s / 3600 for weight in settled]
    return {
        what: statistics.linear_regression(at_h, [float(getattr(weight, what)) for weight in settled]).slope
        for what in ("rss_mib", "files", "threads", "series")
    }


def _say(weights: Sequence[Weight]) -> None:
    last = weights[-1]
    print(
        f"{(last.at_s - weights[0].at_s) / 60:5.1f} min  {last.rss_mib:6.1f} MiB  {last.files} files  "
        f"{last.threads} threads  {last.series} series",
        flush=True,
    )


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends with it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=60)
    a = parser.parse_args()
    allow_open_files()
    with tempfile.TemporaryDirectory(prefix="pymetrics-soak-") as folder:
        weights, asked = asyncio.run(soak(Path(folder), a.nodes, a.pods, a.minutes))
    slopes = slopes_per_h(weights)
    print(f"{asked.refused} of {asked.answers} requests were not answered 200; growth in an hour: {slopes}")
    if asked.refused > asked.answers // 1000:
        return 1
    most = {"rss_mib": _RSS_MIB_PER_H, "files": _FILES_PER_H, "threads": 0.5, "series": _SERIES_PER_H}
    return 1 if not slopes or any(slopes[what] > bound for what, bound in most.items()) else 0


if __name__ == "__main__":
    sys.exit(main())

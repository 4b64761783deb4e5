"""Looks on as clients do: every half second, what is served and how old it is, what probes say, what the process weighs."""

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
import psutil

from benchmarks.asking import BASE
from benchmarks.truth import TOLERANCE
from pymetrics_server.meta.quantity import parse_nano
from pymetrics_server.meta.timestamp import parse_rfc3339
from pymetrics_server.standin import simulated
from pymetrics_server.standin.pki import PairFiles

_EVERY_S = 0.5
_ANSWER_WITHIN_S = 5.0
_S = 1_000_000_000


class Served(msgspec.Struct, frozen=True):
    """Of one node, which counts with all of its pods only."""

    timestamp_s: float
    pods: int


class Look(msgspec.Struct, frozen=True):
    """What was seen at one instant. A status of 0 is no answer within five seconds."""

    at_s: float  # wall clock
    nodes: Mapping[str, Served]
    wrong: int
    readyz: int
    livez: int
    rss_bytes: int


class Watcher:
    """`pods` and `containers` of each node are what its values are held against; nodes in `strange` are not."""

    def __init__(self, port: int, shown: PairFiles, pid: int, pods: int, containers: int) -> None:
        self.looks: list[Look] = []
        self.strange: set[str] = set()
        self.every_s = _EVERY_S
        self._url = f"https://127.0.0.1:{port}"
        self._shown = shown
        self._process = psutil.Process(pid)
        self._pods, self._containers = pods, containers

    async def run(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self._shown.cert, self._shown.key)  # which nobody has to be asked about
        connector = aiohttp.TCPConnector(ssl=context)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                self.looks.append(await self._look(session))
                await asyncio.sleep(self.every_s)

    async def until(self, holds: Callable[[Look], bool], timeout_s: float) -> float | None:
        """How long it took until a look from now on was so; None where none was."""
        from_s, seen = time.monotonic(), len(self.looks)
        while time.monotonic() - from_s < timeout_s:
            for look in self.looks[seen:]:
                if holds(look):
                    return time.monotonic() - from_s
            seen = len(self.looks)
            await asyncio.sleep(_EVERY_S / 5)
        return None

    async def _look(self, session: aiohttp.ClientSession) -> Look:
        (_, nodes), (_, pods), (readyz, _), (livez, _) = await asyncio.gather(
            *(self._get(session, path) for path in (f"{BASE}/nodes", f"{BASE}/pods", "/readyz", "/livez"))
        )
        of_node = Counter(simulated.place(item["metadata"]["name"])[0] for item in _items(pods))
        seen = {
            item["metadata"]["name"]: Served(
                parse_rfc3339(item["timestamp"]) / _S, of_node[_index(item["metadata"]["name"])]
            )
            for item in _items(nodes)
            if of_node[_index(item["metadata"]["name"])] >= self._pods
        }
        try:
            rss_bytes = int(self._process.memory_info().rss)
        except psutil.NoSuchProcess:
            rss_bytes = 0
        return Look(time.time(), seen, self._wrong(_items(nodes), _items(pods)), readyz, livez, rss_bytes)

    async def _get(self, session: aiohttp.ClientSession, path: str) -> tuple[int, bytes]:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.get(self._url + path) as response:
                return response.status, await response.read()
        return 0, b""

    def _wrong(self, nodes: Sequence[dict[str, Any]], pods: Sequence[dict[str, Any]]) -> int:
        """Values of nodes that are not strange: CPU off by more than a fiftieth, memory by anything; containers too few."""
        wrong = 0
        strange = {_index(name) for name in self.strange}
        whole = self._pods, self._containers
        for item in nodes:
            index = _index(item["metadata"]["name"])
            if index not in strange:
                expected = (
                    simulated.node_rate_nanocores(index, *whole),
                    simulated.node_memory_bytes(index, *whole),
                )
                wrong += _is_off(item["usage"], *expected)
        for item in pods:
            node, pod = simulated.place(item["metadata"]["name"])
            if node in strange or pod >= self._pods:
                continue
            wrong += len(item["containers"]) != self._containers
            for container in item["containers"]:
                which = node, pod, simulated.container_ordinal(container["name"])
                expected = simulated.rate_nanocores(*which), simulated.memory_bytes(*which)
                wrong += _is_off(container["usage"], *expected)
        return wrong


def _is_off(usage: Mapping[str, str], nanocores: int, memory_bytes: int) -> bool:
    if parse_nano(usage["memory"]) != memory_bytes * _S:
        return True
    return abs(parse_nano(usage["cpu"]) - nanocores) > TOLERANCE * nanocores


def _items(body: bytes) -> list[dict[str, Any]]:
    """None of what is no list."""
    with contextlib.suppress(msgspec.MsgspecError):
        found = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        items: list[dict[str, Any]] = found.get("items") or []
        return items
    return []


def _index(node_name: str) -> int:
    return int(node_name.rpartition("-")[2])


def present(looks: Sequence[Look], nodes: Collection[str]) -> float:
    """The smallest share of those nodes that was served."""
    return min((sum(name in look.nodes for name in nodes) / len(nodes) for look in looks), default=1.0)


def oldest_s(looks: Sequence[Look], nodes: Collection[str]) -> float:
    """Of those nodes, while they were served."""
    ages = (
        look.at_s - look.nodes[name].timestamp_s for look in looks for name in nodes if name in look.nodes
    )
    return max(ages, default=0.0)

"""What the demo shows: nodes and the busiest pods, as the metrics API answers for them."""

import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pymetrics_server.errors import ApiserverError
from pymetrics_server.meta.duration import parse_go
from pymetrics_server.meta.quantity import parse_bytes, parse_nano
from pymetrics_server.meta.timestamp import parse_rfc3339

_METRICS = "/apis/metrics.k8s.io/v1beta1"
_READ_TIMEOUT_S = 10.0
_MOST_NODES = 12
_MOST_PODS = 12
_WARM_PERCENT, _HOT_PERCENT = 60, 85
_BAR_CELLS = 10


class NodeRow(msgspec.Struct, frozen=True):
    name: str
    cpu_nanocores: int
    cpu_capacity_nanocores: int  # 0 where the node is not known
    memory_bytes: int
    memory_capacity_bytes: int
    window_ns: int
    timestamp_ns: int


class PodRow(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    containers: int
    cpu_nanocores: int
    memory_bytes: int
    timestamp_ns: int


class Snapshot(msgspec.Struct, frozen=True):
    nodes: tuple[NodeRow, ...] = ()  # by name
    pods: tuple[PodRow, ...] = ()  # by CPU, the busiest first

    @property
    def stamps(self) -> tuple[tuple[str, int], ...]:
        """Differs as soon as any node has a new sample."""
        return tuple((node.name, node.timestamp_ns) for node in self.nodes)


class Reader:
    """Asks kube-apiserver, as kubectl does: metrics come through its aggregation layer."""

    def __init__(self, apiserver_url: str, ssl_context: ssl.SSLContext) -> None:
        self._url = apiserver_url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl_context),
            timeout=aiohttp.ClientTimeout(total=_READ_TIMEOUT_S),
        )

    async def close(self) -> None:
        await self._session.close()

    async def read(self) -> Snapshot:
        """Raises ApiserverError."""
        nodes = await self._items(f"{_METRICS}/nodes")
        pods = await self._items(f"{_METRICS}/pods")
        capacity = {
            n["metadata"]["name"]: n["status"]["capacity"] for n in await self._items("/api/v1/nodes")
        }
        return Snapshot(
            tuple(_node_row(node, capacity.get(node["metadata"]["name"], {})) for node in nodes),
            tuple(sorted(map(_pod_row, pods), key=lambda pod: (-pod.cpu_nanocores, pod.namespace, pod.name))),
        )

    async def _items(self, path: str) -> list[dict[str, Any]]:
        try:
            async with self._session.get(self._url + path) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as err:
            raise ApiserverError(f"GET {path}: {str(err) or type(err).__name__}") from err
        if answer.status != 200:
            raise ApiserverError(f"GET {path}: {answer.status} {_message(body)}", answer.status)
        items: list[dict[str, Any]] = msgspec.json.decode(body)["items"]
        return items


def render(snapshot: Snapshot, now_ns: int, *, bars: bool) -> RenderableType:
    """Two tables; `bars` draws shares as well as writing them."""
    return Group(_nodes_table(snapshot.nodes, now_ns, bars=bars), Text(), _pods_table(snapshot.pods))


def _nodes_table(nodes: Sequence[NodeRow], now_ns: int, *, bars: bool) -> Table:
    table = _table("NODE", "CPU(cores)", "CPU%", "MEMORY", "MEMORY%", "WINDOW", "AGE")
    busiest = sorted(nodes, key=lambda node: (node.name.startswith("sim-"), -node.cpu_nanocores, node.name))
    for node in busiest[:_MOST_NODES]:
        table.add_row(
            Text(node.name, style="bold"),
            _cores(node.cpu_nanocores),
            _share(node.cpu_nanocores, node.cpu_capacity_nanocores, bars=bars),
            _memory(node.memory_bytes),
            _share(node.memory_bytes, node.memory_capacity_bytes, bars=bars),
            f"{node.window_ns / 1e9:.1f}s",
            f"{max(now_ns - node.timestamp_ns, 0) // 1_000_000_000}s",
        )
    _say_rest(table, len(nodes) - _MOST_NODES, "nodes")
    return table


def _pods_table(pods: Sequence[PodRow]) -> Table:
    table = _table("POD", "NAMESPACE", "CONTAINERS", "CPU(cores)", "MEMORY")
    table.columns[1].justify = "left"
    for pod in pods[:_MOST_PODS]:
        table.add_row(
            Text(pod.name, style="bold"),
            pod.namespace,
            str(pod.containers),
            _cores(pod.cpu_nanocores),
            _memory(pod.memory_bytes),
        )
    _say_rest(table, len(pods) - _MOST_PODS, "pods")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True, overflow="ellipsis", max_width=44)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _say_rest(table: Table, count: int, what: str) -> None:
    if count > 0:
        table.add_row(Text(f"and {count} more {what}", style="dim"))


def _cores(nanocores: int) -> str:
    return f"{nanocores / 1e9:.3f}"


def _memory(value_bytes: int) -> str:
    return f"{value_bytes >> 20}Mi"


def _share(used: int, capacity: int, *, bars: bool) -> Text:
    if not capacity:
        return Text("-", style="dim")
    percent = used * 100 // capacity
    style = "red" if percent >= _HOT_PERCENT else "yellow" if percent >= _WARM_PERCENT else "green"
    text = Text(f"{percent}%", style=style)
    if not bars:
        return text
    full = min(_BAR_CELLS, (percent * _BAR_CELLS + 50) // 100)
    return Text.assemble(
        ("━" * full, style), ("━" * (_BAR_CELLS - full), "bright_black"), " ", f"{percent:3d}%"
    )


def _node_row(node: dict[str, Any], capacity: dict[str, str]) -> NodeRow:
    return NodeRow(
        node["metadata"]["name"],
        parse_nano(node["usage"]["cpu"]),
        parse_nano(capacity.get("cpu", "0")),
        parse_bytes(node["usage"]["memory"]),
        parse_bytes(capacity.get("memory", "0")),
        parse_go(node["window"]),
        parse_rfc3339(node["timestamp"]),
    )


def _pod_row(pod: dict[str, Any]) -> PodRow:
    usages = [container["usage"] for container in pod["containers"]]
    return PodRow(
        pod["metadata"]["namespace"],
        pod["metadata"]["name"],
        len(usages),
        sum(parse_nano(usage["cpu"]) for usage in usages),
        sum(parse_bytes(usage["memory"]) for usage in usages),
        parse_rfc3339(pod["timestamp"]) if pod["timestamp"] else 0,
    )


def _message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["message"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return body[:200].decode(errors="replace")

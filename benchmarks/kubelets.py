"""The fleet's kubelets: one listener on loopback for all nodes of a process, which tells them apart by their address.

HTTP/1.1 over TLS, kept alive; as little of it as metrics servers send. Whoever has not the token gets nothing.
"""

import asyncio
import gc
import resource
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterable, MutableSequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import cast

import msgspec
import uvloop

from benchmarks.load import node_at, node_view
from benchmarks.prepared import PreparedNode
from pymetrics_server.standin.exposition import RESOURCE_CONTENT_TYPE
from pymetrics_server.standin.pki import PairFiles, server_context

_HEAD_ENDS = b"\r\n\r\n"
_LARGEST_HEAD_BYTES = 64 << 10
_BACKLOG = 4096

#: What a worker counts, by place.
COUNTED = ("summary", "resource", "failed", "refused", "bytes")
_SUMMARY, _RESOURCE, _FAILED, _REFUSED, _BYTES = range(len(COUNTED))


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet is. `fail_every` k lets every k-th scrape of a node fail, the first `slow_nodes` wait `slow_s`."""

    nodes: int = 100
    pods: int = 30
    containers: int = 2
    fail_every: int = 0
    slow_nodes: int = 0
    slow_s: float = 9.0
    interval_s: float = 10.0


class Kubelets:
    """Of the nodes given; `counts` are kept by the places of COUNTED."""

    def __init__(
        self,
        nodes: Iterable[int],
        habits: Habits,
        token: str,
        epoch_ns: int,
        counts: MutableSequence[int],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.habits = habits
        self.token_line = f"Bearer {token}\r\n".encode()
        self.counts = counts
        self.now_ns = now_ns
        self._nodes = {n: self._prepared(n, epoch_ns) for n in nodes}
        self._scrapes = dict.fromkeys(self._nodes, 0)
        self._listener: asyncio.Server | None = None
        self.open: set[asyncio.Transport] = set()

    def _prepared(self, node: int, epoch_ns: int) -> PreparedNode:
        habits = self.habits
        view = node_view(node, habits.pods, habits.containers, epoch_ns, habits.interval_s)
        return PreparedNode(view, habits.interval_s)

    async def start(self, context: ssl.SSLContext) -> int:
        """Listen at every address of 127.0.0.0/8 and tell the port."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(PermissionError):  # before Linux 5.7; strangers are turned away at the door, too
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listening.bind(("0.0.0.0", 0))  # noqa: S104  there is no other way to have all of 127.0.0.0/8
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Asked(self), sock=listening, ssl=context, backlog=_BACKLOG
        )
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for transport in list(self.open):
            transport.abort()

    def node_of(self, transport: asyncio.Transport) -> int:
        """-1 for who is no neighbour, and where no node of these is."""
        if not str(transport.get_extra_info("peername")[0]).startswith("127."):
            return -1
        node = node_at(str(transport.get_extra_info("sockname")[0]))
        return node if node in self._nodes else -1

    def answer(self, node: int, head: bytes) -> bytes:
        """The whole answer to a request's head."""
        if self.token_line not in head:
            self.counts[_REFUSED] += 1
            return _answer("401 Unauthorized", "text/plain", b"Unauthorized")
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        if path not in (b"/stats/summary", b"/metrics/resource"):
            return _answer("404 Not Found", "text/plain", b"404 page not found\n")
        self._scrapes[node] += 1
        if self.habits.fail_every and (self._scrapes[node] + node) % self.habits.fail_every == 0:
            self.counts[_FAILED] += 1
            return _answer("500 Internal Server Error", "text/plain", b"told to fail\n")
        if path == b"/stats/summary":
            self.counts[_SUMMARY] += 1
            body, kind = self._nodes[node].summary(self.now_ns()), "application/json"
        else:
            self.counts[_RESOURCE] += 1
            body, kind = self._nodes[node].resource(self.now_ns()), RESOURCE_CONTENT_TYPE
        self.counts[_BYTES] += len(body)
        return _answer("200 OK", kind, body)

    def wait_s(self, node: int) -> float:
        return self.habits.slow_s if node < self.habits.slow_nodes else 0


class _Asked(asyncio.Protocol):
    """One connection to one node."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets
        self._node = -1
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, which is none by its type
        self._node = self._kubelets.node_of(self._transport)
        if self._node < 0:
            self._transport.abort()
        else:
            self._kubelets.open.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._kubelets.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(_HEAD_ENDS) + len(_HEAD_ENDS)) >= len(_HEAD_ENDS):
            head, self._pending = self._pending[:end], self._pending[end:]
            wait_s = self._kubelets.wait_s(self._node)
            if wait_s:
                asyncio.get_running_loop().call_later(wait_s, self._answer, head)
            else:
                self._answer(head)
        if len(self._pending) > _LARGEST_HEAD_BYTES:
            self._transport.abort()

    def _answer(self, head: bytes) -> None:
        if self._transport.is_closing():
            return
        if not head.startswith(b"GET "):
            self._transport.write(_answer("405 Method Not Allowed", "text/plain", b"Method Not Allowed\n"))
            self._transport.close()  # whatever body it has is not read
            return
        self._transport.write(self._kubelets.answer(self._node, head))
        if b"connection: close" in head.lower():
            self._transport.close()


def _answer(status: str, kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told."""

    nodes: range
    habits: Habits
    token: str
    epoch_ns: int
    pair: PairFiles


def serve(duty: Duty, counts: MutableSequence[int], parent: Connection) -> None:
    """A worker's whole life: tells `parent` its port, and ends when `parent` does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(duty, counts, parent))


async def _serve(duty: Duty, counts: MutableSequence[int], parent: Connection) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    allow_open_files()
    gc.disable()
    kubelets = Kubelets(duty.nodes, duty.habits, duty.token, duty.epoch_ns, counts)
    gc.freeze()  # what is prepared stays; looking through it again and again would be the fleet's largest cost
    gc.enable()
    parent.send(await kubelets.start(server_context(duty.pair)))
    loop.add_reader(parent.fileno(), over.set)
    await over.wait()
    loop.remove_reader(parent.fileno())
    await kubelets.stop()


def allow_open_files() -> None:
    """As many as this process may: a fleet is some thousand connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

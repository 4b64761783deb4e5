"""Kubelets that can be told how to go wrong, each by itself and while they run: simulated nodes over real TLS."""

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Awaitable, Callable

import msgspec

from pymetrics_server.standin.exposition import resource_text, summary_json
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.standin.views import NodeView

#: Short, so that a scrape after a cure is told from one before it; a real kubelet's is 10 to 15 s.
INTERVAL_S = 2.0
_JSON = "application/json"
_PORT_WITHIN_S = 30.0
_PORT_AGAIN_AFTER_S = 0.2


class Call(msgspec.Struct, frozen=True):
    """One GET, and what a sane kubelet would answer."""

    kubelet: "CrookedKubelet"
    writer: asyncio.StreamWriter
    path: str

    def body(self) -> bytes:
        view = self.kubelet.look(self.kubelet.source.view())
        return summary_json(view) if self.path == "/stats/summary" else resource_text(view)

    async def say(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        self.writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
        )
        await self.writer.drain()


Habit = Callable[[Call], Awaitable[None]]
Look = Callable[[NodeView], NodeView]


async def sane(call: Call) -> None:
    await call.say(call.body())


def unchanged(view: NodeView) -> NodeView:
    return view


class CrookedKubelet:
    """`habit` is how it answers, `look` what it says of its node, `context` its certificate; all may be changed while it
    runs. A `silent` one accepts connections and says nothing, not even in TLS.
    """

    def __init__(self, index: int, pods: int, epoch_ns: int, context: ssl.SSLContext, token: str) -> None:
        self.source = SimulatedNode(index, pods, epoch_ns=epoch_ns, kubelet_interval_s=INTERVAL_S)
        self.name = self.source.name
        self.habit: Habit = sane
        self.look: Look = unchanged
        self.context = context
        self.silent = False
        self.port = 0
        self.asked = 0
        self._token_line = f"Bearer {token}"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """On the port that it had, where it was stopped before: somebody's connection may hold it for a moment."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _PORT_WITHIN_S
        while self._server is None:
            try:
                self._server = await asyncio.start_server(
                    self._connected, "127.0.0.1", self.port, backlog=512
                )
            except OSError as err:
                if err.errno != errno.EADDRINUSE or loop.time() > until_s:
                    raise
                await asyncio.sleep(_PORT_AGAIN_AFTER_S)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Nothing listens any more, and every connection is cut."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.hang_up()

    async def hang_up(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError
        ):
            try:
                if self.silent:
                    await asyncio.Event().wait()
                await writer.start_tls(self.context)
                while not writer.is_closing():
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    await self._answer(head, writer)
            finally:
                writer.transport.abort()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        call = Call(self, writer, head.split(" ", 2)[1].partition("?")[0])
        if self._token_line not in head:
            await call.say(b"Unauthorized", "401 Unauthorized")
        elif call.path not in ("/stats/summary", "/metrics/resource"):
            await call.say(b"404 page not found\n", "404 Not Found")
        else:
            await self.habit(call)

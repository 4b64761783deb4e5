"""A kubelet on a real socket that says exactly the bytes a test gives it."""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from pymetrics_server.x509 import Pair

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeKubelet:
    port: int = 0
    heads: list[str] = field(default_factory=list)  # request line and headers, as they came
    connections: int = 0

    @property
    def paths(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]


def reply(body: bytes, status: str = "200 OK", headers: str = "", *, length: int | None = None) -> Answer:
    """The same answer to every request."""

    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        head = (
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n{headers}\r\n"
        )
        writer.write(head.encode() + body)
        if length is not None:
            writer.close()

    return answer


def by_path(answers: dict[str, Answer]) -> Answer:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        await answers.get(path.split("?")[0], reply(b"no such page", "404 Not Found"))(path, writer)

    return answer


def server_context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pair.pem")
        path.write_bytes(pair.cert_pem + pair.key_pem)
        context.load_cert_chain(path)
    return context


@contextlib.asynccontextmanager
async def serving(
    answer: Answer, tls: ssl.SSLContext | None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[FakeKubelet]:
    kubelet = FakeKubelet()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        kubelet.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                kubelet.heads.append(head)
                await answer(head.split(" ")[1], writer)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(connected, host, port, ssl=tls)
    kubelet.port = server.sockets[0].getsockname()[1]
    try:
        yield kubelet
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

"""A kube-apiserver that says, path by path, what a test tells it to say, and remembers what it was asked."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml
from aiohttp import web

from pymetrics_server.clock import SystemClock
from pymetrics_server.cluster.credentials import Credentials, load
from pymetrics_server.doctor.asking import Asker
from tests.doctor.seen import status

#: A value is answered as JSON, a string as it is, a number as a Status of that code.
Said = Any | Callable[[web.Request], Awaitable[web.StreamResponse]]


class Seen(msgspec.Struct, frozen=True):
    method: str
    path: str  # without the query
    query: dict[str, str]
    accept: str
    body: bytes


class Answering:
    """Whatever is not in `says`, by path, is not found. Without TLS, so that kubeconfigs for it are short."""

    def __init__(self) -> None:
        self.says: dict[str, Said] = {}
        self.seen: list[Seen] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("Accept", ""),
                await request.read(),
            )
        )
        said = self.says.get(request.path, 404)
        if callable(said):
            answer: web.StreamResponse = await said(request)
            return answer
        if isinstance(said, int):
            return web.Response(status=said, body=json.dumps(status(said)), content_type="application/json")
        if isinstance(said, str):
            return web.Response(text=said)
        return web.json_response(said)


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    apiserver = Answering()
    await apiserver.start()
    try:
        yield apiserver
    finally:
        await apiserver.stop()


@contextlib.asynccontextmanager
async def asking(credentials: Credentials, within_s: float = 20.0) -> AsyncIterator[Asker]:
    asker = Asker(credentials, SystemClock(), asyncio.get_running_loop().time() + within_s)
    try:
        yield asker
    finally:
        await asker.close()


async def credentials_for(
    folder: Path, url: str, *, token: str = "", ca_pem: bytes = b"", **cluster: Any
) -> Credentials:
    """Through a kubeconfig, as anybody's."""
    return await load(str(kubeconfig_for(folder, url, token=token, ca_pem=ca_pem, **cluster)))


def kubeconfig_for(folder: Path, url: str, *, token: str = "", ca_pem: bytes = b"", **cluster: Any) -> Path:
    path = folder / "kubeconfig"
    if ca_pem:
        (folder / "ca.crt").write_bytes(ca_pem)
        cluster["certificate-authority"] = "ca.crt"
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": {"token": token} if token else {}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path

"""Between the server and the stand-in kube-apiserver: what a load balancer, an etcd or a bad network does to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable

import aiohttp
from aiohttp import web

_PASSED_ON = ("Authorization", "Accept", "Content-Type")
_SHUTDOWN_TIMEOUT_S = 0.2

#: The path that is watched and a line as it comes in, to lines as they go out.
Mangle = Callable[[str, bytes], Iterable[bytes]]


def as_they_are(_path: str, line: bytes) -> Iterable[bytes]:
    return (line,)


class CrookedFront:
    """Hands everything on until it is told otherwise. `lists_take_s` holds lists back; `watches_last_s` cuts each watch;
    `gone` answers every watch with 410; `mangle` is done to the lines of watches.
    """

    def __init__(self, upstream: str, to_clients: ssl.SSLContext, to_upstream: ssl.SSLContext) -> None:
        self.lists_take_s = 0.0
        self.watches_last_s: float | None = None
        self.gone = False
        self.mangle: Mangle = as_they_are
        self.port = 0
        self._upstream = upstream
        self._to_clients = to_clients
        self._to_upstream = to_upstream
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """On the port that it had, where it was stopped before."""
        connector = aiohttp.TCPConnector(ssl=self._to_upstream)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        server = web.Server(self._hand_on, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", self.port, ssl_context=self._to_clients, reuse_address=True
        ).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _hand_on(self, request: web.BaseRequest) -> web.StreamResponse:
        watching = request.query.get("watch") in ("1", "true")
        if watching and self.gone:
            status = '{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old"}'
            return web.Response(
                text=f'{{"type":"ERROR","object":{status}}}\n', content_type="application/json"
            )
        if not watching and request.method == "GET":
            await asyncio.sleep(self.lists_take_s)
        async with self._asked(request) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, ConnectionError):
                async with asyncio.timeout(self.watches_last_s if watching else None):
                    if watching:
                        async for line in answer.content:
                            for out in self.mangle(request.path, line):
                                await response.write(out)
                    else:
                        async for chunk in answer.content.iter_any():
                            await response.write(chunk)
                    return response
            if request.transport is not None:  # cut, and not ended
                request.transport.abort()
            return response

    @contextlib.asynccontextmanager
    async def _asked(self, request: web.BaseRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise web.HTTPBadGateway
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        async with self._session.request(
            request.method, f"{self._upstream}{request.path_qs}", headers=headers, data=await request.read()
        ) as answer:
            yield answer

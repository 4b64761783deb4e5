"""The HTTPS endpoints of a kubelet that a metrics server reads, over any NodeSource.

Every path asks for a bearer token first, as a kubelet with webhook authentication does.
"""

import asyncio
import logging
import resource
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import web

from pymetrics_server.log import Logger
from pymetrics_server.standin.exposition import RESOURCE_CONTENT_TYPE, resource_text, summary_json
from pymetrics_server.standin.views import NodeSource

log = Logger(__name__)

Authenticate = Callable[[str | None], bool]


class Guard(Protocol):
    def refusal(self, request: web.BaseRequest) -> web.Response | None:
        """What is answered whom the node does not let in."""
        ...


_KEEPALIVE_TIMEOUT_S = 300.0
_SHUTDOWN_TIMEOUT_S = 1.0
_FILES_PER_NODE = 3  # its listener and both ends of a connection within this process
_FILES_BESIDE = 512

# What clients do wrong is theirs to log; what goes wrong here is logged where it is caught.
_aiohttp_log = logging.getLogger(f"{__name__}.http")
_aiohttp_log.setLevel(logging.CRITICAL + 1)


class StandinKubelet:
    """One node's kubelet. `authenticate` is given the bearer token, None where there is none; a Guard sees the whole request.

    `fail_every` k answers every k-th scrape with 500, `offset` says which of them first; 0 fails none.
    """

    def __init__(
        self,
        source: NodeSource,
        ssl_context: ssl.SSLContext,
        authenticate: Authenticate | Guard,
        *,
        fail_every: int = 0,
        offset: int = 0,
    ) -> None:
        self._source = source
        self._fail_every = fail_every
        self._scrapes = offset
        self._ssl_context = ssl_context
        self._refusal = _of_tokens(authenticate) if callable(authenticate) else authenticate.refusal
        self._http: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen there (port 0: any free one) and tell the port."""
        self._http = web.Server(
            self._answer,
            keepalive_timeout=_KEEPALIVE_TIMEOUT_S,
            access_log=None,
            logger=_aiohttp_log,
        )
        self._listener = await asyncio.get_running_loop().create_server(
            self._http,
            host,
            port,
            ssl=self._ssl_context,
            ssl_handshake_timeout=10.0,
            ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._http is not None:
            self._http.pre_shutdown()  # idle connections need no waiting for
            await self._http.shutdown(_SHUTDOWN_TIMEOUT_S)
            self._http = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="Method Not Allowed\n")
        self._scrapes += 1
        if self._fail_every and self._scrapes % self._fail_every == 0:
            return web.Response(status=500, text="Internal Error: told to fail\n")
        try:
            match request.path:
                case "/stats/summary":
                    return web.Response(
                        body=summary_json(self._source.view()), content_type="application/json"
                    )
                case "/metrics/resource":
                    return web.Response(
                        body=resource_text(self._source.view()),
                        headers={"Content-Type": RESOURCE_CONTENT_TYPE},
                    )
                case "/healthz":
                    return web.Response(text="ok")
                case _:
                    return web.Response(status=404, text="404 page not found\n")
        except Exception as err:
            log.error("The stand-in kubelet failed to answer", err, path=request.path)
            return web.Response(status=500, text="Internal Error\n")


class StandinKubelets:
    """A kubelet per node, each on a port of its own, with one TLS context for all."""

    def __init__(
        self,
        sources: Sequence[NodeSource],
        ssl_context: ssl.SSLContext,
        authenticate: Authenticate | Guard,
        *,
        fail_every: int = 0,
    ) -> None:
        self._kubelets = [
            (
                source.view().name,
                StandinKubelet(source, ssl_context, authenticate, fail_every=fail_every, offset=i),
            )
            for i, source in enumerate(sources)
        ]

    async def start(self, host: str = "127.0.0.1") -> dict[str, int]:
        """Node name -> port."""
        _allow_open_files(len(self._kubelets) * _FILES_PER_NODE + _FILES_BESIDE)
        ports: dict[str, int] = {}
        try:
            for name, kubelet in self._kubelets:
                ports[name] = await kubelet.start(host)
        except OSError:
            await self.stop()
            raise
        return ports

    async def stop(self) -> None:
        async with asyncio.TaskGroup() as stopping:
            for name, kubelet in self._kubelets:
                stopping.create_task(kubelet.stop(), name=f"stop stand-in kubelet {name}")


def _of_tokens(authenticate: Authenticate) -> Callable[[web.BaseRequest], web.Response | None]:
    def refusal(request: web.BaseRequest) -> web.Response | None:
        known = authenticate(bearer(request.headers.get("Authorization")))
        return None if known else web.Response(status=401, text="Unauthorized")

    return refusal


def bearer(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None


def _allow_open_files(count: int) -> None:
    """Raise this process' soft limit as far as it may: the usual 1024 is less than 1000 nodes need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

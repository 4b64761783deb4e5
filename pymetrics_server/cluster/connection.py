"""HTTP to one kube-apiserver: bytes in, bytes out, and every failure one ApiserverError."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.cluster.wire import UNREADABLE
from pymetrics_server.errors import ApiserverError, ConfigError, ResourceExpiredError

_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 180.0  # a list that comes in one piece may be 100 MB; a watch has its own
_LONGEST_REFUSAL_BYTES = 64 << 10


class _Status(msgspec.Struct):
    message: str | None = None
    code: int | None = None


_status = msgspec.json.Decoder(_Status)


class Connection:
    """A pool of connections, opened at the first request. One per kubeconfig."""

    def __init__(
        self,
        credentials: Credentials,
        user_agent: str,
        clock: Clock,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._credentials = credentials
        self._user_agent = user_agent
        self._clock = clock
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        return self._credentials.server

    @property
    def clock(self) -> Clock:
        return self._clock

    async def get_bytes(self, path: str, params: Mapping[str, str], accept: str) -> bytes:
        async with self._answer("GET", _with(path, params), accept, None, _READ_TIMEOUT_S) as response:
            return await response.read()

    async def post_json(self, path: str, body: bytes, timeout_s: float) -> bytes:
        async with self._answer("POST", path, "application/json, */*", body, timeout_s) as response:
            return await response.read()

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], accept: str, timeout_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's lines, of any length. Entered when kube-apiserver has said yes."""
        async with self._answer("GET", _with(path, params), accept, None, timeout_s) as response:
            yield self._lines(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        splitter = LineSplitter()
        try:
            async for chunk in response.content.iter_any():
                for line in splitter.feed(chunk):
                    yield line
        except (aiohttp.ClientError, OSError) as err:
            raise self._unreachable(err) from err

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, accept: str, body: bytes | None, timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            shown = await self._credentials.authorization()
            response = await self._send(method, path, accept, body, timeout_s, shown)
            if response.status == 401 and await self._credentials.renew(shown):
                response.release()
                shown = await self._credentials.authorization()
                response = await self._send(method, path, accept, body, timeout_s, shown)
            async with response:
                if response.status >= 300:
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientError, OSError) as err:  # TimeoutError and ssl.SSLError are OSErrors
            raise self._unreachable(err) from err
        except ConfigError as err:
            raise ApiserverError(str(err)) from err

    async def _send(
        self, method: str, path: str, accept: str, body: bytes | None, timeout_s: float, shown: str | None
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept, "User-Agent": self._user_agent}
        if shown is not None:
            headers["Authorization"] = shown
        if body is not None:
            headers["Content-Type"] = "application/json"
        context = self._credentials.ssl_context()
        return await self._opened().request(
            method,
            URL(self.server + path, encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
            proxy=self._credentials.proxy_url,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S),
            ssl=True if context is None else context,
            server_hostname=self._credentials.tls_server_name if context is not None else None,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=60, resolver=self._resolver, socket_factory=_kept_alive
                ),
                # Not gzip: what the network saves, both ends pay in CPU.
                headers={"Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _unreachable(self, err: Exception) -> ApiserverError:
        return ApiserverError(f"cannot reach {self.server}: {_seen(err)}")


class LineSplitter:
    """Chunks in, whole lines out; a line may be of any length, and what is unfinished at the end is lost."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The non-empty lines that `chunk` completes."""
        first, *rest = chunk.split(b"\n")
        self._parts.append(first)
        lines = []
        for part in rest:
            line = b"".join(self._parts)
            self._parts = [part]
            if line.strip():
                lines.append(line)
        return lines


def status_error(body: bytes, http_status: int = 0) -> ApiserverError:
    """What a metav1.Status tells; `http_status` where it came as an answer's body."""
    try:
        status = _status.decode(body)
    except UNREADABLE:
        status = _Status()
    code = http_status or status.code or 0
    message = status.message or " ".join(body[:300].decode("utf-8", "replace").split())
    message = message or f"kube-apiserver answered {code}"
    return ResourceExpiredError(message) if code == 410 else ApiserverError(message, code)


async def _refusal(response: aiohttp.ClientResponse) -> ApiserverError:
    return status_error(await response.content.read(_LONGEST_REFUSAL_BYTES), response.status)


def _with(path: str, params: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(params)}" if params else path


def _seen(err: Exception) -> str:
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        cause = err.certificate_error
        return f"its certificate is not trusted: {getattr(cause, 'verify_message', '') or cause}"
    if isinstance(err, aiohttp.ClientConnectorDNSError):
        return f"lookup {err.host}: no such host"
    if isinstance(err, asyncio.TimeoutError):
        return "timed out"
    if isinstance(err, ConnectionRefusedError):
        return "connection refused"
    if isinstance(err, aiohttp.ClientConnectorError):
        return _seen(err.os_error)
    if isinstance(err, OSError) and err.strerror and not isinstance(err, ssl.SSLError):
        return err.strerror.lower()
    return " ".join(str(err).split()) or "the connection broke"


def _kept_alive(address: tuple[int, int, int, str, object]) -> socket.socket:
    """A watch may say nothing for long: the kernel finds out whether the other end is still there."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made

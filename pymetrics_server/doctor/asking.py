"""Questions to kube-apiserver: each ends in an Answer, whatever comes, and in time."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from msgspec.structs import replace

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.cluster.wire import UNREADABLE
from pymetrics_server.doctor.evidence import Answer
from pymetrics_server.doctor.lists import JSON, WHOLE, How
from pymetrics_server.doctor.redaction import cleaned, cleaned_text
from pymetrics_server.errors import ApiserverError, ConfigError
from pymetrics_server.version import GIT_VERSION

_USER_AGENT = f"pymetrics-server-doctor/{GIT_VERSION}"
_AT_ONCE = 16
_TIMEOUT_S = 10.0
_MiB = 1 << 20
_LARGEST_BYTES = 32 * _MiB

#: Of an answer's body, what is kept.
_Keep = Callable[[bytes], str]


class _TooLargeError(Exception):
    pass


class Asker(Connection):
    """A few questions at a time. What is not answered `until_s`, by the loop's clock, is not waited for."""

    def __init__(self, credentials: Credentials, clock: Clock, until_s: float) -> None:
        super().__init__(credentials, _USER_AGENT, clock)
        self._until_s = until_s
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        review: Mapping[str, object] | None = None,
        text: bool = False,
    ) -> Answer:
        """For an object, or with `text` for whatever comes; `review` is what to POST."""
        sent = None if review is None else msgspec.json.encode(review)
        accept, keep = ("*/*", _text) if text else (JSON, _object)
        return await self._answered(_with(path, params), accept, sent, keep, _LARGEST_BYTES)

    async def ask_raw(self, path: str) -> tuple[Answer, bytes]:
        """The body as it came, for a decoder; the Answer is without it."""
        bodies: list[bytes] = []

        def keep(body: bytes) -> str:
            bodies.append(body)
            return ""

        answer = await self._answered(path, "*/*", None, keep, _LARGEST_BYTES)
        return answer, bodies[0] if bodies else b""

    async def ask_list(self, path: str, params: Mapping[str, str] | None = None, how: How = WHOLE) -> Answer:
        """All pages as one body. What came before a page was refused is kept."""
        items: list[Any] = []
        token = ""

        def keep(body: bytes) -> str:
            nonlocal token
            found, token = how.read(body)
            items.extend(found)
            return ""

        pages: list[Answer] = []
        while not pages or token:
            asked = dict(params or {})
            if how.page:
                asked["limit"] = str(how.page)
            if token:
                asked["continue"] = token
            page = await self._answered(_with(path, asked), how.accept, None, keep, how.largest_bytes)
            pages.append(page)
            if not page.ok:
                break
        last = pages[-1]
        if len(pages) == 1 and not last.ok:
            return last
        return replace(
            pages[0],
            body=msgspec.json.encode({"items": items}).decode(),
            words="" if last.ok else f"cut short after {len(items)}: {last.words}",
            took_ms=sum(page.took_ms for page in pages),
        )

    async def _answered(
        self, path: str, accept: str, sent: bytes | None, keep: _Keep, largest_bytes: int
    ) -> Answer:
        async with self._turns:
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            timeout_s = min(_TIMEOUT_S, self._until_s - began_s)
            if timeout_s <= 0:
                return Answer(path, failure="timeout", words="the time was over before it was asked")
            try:
                async with asyncio.timeout(timeout_s):
                    status, body = await self._fetched(path, accept, sent, timeout_s, largest_bytes)
                answer = Answer(path, status, keep(body))
            except Exception as err:  # whatever it is, it costs this question only
                answer = _of_failure(path, err, timeout_s)
            return replace(answer, took_ms=round((loop.time() - began_s) * 1000))

    async def _fetched(
        self, path: str, accept: str, sent: bytes | None, timeout_s: float, largest_bytes: int
    ) -> tuple[int, bytes]:
        method = "GET" if sent is None else "POST"
        async with self._answer(method, path, accept, sent, timeout_s) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > largest_bytes:
                    raise _TooLargeError(f"more than {largest_bytes // _MiB} MiB")
            return response.status, bytes(body)


def _object(body: bytes) -> str:
    return msgspec.json.encode(cleaned(msgspec.json.decode(body))).decode()


def _text(body: bytes) -> str:
    return cleaned_text(body.decode("utf-8", "replace"))


def _of_failure(path: str, err: Exception, timeout_s: float) -> Answer:
    words = cleaned_text(" ".join(str(err).split())) or type(err).__name__
    if isinstance(err, ApiserverError) and err.status:
        return Answer(path, err.status, words, words=words)
    if isinstance(err, TimeoutError):
        return Answer(path, failure="timeout", words=f"no answer within {timeout_s:.3g} s")
    if isinstance(err, _TooLargeError):
        return Answer(path, failure="too-large", words=words)
    if isinstance(err, UNREADABLE):
        return Answer(path, failure="unreachable", words=f"what answers is no kube-apiserver: {words}")
    return Answer(path, failure=_class_of(err), words=words)


def _class_of(err: Exception) -> str:
    for cause in _causes(err):
        if isinstance(cause, ConfigError):
            return "credentials"
        if isinstance(cause, ssl.SSLError | ssl.CertificateError | aiohttp.ClientSSLError):
            return "untrusted"
        if isinstance(cause, TimeoutError):
            return "timeout"
        if isinstance(cause, ConnectionRefusedError):
            return "refused"
    return "unreachable"


def _causes(err: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = err
    while seen is not None:
        yield seen
        if isinstance(seen, aiohttp.ClientConnectorError):
            yield seen.os_error
        seen = seen.__cause__


def _with(path: str, params: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(params)}" if params else path

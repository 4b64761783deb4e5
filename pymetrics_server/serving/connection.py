"""One HTTP connection: aiohttp's, with bounds that Go's server has, and without a stranger's mistakes in our log."""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from traceback import format_exception
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from pymetrics_server.log import Logger
from pymetrics_server.serving.limits import Limits

log = Logger(__name__)

_TOO_LONG = "431 Request Header Fields Too Large"
_UNREADABLE = "400 Bad Request"
_TOO_LONG_ANSWER = (
    f"HTTP/1.1 {_TOO_LONG}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{_TOO_LONG}"
).encode()


_PART_STEP_BYTES = 1 << 14


class HttpConnection(web.RequestHandler):
    """Made before its handshake. `overdue` is asked from outside, now and then: no request pays for a timer."""

    __slots__ = (
        "_grown",
        "_head_since_s",
        "_limits",
        "_lost",
        "_made_at_s",
        "_requests_when_unsent",
        "_unsent_since_s",
        "_wire",
        "handshake",
        "part_bytes",
        "peer",
    )

    def __init__(
        self,
        server: web.Server,
        peer: str,
        limits: Limits,
        lost: Callable[["HttpConnection"], None],
        grown: Callable[[], None],
    ) -> None:
        """`lost` is told when a connection that was made has ended, `grown` of much of a request that is not whole."""
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is none
            keepalive_timeout=limits.idle_timeout_s,
            max_line_size=limits.target_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
            lingering_time=limits.linger_s,
            auto_decompress=False,
        )
        self.peer = peer
        self.handshake: asyncio.Task[None] | None = None
        self._limits = limits
        self._lost = lost
        self._grown = grown
        self._wire: asyncio.Transport | None = None
        self._made_at_s = loop.time()
        self.part_bytes = 0  # received since the last whole head
        self._head_since_s = 0.0
        self._unsent_since_s = 0.0
        self._requests_when_unsent = -1

    @property
    def is_made(self) -> bool:
        """Whether the handshake has succeeded, if only to be followed by the end."""
        return self._wire is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._made_at_s = self._loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """aiohttp bounds each header and how many there are, which together is a thousand times as much."""
        requests = self._request_count
        super().data_received(data)
        if self._request_count == requests:
            self._take_part(len(data))
        elif self.part_bytes:
            self.part_bytes = 0
            self._head_since_s = 0.0

    def _take_part(self, size_bytes: int) -> None:
        if self._force_close or self._close:
            return
        steps = self.part_bytes // _PART_STEP_BYTES
        self.part_bytes += size_bytes
        waiting = self._is_waiting
        if waiting and not self._head_since_s and size_bytes:
            self._head_since_s = self._loop.time()
        if self.part_bytes > self._limits.request_bytes:
            log.info("Closing a connection: its request is too long", v=2, peer=self.peer)
            if waiting and self.transport is not None:
                self.transport.write(_TOO_LONG_ANSWER)
            self.force_close()
        elif self.part_bytes // _PART_STEP_BYTES != steps:
            self._grown()

    @property
    def _is_waiting(self) -> bool:
        """Whether the next request has yet to come."""
        return self._waiter is not None and not self._waiter.done()

    def overdue(self, now_s: float) -> str:
        """Why the connection should be cut off, by loop time; "" while all is well."""
        if self._wire is None:
            return ""  # the handshake has a timeout of its own
        if self._is_waiting:
            began_s = self._head_since_s if self._request_count else self._made_at_s
            if began_s and now_s - began_s > self._limits.head_timeout_s:
                return "its request's headers did not come in time"
        if not _has_unsent(self._wire):
            self._requests_when_unsent = -1
        elif self._requests_when_unsent != self._request_count:
            self._requests_when_unsent = self._request_count
            self._unsent_since_s = now_s
        elif now_s - self._unsent_since_s > self._limits.unread_timeout_s:
            return "its client does not read"
        return ""

    def spare_since_s(self) -> tuple[bool, float] | None:
        """For choosing who goes when there are too many: least first; None while a request is under way. One that is
        answered and has yet to send its body is not: anybody can send that as slowly as they like.
        """
        if not self.is_made or (self._request_count == 0 and self._is_waiting):
            return False, self._made_at_s
        is_busy = self._request_in_progress or (self._messages and not self._is_waiting)
        return None if is_busy else (True, self._next_keepalive_close_time)

    def cut(self) -> None:
        """At once, whatever was under way."""
        if self._wire is not None:
            self._wire.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What was sent is not logged: a token may be in it."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        log.info("A request cannot be read", v=2, peer=self.peer, reason=type(exc).__name__)
        too_long = isinstance(exc, LineTooLong)
        text = _TOO_LONG if too_long else _UNREADABLE
        response = web.Response(
            status=431 if too_long else 400, text=text, headers={"Server": "pymetrics-server"}
        )
        response.force_close()
        return response

    def log_exception(self, *args: object, **kw: object) -> None:
        err = kw.get("exc_info")
        if isinstance(err, web.RequestPayloadError | HttpProcessingError | ConnectionError):
            log.info("A request's body cannot be read", v=2, peer=self.peer, reason=type(err).__name__)
            return
        lines = format_exception(err) if isinstance(err, BaseException) else ()
        log.error("Connection failed", err, peer=self.peer, traceback="".join(lines))


def _has_unsent(transport: asyncio.Transport) -> bool:
    """Whether anything waits for the client to read it: with us, or in the kernel, which a full buffer begins with."""
    if transport.get_write_buffer_size():
        return True
    try:
        queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except (AttributeError, OSError, ValueError):
        return False  # closed meanwhile
    return bool(struct.unpack("i", queued)[0])

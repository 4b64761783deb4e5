"""One connection to one kubelet: opened, then asked again and again, one GET at a time.

TLS runs on the socket itself, not through a transport's buffers: beside an HTTP client's connection that is a third
of the memory while it rests, and a third of the CPU of a GET (docs/performance.md).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

import aiohappyeyeballs

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.answer import Answer, Answering
from pymetrics_server.kubelet.failure import of_connecting, of_exchange, one_line

_NEXT_ADDRESS_AFTER_S = 0.25  # RFC 8305: of a name that has several
_BYTES_PER_TURN = 262_144  # a flood comes in piecemeal, so that the others get their turns
_NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)
_received = memoryview(bytearray(65536))  # of whichever connection reads: what is in it is handed on at once


class KubeletConnection:
    """Not open any more from the first failure on, and once the kubelet has hung up."""

    __slots__ = (
        "_answering",
        "_loop",
        "_rests_since_s",
        "_socket",
        "_whole",
        "address",
        "heard",
        "is_open",
        "tls",
    )

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None) -> "KubeletConnection":
        """`tls` None is plain HTTP. Raises KubeletError."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as err:  # the latter: no name that IDNA knows
            raise KubeletError(FailureClass.DNS, one_line(f"{host}: {err}")) from err
        try:
            connected = await aiohappyeyeballs.start_connection(
                found, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S
            )
        except OSError as err:
            raise of_connecting(err) from err
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if tls is not None:
                connected = tls.wrap_socket(
                    connected, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
                await _shake_hands(connected, loop)
        except (OSError, ValueError) as err:
            connected.close()
            raise of_exchange(err) from err
        except BaseException:
            connected.close()
            raise
        return cls(connected, (host, port), tls, loop)

    def __init__(
        self,
        connected: socket.socket,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._socket = connected
        self._loop = loop
        self._answering: Answering | None = None
        self._whole: asyncio.Future[None] | None = None
        self.address = address
        self.tls = tls
        self.is_open = True
        self.heard = False  # anything of the answer that was last asked for
        self._rests_since_s = loop.time()
        loop.add_reader(connected.fileno(), self._readable)

    @property
    def rested_s(self) -> float:
        """Since it was last heard of."""
        return self._loop.time() - self._rests_since_s

    async def get(self, request: bytes, max_body_bytes: int) -> Answer:
        """Raises KubeletError."""
        self.heard = False
        self._answering = answering = Answering(max_body_bytes)
        self._whole = self._loop.create_future()
        try:
            await self._send(request)
            await self._whole
        except OSError as err:
            self.close()
            raise of_exchange(err) from err
        except BaseException:
            self.close()
            raise
        finally:
            self._answering = self._whole = None
        self._rests_since_s = self._loop.time()
        if not answering.keeps_alive:
            self.close()
        return answering.answer()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    async def _send(self, request: bytes) -> None:
        rest = memoryview(request)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except _NOT_NOW:
                fd = self._socket.fileno()
                await _once(self._loop, self._loop.add_writer, self._loop.remove_writer, fd)

    def _readable(self) -> None:
        """All that is there: what TLS took from the socket already, the loop does not tell of again."""
        taken_bytes = 0
        try:
            while self.is_open and taken_bytes < _BYTES_PER_TURN:
                size = self._socket.recv_into(_received)
                taken_bytes += size
                self._take(_received[:size])
        except _NOT_NOW:
            return
        except OSError as err:
            self._fail(of_exchange(err))
        except KubeletError as err:
            self._fail(err)
        else:
            if self.is_open:
                self._loop.call_soon(self._readable)

    def _take(self, data: memoryview) -> None:
        answering = self._answering
        if answering is None or answering.is_whole:
            raise KubeletError(
                FailureClass.DISCONNECTED, "said more than it was asked" if data else "hung up"
            )
        if data:
            self.heard = True
            answering.feed(data)
        else:
            answering.end()
        if answering.is_whole and self._whole is not None and not self._whole.done():
            self._whole.set_result(None)

    def _fail(self, err: KubeletError) -> None:
        self.close()
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(err)


async def _shake_hands(connected: ssl.SSLSocket, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return connected.do_handshake()
        except ssl.SSLWantReadError:
            await _once(loop, loop.add_reader, loop.remove_reader, connected.fileno())
        except ssl.SSLWantWriteError:
            await _once(loop, loop.add_writer, loop.remove_writer, connected.fileno())


async def _once(
    loop: asyncio.AbstractEventLoop,
    add: Callable[..., object],
    remove: Callable[[int], object],
    fd: int,
) -> None:
    """Until the socket is ready for what `add` looks out for."""
    ready = loop.create_future()
    add(fd, _wake, ready)
    try:
        await ready
    finally:
        remove(fd)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)

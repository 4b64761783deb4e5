"""One connection to one kubelet: opened, then asked again and again, one GET at a time.

TLS runs on the socket itself, not through a transport's buffers: beside an HTTP client's connection that is a third
of the memory while it rests, and a third of the CPU of a GET (docs/performance.md).
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, cast

import aiohappyeyeballs

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.answer import Answer, Answering
from pymetrics_server.kubelet.failure import of_connecting, of_exchange, one_line
from pymetrics_server.kubelet.lookups import AddressInfo, Lookups
from pymetrics_server.kubelet.presented import names_presented
from pymetrics_server.kubelet.turns import Turns

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
        "_turns",
        "_waits",
        "_whole",
        "address",
        "heard",
        "is_open",
        "tls",
    )

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        server_name: str,
        within_s: float,
        *,
        lookups: Lookups,
        turns: Turns,
    ) -> "KubeletConnection":
        """`tls` None is plain HTTP; else `server_name` is what the certificate has to name, as far as `tls` looks at
        names, and what is asked for (SNI) unless it is an IP. It is read from in `turns`. Raises KubeletError."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        doing, late = "its name is not resolved", FailureClass.DNS
        connected: socket.socket | None = None
        try:
            async with asyncio.timeout_at(until_s):
                found = await lookups.addresses(host, port, type=socket.SOCK_STREAM)
                doing, late = "nobody takes the connection", FailureClass.CONNECT_TIMEOUT
                connected = await _dialled(found)
                doing = "the connection is taken, but no TLS handshake made"
                if tls is not None:
                    connected = await _secured(connected, tls, server_name, loop)
            return cls(connected, (host, port), tls, loop, turns)
        except BaseException as err:
            if connected is not None:
                connected.close()
            if isinstance(err, TimeoutError):
                raise KubeletError(late, f"{doing} within {within_s:.3g}s") from err
            if isinstance(err, OSError | ValueError) and late is FailureClass.DNS:
                raise KubeletError(late, one_line(f"{host}: {err}")) from err
            raise

    def __init__(
        self,
        connected: socket.socket,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        turns: Turns,
    ) -> None:
        self._socket = connected
        self._loop = loop
        self._turns = turns
        self._answering: Answering | None = None
        self._whole: asyncio.Future[None] | None = None
        self._waits = False  # for its turn to read
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
            self._send(request)
            await self._whole
        except BaseException:
            self.close()
            answering.drop()
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

    def _send(self, request: bytes) -> None:
        """At once: a request is far smaller than the room for it, unless the kubelet has long ceased to read."""
        try:
            sent = self._socket.send(request)
        except _NOT_NOW:
            sent = 0
        except OSError as err:
            raise of_exchange(err) from err
        if sent < len(request):
            raise KubeletError(FailureClass.DISCONNECTED, "the kubelet does not read what it is asked")

    def _readable(self) -> None:
        """What is left is read in a later turn, whether the loop tells of it again or not: of a connection that was reset
        uvloop tells only once."""
        if not self._waits:
            self._waits = True
            self._turns.take(self._read)

    def _read(self) -> None:
        """Up to a turn's worth of what is there."""
        self._waits = False
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
        if self.is_open:
            self._readable()

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


class _Connecting:
    """What aiohappyeyeballs asks of a loop. uvloop's own has every address looked up first, see lookups.py."""

    async def sock_connect(self, connecting: socket.socket, address: Any) -> None:
        try:
            connecting.connect(address)
        except BlockingIOError:
            loop = asyncio.get_running_loop()
            await _once(loop, loop.add_writer, loop.remove_writer, connecting.fileno())
            if error := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error)) from None


_connecting = cast("asyncio.AbstractEventLoop", _Connecting())


async def _dialled(found: Sequence[AddressInfo]) -> socket.socket:
    """To one of what was looked up."""
    try:
        connected = await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S, loop=_connecting
        )
    except OSError as err:
        raise of_connecting(err) from err
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connected


async def _secured(
    connected: socket.socket, tls: ssl.SSLContext, server_name: str, loop: asyncio.AbstractEventLoop
) -> ssl.SSLSocket:
    """`connected`, which is closed where that fails."""
    secured: ssl.SSLSocket | None = None
    try:
        secured = tls.wrap_socket(
            connected,
            server_hostname=server_name.encode(),  # text would be refused for a label above 63, which a node may have
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await _once(loop, loop.add_reader, loop.remove_reader, secured.fileno())
            except ssl.SSLWantWriteError:
                await _once(loop, loop.add_writer, loop.remove_writer, secured.fileno())
            else:
                return secured
    except BaseException as err:
        refused = _refused(err, secured) if isinstance(err, OSError | ValueError) else None
        (secured or connected).close()
        if refused is not None:
            raise refused from err
        raise


def _refused(err: OSError | ValueError, secured: ssl.SSLSocket | None) -> KubeletError:
    """Of a certificate for somebody else, whom it is for."""
    found = of_exchange(err)
    if secured is None or found.failure is not FailureClass.TLS_NAME_MISMATCH:
        return found
    names = names_presented(secured)
    detail = found.detail.removesuffix(".")
    return KubeletError(found.failure, one_line(f"{detail}: {names}") if names else detail)


async def _once(
    loop: asyncio.AbstractEventLoop, add: Callable[..., object], remove: Callable[[int], object], fd: int
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

"""The HTTPS listener: lets clients in, follows CAs and serving certificates as they change, and ends without cutting
anyone off.

It accepts by itself instead of through the loop's server: one connection for each turn of the loop, so that
any number of handshakes leaves every other turn to the requests of those who are in; the address is known
before anything is spent on it; and what a handshake failed over is told.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

from aiohttp import web

from pymetrics_server.errors import UntrustedError
from pymetrics_server.log import Logger
from pymetrics_server.serving.bind import bind, plain_ip, shown_address
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.connection import HttpConnection
from pymetrics_server.serving.contexts import ServingContexts
from pymetrics_server.serving.guests import Guests
from pymetrics_server.serving.handshakes import Refusals, bear_names_that_are_no_text
from pymetrics_server.serving.limits import Limits
from pymetrics_server.serving.peer import peer_chain_der
from pymetrics_server.x509 import Pair, bundle_der

log = Logger(__name__)

_TLS_SHUTDOWN_TIMEOUT_S = 2.0
_PAUSE_AFTER_FAILURE_S = 0.2
#: More handshakes at once than the aggregator ever begins.
_MANY = 16
#: Measured: 450 hostile handshakes per second leave the p99 of good requests at 2.3 times its quiet value, 700 at 3.3.
_BETWEEN_MANY_S = 0.002
_SHORTEST_HANDSHAKE_TIMEOUT_S = 0.01  # none at all would be a mistake
_LONGEST_SWEEP_INTERVAL_S = 5.0

HttpHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class SecureListener:
    """Whatever changes, changes for new handshakes; open connections go on with what they began with, those
    without a certificate until their next answer.
    """

    def __init__(
        self,
        certificate: ServingCertificate,
        *,
        sni: Sequence[ServingCertificate] = (),
        min_version: str = "",
        cipher_suites: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """Raises ConfigError where a name is unknown; the certificates were proven when they were made."""
        self._contexts = ServingContexts(
            certificate, sni, min_version=min_version, cipher_suites=cipher_suites
        )
        self._limits = limits or Limits()
        self._guests = Guests(self._limits)
        self._refusals = Refusals()
        self._ca_pem = (b"", b"")
        self._listening: socket.socket | None = None
        self._http: web.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._talking: set[socket.socket] = set()  # in a handshake, and not silent
        self._one_of_each: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reads_names = bool(sni)
        self._no_longer_bear: Callable[[], None] | None = None

    @property
    def port(self) -> int:
        """The port bound; 0 before start and after stop."""
        return int(self._listening.getsockname()[1]) if self._listening is not None else 0

    @property
    def serving_pair(self) -> Pair:
        """What new handshakes show, where SNI does not ask for another."""
        return self._contexts.pair

    @property
    def connections(self) -> int:
        """Open, those in their handshake among them."""
        return len(self._guests)

    def set_trust(self, requestheader_ca_pem: bytes, client_ca_pem: bytes) -> None:
        """The CAs whose clients may connect with a certificate; bundles that cannot be read leave those of before."""
        if (requestheader_ca_pem, client_ca_pem) == self._ca_pem:
            return
        try:
            ca_der = tuple(dict.fromkeys((*bundle_der(requestheader_ca_pem), *bundle_der(client_ca_pem))))
            self._contexts.set_ca(ca_der)
        except (UntrustedError, ssl.SSLError) as err:
            log.error("Keeping the client CAs of before: the new ones cannot be read", err)
            return
        self._ca_pem = (requestheader_ca_pem, client_ca_pem)
        self._refusals.forget()
        log.info("Client CAs taken up", count=len(ca_der))

    def reload_certificate_if_changed(self) -> bool:
        """Whether a new pair was taken up. A pair half written is left for the next call, and said once."""
        return self._contexts.reload_if_changed()

    async def start(self, handler: HttpHandler, host: str, port: int, *, share_port: bool = False) -> None:
        """share_port: --permit-port-sharing. Raises ListenError."""

        async def answered(request: web.BaseRequest) -> web.StreamResponse:
            outdated = self._is_outdated(request.transport)
            response = await handler(request)
            if outdated:
                response.force_close()
            return response

        self._listening = bind(host, port, share_port=share_port)
        self._http = web.Server(answered)
        if self._reads_names:
            self._no_longer_bear = bear_names_that_are_no_text()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._accept(self._listening, self._http), name="accepting connections"),
            loop.create_task(self._sweep(), name="sweeping up"),
        ]
        log.info("Serving securely", address=shown_address(host, self.port))

    async def run(self) -> None:
        """Until `stop`. Raises what ended the accepting or the sweeping: nobody would be let in any more."""
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if not task.cancelled():
                task.result()

    async def stop(self, drain_s: float) -> None:
        """Accepts no more, closes idle connections, waits up to drain_s for requests under way."""
        listening, http = self._listening, self._http
        if listening is None or http is None:
            return
        self._listening = None
        accepting, sweeping = self._tasks
        await _end(accepting)
        address = listening.getsockname()
        listening.close()
        await _end(*self._handshakes)
        if self._no_longer_bear is not None:
            self._no_longer_bear()
        http.pre_shutdown()
        await http.shutdown(drain_s)
        await _end(sweeping)
        log.info("Stopped listening", address=shown_address(address[0], address[1]))

    async def _accept(self, listening: socket.socket, http: web.Server) -> None:
        loop = asyncio.get_running_loop()
        failing = False
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                await asyncio.sleep(0)
            except OSError as err:
                if not failing:
                    log.error("No connection can be accepted: is the limit of open files too low?", err)
                failing = True
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
            else:
                failing = False
                self._begin(accepted, plain_ip(str(address[0])), http)
                await asyncio.sleep(0)

    def _begin(self, accepted: socket.socket, peer: str, http: web.Server) -> None:
        if not self._guests.make_room(peer):
            accepted.close()
            return
        connection = HttpConnection(http, peer, self._limits, self._guests.remove, self._guests.cut_largest)
        self._guests.add(connection)

        def ended(task: "asyncio.Task[None]") -> None:
            self._handshakes.discard(task)
            if connection.handshake is not None:  # cancelled before it began
                accepted.close()
                self._guests.remove(connection)
            if not task.cancelled() and (err := task.exception()) is not None:
                log.error("A handshake failed in a way of its own", err, peer=peer)

        handshake = asyncio.get_running_loop().create_task(
            self._shake_hands(accepted, connection), name="handshake"
        )
        connection.handshake = handshake
        self._handshakes.add(handshake)
        handshake.add_done_callback(ended)

    async def _shake_hands(self, accepted: socket.socket, connection: HttpConnection) -> None:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._limits.handshake_timeout_s
        try:
            local_ip = plain_ip(str(accepted.getsockname()[0]))
            await self._its_turn(accepted, connection.peer, ends_s)
            await loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._contexts.of_address(local_ip),
                ssl_handshake_timeout=max(ends_s - loop.time(), _SHORTEST_HANDSHAKE_TIMEOUT_S),
                ssl_shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT_S,
            )
        except OSError as err:
            if not connection.is_made:
                self._refusals.add(err, connection.peer)
        finally:
            self._talking.discard(accepted)
            connection.handshake = None
            if not connection.is_made:
                self._guests.remove(connection)

    async def _its_turn(self, accepted: socket.socket, peer: str, ends_s: float) -> None:
        """Once the client has said something: the answer to that is what costs. There is one in each turn of the
        loop, and where many come at once the requests of those who are in get most of the time between two.
        Addresses take turns: whoever comes from elsewhere does not stand behind a thousand of one.
        Raises TimeoutError, which is an OSError.
        """
        loop = asyncio.get_running_loop()
        said = asyncio.Event()
        of_its_own = self._one_of_each.setdefault(peer, asyncio.Lock())
        try:
            loop.add_reader(accepted, said.set)
            async with asyncio.timeout_at(ends_s):
                await said.wait()
                loop.remove_reader(accepted)
                self._talking.add(accepted)
                async with of_its_own, self._one_at_a_time:
                    await asyncio.sleep(_BETWEEN_MANY_S if len(self._talking) > _MANY else 0)
        except BaseException:
            loop.remove_reader(accepted)
            accepted.close()
            raise

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        shortest_s = min(self._limits.head_timeout_s, self._limits.unread_timeout_s)
        interval_s = min(_LONGEST_SWEEP_INTERVAL_S, shortest_s / 4)
        while True:
            await asyncio.sleep(interval_s)
            self._guests.cut_overdue(loop.time())
            self._contexts.forget_sessions()

    def _is_outdated(self, transport: asyncio.Transport | None) -> bool:
        """Whether the client was not asked for a certificate by the CAs of now: kept alive, it would stay nobody for
        as long as it likes. kube-apiserver's aggregator, come before its CA was known, would hear 403 all day.
        """
        connection = None if transport is None else transport.get_extra_info("ssl_object")
        if not isinstance(connection, ssl.SSLObject) or peer_chain_der(transport):
            return False
        return not self._contexts.ca_der or not self._contexts.is_current(connection)


async def _end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)

"""The HTTPS listener: binds, follows CAs and serving certificate as they change, and ends without cutting anyone off."""

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from pymetrics_server.errors import ListenError, UntrustedError
from pymetrics_server.log import Logger
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.peer import peer_chain_der
from pymetrics_server.serving.tls import PairError, Refusals, SwappedContext, context_of
from pymetrics_server.x509 import Pair, bundle_der

log = Logger(__name__)

_KEEPALIVE_TIMEOUT_S = 90.0
_HANDSHAKE_TIMEOUT_S = 10.0
_TLS_SHUTDOWN_TIMEOUT_S = 2.0
_MAX_HEADER_BYTES = 1 << 18  # of one header; a user's groups and extras come as headers, many of them
_MAX_HEADERS = 4096
_BACKLOG = 512

HttpHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class SecureListener:
    """Whatever changes, changes for new handshakes; open connections go on with what they began with, those
    without a certificate until their next answer.
    """

    def __init__(
        self, certificate: ServingCertificate, *, min_version: str = "", cipher_suites: Sequence[str] = ()
    ) -> None:
        """Raises ConfigError where a name is unknown; the certificate was proven when it was made."""
        self._certificate = certificate
        self._min_version = min_version
        self._cipher_suites = tuple(cipher_suites)
        self._seen = certificate.signature()
        self._pair = certificate.read()
        self._ca_pem = (b"", b"")
        self._ca_der: tuple[bytes, ...] = ()
        self._context = SwappedContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.current = self._build(self._pair, self._ca_der)
        self._server: asyncio.Server | None = None
        self._http: web.Server | None = None

    @property
    def port(self) -> int:
        """The port bound; 0 before start."""
        sockets = self._server.sockets if self._server is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    @property
    def serving_pair(self) -> Pair:
        """What new handshakes show."""
        return self._pair

    def set_trust(self, requestheader_ca_pem: bytes, client_ca_pem: bytes) -> None:
        """The CAs whose clients may connect with a certificate; bundles that cannot be read leave those of before."""
        if (requestheader_ca_pem, client_ca_pem) == self._ca_pem:
            return
        try:
            ca_der = tuple(dict.fromkeys((*bundle_der(requestheader_ca_pem), *bundle_der(client_ca_pem))))
            context = self._build(self._pair, ca_der)
        except (UntrustedError, ssl.SSLError) as err:
            log.error("Keeping the client CAs of before: the new ones cannot be read", err)
            return
        self._ca_pem = (requestheader_ca_pem, client_ca_pem)
        self._ca_der = ca_der
        self._context.current = context
        log.info("Client CAs taken up", count=len(ca_der))

    def reload_certificate_if_changed(self) -> bool:
        """Whether a new pair was taken up. A pair half written is left for the next call, and said once."""
        signature = self._certificate.signature()
        if signature == self._seen:
            return False
        self._seen = signature
        try:
            pair = self._certificate.read()
            context = self._build(pair, self._ca_der)
        except (OSError, PairError) as err:
            log.error("Keeping the serving certificate of before: the new one cannot be used", err)
            return False
        self._pair = pair
        self._context.current = context
        log.info("Serving certificate taken up", file=self._certificate.cert_file)
        return True

    async def start(self, handler: HttpHandler, host: str, port: int, *, share_port: bool = False) -> None:
        """share_port: --permit-port-sharing. Raises ListenError."""

        async def answered(request: web.BaseRequest) -> web.StreamResponse:
            outdated = self._is_outdated(request.transport)
            response = await handler(request)
            if outdated:
                response.force_close()
            return response

        self._http = web.Server(
            answered,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_TIMEOUT_S,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )
        bound = _bind(host, port, share_port=share_port)
        self._server = await asyncio.get_running_loop().create_server(
            self._http,
            sock=bound,
            ssl=self._context,
            ssl_handshake_timeout=_HANDSHAKE_TIMEOUT_S,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT_S,
            backlog=_BACKLOG,
        )
        log.info("Serving securely", address=_address(host, self.port))

    async def stop(self, drain_s: float) -> None:
        """Accepts no more, closes idle connections, waits up to drain_s for requests under way."""
        server, http = self._server, self._http
        if server is None or http is None:
            return
        address = server.sockets[0].getsockname() if server.sockets else ("", 0)
        self._server = None
        server.close()
        http.pre_shutdown()
        await http.shutdown(drain_s)
        log.info("Stopped listening", address=_address(address[0], address[1]))

    def _is_outdated(self, transport: asyncio.Transport | None) -> bool:
        """Whether the client was not asked for a certificate by the CAs of now: kept alive, it would stay nobody for
        as long as it likes. kube-apiserver's aggregator, come before its CA was known, would hear 403 all day.
        """
        connection = None if transport is None else transport.get_extra_info("ssl_object")
        if not isinstance(connection, ssl.SSLObject) or peer_chain_der(transport):
            return False
        return not self._ca_der or connection.context is not self._context.current

    def _build(self, pair: Pair, ca_der: tuple[bytes, ...]) -> ssl.SSLContext:
        return context_of(
            pair,
            ca_der=ca_der,
            min_version=self._min_version,
            cipher_suites=self._cipher_suites,
            refusals=Refusals(),
        )


def _bind(host: str, port: int, *, share_port: bool) -> socket.socket:
    """A wildcard of either family listens on both, as Go's does: the default must serve IPv6-only clusters."""
    try:
        if _is_wildcard(host) and socket.has_dualstack_ipv6():
            try:
                return _listening("::", port, socket.AF_INET6, dualstack=True, share_port=share_port)
            except OSError as err:
                if err.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return _listening(host, port, family, dualstack=False, share_port=share_port)
    except (OSError, OverflowError) as err:
        address = _address(host, port)
        number = err.errno if isinstance(err, OSError) else None
        reason = os.strerror(number).lower() if number and number > 0 else str(err)
        raise ListenError(
            f"failed to create listener: failed to listen on {address}: listen tcp {address}: bind: {reason} "
            "(--secure-port and --bind-address say where to listen)"
        ) from err


def _listening(
    host: str, port: int, family: socket.AddressFamily, *, dualstack: bool, share_port: bool
) -> socket.socket:
    return socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=share_port, dualstack_ipv6=dualstack
    )


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""The listener's TLS contexts.

A client's certificate is asked for and never required. In the handshake OpenSSL has already checked that one
of the two CA bundles vouches for it; which one that is, and what follows, is proven again behind it, so that
what is relaxed here opens nothing: dates are left to that proof, which lets an expired certificate hear a 401
as from metrics-server. A certificate of an unknown CA, or one not meant for clients, cannot get that far: the
standard library has no hook into OpenSSL's verification, and the handshake ends with an alert.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence

from pymetrics_server.errors import ConfigError
from pymetrics_server.log import Logger
from pymetrics_server.x509 import Pair

log = Logger(__name__)

_NO_CHECK_TIME = (
    0x200000  # X509_V_FLAG_NO_CHECK_TIME of openssl/x509_vfy.h; the ssl module has no name for it
)
_MIN_VERSIONS = {
    "": ssl.TLSVersion.TLSv1_2,
    "VersionTLS10": ssl.TLSVersion.TLSv1_2,  # nothing below 1.2 is spoken
    "VersionTLS11": ssl.TLSVersion.TLSv1_2,
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}


class PairError(Exception):
    """Certificate and key cannot be read, or do not belong together."""


class Refusals:
    """Says once why handshakes fail over a client's certificate: the peer itself only hears of an alert."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def add(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            log.warning(
                "A client's certificate was refused in the TLS handshake: if it is kube-apiserver's, compare its "
                "front-proxy CA with ConfigMap kube-system/extension-apiserver-authentication",
                reason=reason,
            )


class _Connection(ssl.SSLObject):
    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as err:
            context = self.context
            if isinstance(context, _ServerContext) and context.refusals is not None:
                context.refusals.add(err.verify_message)
            raise


class _ServerContext(ssl.SSLContext):
    sslobject_class = _Connection
    refusals: Refusals | None = None


class SwappedContext(ssl.SSLContext):
    """What the event loop is given: each new connection is begun with `current`, whole.

    An sni_callback could only swap part of it: whether a certificate is asked for is copied from the first
    context before the callback runs.
    """

    current: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def context_of(
    pair: Pair,
    *,
    ca_der: Sequence[bytes] = (),
    min_version: str = "",
    cipher_suites: Sequence[str] = (),
    refusals: Refusals | None = None,
) -> ssl.SSLContext:
    """min_version and cipher_suites in Go's names (ConfigError). Raises PairError."""
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.refusals = refusals
    context.minimum_version = minimum_version(min_version)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    # A resumed session would bring back a certificate without its intermediates, and nothing verifies it anew.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if cipher_suites:
        context.set_ciphers(openssl_ciphers(cipher_suites))
    try:
        with _as_file(pair.cert_pem + b"\n" + pair.key_pem) as path:
            context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, ValueError) as err:
        raise PairError(getattr(err, "reason", None) or str(err)) from err
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    if ca_der:
        context.load_verify_locations(cadata=b"".join(ca_der))
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def minimum_version(name: str) -> ssl.TLSVersion:
    if name not in _MIN_VERSIONS:
        raise ConfigError(f'unknown tls version "{name}"')
    return _MIN_VERSIONS[name]


def openssl_ciphers(names: Sequence[str]) -> str:
    """TLS 1.3 suites are not up for choice, in Go neither: naming one is no mistake and has no effect."""
    known = {
        f"TLS_{exchange}_WITH_{cipher}": f"{exchange.replace('_', '-')}-{openssl_name}"
        for exchange in ("ECDHE_RSA", "ECDHE_ECDSA")
        for cipher, openssl_name in _CIPHERS.items()
    }
    chosen = []
    for name in names:
        if name in known:
            chosen.append(known[name])
        elif name not in _TLS13_SUITES:
            raise ConfigError(f"Cipher suite {name} not supported or doesn't exist")
    return ":".join(chosen) or "DEFAULT"


_CIPHERS = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    "CHACHA20_POLY1305": "CHACHA20-POLY1305",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
}
_TLS13_SUITES = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)


def _no_password() -> str:
    raise ValueError("the key is encrypted")


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path for OpenSSL, which loads keys from files only; in memory where the system can, not on a disk."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("tls"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as named:
            named.write(content)
            named.flush()
            yield named.name

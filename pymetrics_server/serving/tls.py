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
from pymetrics_server.x509 import Pair

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


class ServerContext(ssl.SSLContext):
    """It remembers for whom clients are asked; the same object tells that it was the same occasion."""

    ca_der: tuple[bytes, ...] = ()


def context_of(
    pair: Pair,
    *,
    ca_der: tuple[bytes, ...] = (),
    min_version: str = "",
    cipher_suites: Sequence[str] = (),
) -> ServerContext:
    """min_version and cipher_suites in Go's names (ConfigError). Raises PairError."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.ca_der = ca_der
    context.minimum_version = minimum_version(min_version)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Nothing verifies a resumed session's certificate anew. TLS 1.3 thus resumes none; a 1.2 client may by the
    # session's number, which OpenSSL remembers with the whole chain for as long as the context lives.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if ciphers := openssl_ciphers(cipher_suites):
        context.set_ciphers(ciphers)
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
    """ "" for OpenSSL's own choice. Raises ConfigError.

    TLS 1.3 suites are not up for choice, in Go neither: naming one is no mistake and has no effect.
    """
    chosen = []
    for name in names:
        if name in _CIPHERS:
            chosen.append(_CIPHERS[name])
        elif name not in _TLS13_SUITES:
            raise ConfigError(f"Cipher suite {name} not supported or doesn't exist")
    return ":".join(chosen)


_AES = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "AES_128_CBC_SHA256": "AES128-SHA256",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
}
_CHACHA = {"CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305", "CHACHA20_POLY1305": "CHACHA20-POLY1305"}
#: By Go's name. RC4 and 3DES, which Go still knows, are in no OpenSSL of these days.
_CIPHERS = {
    f"TLS_{exchange}_WITH_{cipher}": f"{prefix}{openssl_name}"
    for exchange, prefix, ciphers in (
        ("ECDHE_RSA", "ECDHE-RSA-", _AES | _CHACHA),
        ("ECDHE_ECDSA", "ECDHE-ECDSA-", _AES | _CHACHA),
        ("RSA", "", _AES),
    )
    for cipher, openssl_name in ciphers.items()
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

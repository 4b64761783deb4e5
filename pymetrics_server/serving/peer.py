"""The certificates a client presented, from its connection."""

import ssl
import weakref
from typing import Protocol

_chains: "weakref.WeakKeyDictionary[ssl.SSLObject, tuple[bytes, ...]]" = weakref.WeakKeyDictionary()


class Transport(Protocol):
    def get_extra_info(self, name: str, default: object = None) -> object: ...


def peer_chain_der(transport: Transport | None) -> tuple[bytes, ...]:
    """Leaf first, then what came with it; () without a certificate, or once the connection is gone.

    Read once per connection: TLS is not renegotiated here.
    """
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    if not isinstance(connection, ssl.SSLObject):
        return ()
    chain = _chains.get(connection)
    if chain is None:
        chain = _chains[connection] = _read(connection)
    return chain


def _read(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    leaf = connection.getpeercert(binary_form=True)
    if not leaf:
        return ()
    presented = _presented(connection)
    return (leaf, *dict.fromkeys(der for der in presented if der != leaf))


def _presented(connection: ssl.SSLObject) -> list[bytes]:
    """Python 3.13 made the method public and let it answer DER; before, it answers the C module's certificates."""
    if hasattr(connection, "get_unverified_chain"):
        return list(connection.get_unverified_chain())
    read = getattr(getattr(connection, "_sslobj", None), "get_unverified_chain", None)
    if read is None:
        return []
    return [ssl.PEM_cert_to_DER_cert(cert.public_bytes()) for cert in read() or ()]

"""Everybody who may come to the door: CAs that are believed, CAs that are not, and what each client shows."""

import ssl
import time

from pymetrics_server.x509 import Pair
from tests.fakes.certificates import CLIENT, SERVER, authority, certificate, der

NOW_NS = time.time_ns()
PROXY_NAME = "front-proxy-client"

FRONT, CLIENTS = authority("front-proxy-ca", NOW_NS), authority("client-ca", NOW_NS)
TWIN = authority("front-proxy-ca", NOW_NS)  # the name of FRONT, and a key of its own
_MIDDLE = authority("middle", NOW_NS, FRONT)
_STRANGER = certificate(PROXY_NAME, NOW_NS)
RIGHT = certificate(PROXY_NAME, NOW_NS, FRONT, usages=[CLIENT])
_CLIENT = certificate("carol", NOW_NS, CLIENTS, usages=[CLIENT], organizations=["devs"])

#: Leaf first, as each client shows them; the key is the leaf's.
CHAINS: dict[str, tuple[Pair, ...]] = {
    "none": (),
    "self-signed": (_STRANGER,),
    "expired": (certificate(PROXY_NAME, NOW_NS, FRONT, usages=[CLIENT], begins_in_h=-2, ends_in_h=-1),),
    "not yet valid": (certificate(PROXY_NAME, NOW_NS, FRONT, usages=[CLIENT], begins_in_h=1),),
    "client CA, proxy's name": (certificate(PROXY_NAME, NOW_NS, CLIENTS, usages=[CLIENT]),),
    "front CA, another name": (certificate("kubelet", NOW_NS, FRONT, usages=[CLIENT]),),
    "right": (RIGHT,),
    "right, for servers only": (certificate(PROXY_NAME, NOW_NS, FRONT, usages=[SERVER]),),
    "right, over intermediate": (certificate(PROXY_NAME, NOW_NS, _MIDDLE, usages=[CLIENT]), _MIDDLE),
    "twin CA's key": (certificate(PROXY_NAME, NOW_NS, TWIN, usages=[CLIENT]),),
    "twin CA and its chain": (certificate(PROXY_NAME, NOW_NS, TWIN, usages=[CLIENT]), TWIN, FRONT),
    "self-signed, right behind": (_STRANGER, RIGHT, FRONT),
    "issued by a leaf": (certificate(PROXY_NAME, NOW_NS, RIGHT, usages=[CLIENT]), RIGHT),
    "a client's": (_CLIENT,),
    "client's, right behind": (_CLIENT, RIGHT),
    "client CA, no name": (certificate("", NOW_NS, CLIENTS, usages=[CLIENT], organizations=["devs"]),),
}


def unreadable(pair: Pair, name: str) -> bytes:
    """The certificate, PEM, with its name as a BIT STRING: OpenSSL reads it, cryptography does not."""
    (found,) = der(pair)
    text = bytes([0x0C, len(name)]) + name.encode()
    assert text in found
    return ssl.DER_cert_to_PEM_cert(
        found.replace(text, bytes([0x03, len(name), 0]) + name[1:].encode())
    ).encode()

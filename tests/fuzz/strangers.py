"""What must hold of any bytes whatever: each target is given some, and fails by an exception.

Nothing but the errors that callers catch may come out, and nobody may come in.
"""

import json
import re
from collections.abc import Callable

from cryptography import x509
from multidict import CIMultiDict, CIMultiDictProxy

from pymetrics_server.auth import clientcert
from pymetrics_server.auth.bearer import token_in
from pymetrics_server.auth.requestheader import user_of
from pymetrics_server.auth.trust import Trust
from pymetrics_server.errors import UnauthorizedError, UntrustedError
from pymetrics_server.x509 import bundle_der, describe, prove
from tests.fakes.certificates import CLIENT, authority, certificate, der

NOW_NS = 1_795_416_192_000_000_000
_FRONT, _CLIENTS = authority("front-proxy-ca", NOW_NS), authority("client-ca", NOW_NS)
_MIDDLE = authority("middle", NOW_NS, _FRONT)
_PROXY = certificate("front-proxy-client", NOW_NS, _FRONT, usages=[CLIENT])
_BEHIND = certificate("front-proxy-client", NOW_NS, _MIDDLE, usages=[CLIENT])
_CAROL = certificate("carol", NOW_NS, _CLIENTS, usages=[CLIENT], organizations=["devs"])
TRUST = Trust(
    requestheader_ca_pem=_FRONT.cert_pem,
    client_ca_pem=_CLIENTS.cert_pem,
    allowed_names=("front-proxy-client",),
    uid_headers=("X-Remote-Uid",),
)
LEAVES = der(_PROXY, _BEHIND)
_INTERMEDIATE = der(_MIDDLE)[0]
_USER_HEADER = re.compile(r"x-remote-user", re.IGNORECASE)


def headers(data: bytes) -> None:
    """Lines `name: value`, as the parser hands them on, of a front proxy that is believed."""
    pairs = [line.partition(b":")[::2] for line in data.split(b"\n")]
    multi = CIMultiDict((_text(name), _text(value).strip(" \t")) for name, value in pairs)
    found = CIMultiDictProxy(multi)
    try:
        user = user_of(found, TRUST)
    except UnauthorizedError:
        return
    named = [value for name, value in multi.items() if _USER_HEADER.fullmatch(name)]
    if user is None:
        assert not named or not named[0]
        return
    assert user.name == named[0] != ""
    groups = [value for name, value in multi.items() if name.lower() == "x-remote-group"]
    assert list(user.groups) == [group for group in groups if group]
    extras = [value for name, value in multi.items() if name.lower().startswith("x-remote-extra-")]
    assert sorted(value for values in user.extra.values() for value in values) == sorted(extras)
    # kube-apiserver is asked about nobody whose name cannot be written
    json.dumps([user.name, user.groups, user.uid, dict(user.extra)], ensure_ascii=False).encode()


def token(data: bytes) -> None:
    authorization = _text(data)
    found = token_in(CIMultiDictProxy(CIMultiDict({"Authorization": authorization})))
    assert " " not in found
    assert not found or authorization.strip().lower().startswith("bearer ")


def leaf(data: bytes) -> None:
    """A certificate shown, as DER; only the genuine one is believed."""
    _judge((data,))
    _judge((data, _INTERMEDIATE))


def chain(data: bytes) -> None:
    """What came behind a genuine leaf, each certificate with its length before it in two bytes."""
    behind: list[bytes] = []
    while len(data) > 2 and len(behind) < 12:
        size = int.from_bytes(data[:2], "big")
        behind.append(data[2 : 2 + size])
        data = data[2 + size :]
    for genuine in LEAVES:
        _judge((genuine, *behind))
    _judge((*behind, *LEAVES))


def bundle(data: bytes) -> None:
    """A CA bundle of the ConfigMap: unreadable, or of certificates that can be written again."""
    try:
        found = bundle_der(data)
        assert bundle_der(data) == found
        prove(LEAVES[:1], data, NOW_NS)
    except UntrustedError:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (headers, token, leaf, chain, bundle)
}

SEEDS: dict[str, list[bytes]] = {
    "headers": [
        b"X-Remote-User: alice\nX-Remote-Group: a, b\nX-Remote-Extra-Foo%2fBar: 1\nX-Remote-Uid: 7",
        b"x-remote-user: \xff\nX-Remote-Extra-%c3%a9: \xc3\xa9\nX-Remote-Extra-%: %\nX-Remote-Extra-: ",
        b"X_Remote_User: root\nX-Remote-User: \nX-Remote-User: b",
    ],
    "token": [b"Bearer abc.def.ghi", b"bearer  x", b"Basic eDp5", b"Bearer \xff"],
    "leaf": [*LEAVES, der(_CAROL)[0], der(_FRONT)[0], _INTERMEDIATE],
    "chain": [b"".join(len(d).to_bytes(2, "big") + d for d in der(_MIDDLE, _FRONT, _PROXY, _CAROL)), b""],
    "bundle": [_FRONT.cert_pem, _FRONT.cert_pem + b"\n" + _CLIENTS.cert_pem, b"", b"# no CA\n"],
}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _judge(shown: tuple[bytes, ...]) -> None:
    """Who is believed shows what a CA has signed: a signature may be written in another way, what it signs may not."""
    for ca_pem in (_FRONT.cert_pem, _CLIENTS.cert_pem):
        try:
            prove(shown, ca_pem, NOW_NS)
        except UntrustedError:
            continue
        assert _signed_part(shown[0]) in _GENUINE
    try:
        describe(shown[0])
        clientcert.authenticate(shown, TRUST, lambda chain, ca_pem: prove(chain, ca_pem, NOW_NS))
    except (UntrustedError, UnauthorizedError):
        pass


def _signed_part(certificate_der: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate_der).tbs_certificate_bytes


_GENUINE = frozenset(
    _signed_part(each) for each in (*LEAVES, der(_CAROL)[0], der(_FRONT)[0], der(_CLIENTS)[0], _INTERMEDIATE)
)

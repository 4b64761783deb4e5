"""A front proxy's word for who asks: X-Remote-User and its kin, believed of a proven front proxy only.

metrics-server: `k8s.io/apiserver/pkg/authentication/request/headerrequest`. Plain functions, no I/O.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote

import msgspec
from multidict import CIMultiDictProxy

from pymetrics_server.auth.trust import Trust
from pymetrics_server.errors import UnauthorizedError, UntrustedError
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.x509 import Proven

_LONGEST_USUAL_KEY = 128  # anybody may send any: what is remembered of them stays small
_BROKEN_ESCAPE = re.compile("%(?![0-9a-f]{2})")

#: (chain, leaf first; CA bundle) -> the leaf, proven; raises UntrustedError.
Prove = Callable[[tuple[bytes, ...], bytes], Proven]


def authenticate(
    headers: CIMultiDictProxy[str], chain_der: tuple[bytes, ...], trust: Trust, prove: Prove
) -> tuple[UserInfo, Proven] | None:
    """None is no opinion: no certificate, no CA to prove it by, or a front proxy that names nobody."""
    if not chain_der or not trust.requestheader_ca_pem:
        return None
    try:
        proxy = prove(chain_der, trust.requestheader_ca_pem)
    except UntrustedError as err:
        raise UnauthorizedError(str(err)) from err
    name = proxy.subject.common_name
    if trust.allowed_names and name not in trust.allowed_names:
        raise UnauthorizedError(f"x509: subject with cn={name} is not in the allowed list")
    user = user_of(headers, trust)
    return None if user is None else (user, proxy)


def user_of(headers: CIMultiDictProxy[str], trust: Trust) -> UserInfo | None:
    """One header line is one value: commas belong to it. Raises UnauthorizedError."""
    name = _first(headers, trust.username_headers)
    if not name:
        return None
    user = UserInfo(
        name=name,
        groups=tuple(g for header in trust.group_headers for g in headers.getall(header, ()) if g),
        uid=_first(headers, trust.uid_headers),
        extra=_extra(headers, trust.extra_headers_prefix),
    )
    try:
        msgspec.json.encode(user)
    except UnicodeEncodeError:  # kube-apiserver would be asked about somebody else
        raise UnauthorizedError("a header of the front proxy is not UTF-8") from None
    return user


def _first(headers: CIMultiDictProxy[str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := headers.get(name))), "")


def _extra(headers: CIMultiDictProxy[str], prefixes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    if len(prefixes) == 1:
        return prefixed(headers, prefixes[0].lower())
    found: dict[str, tuple[str, ...]] = {}
    for prefix in prefixes:
        for key, values in prefixed(headers, prefix.lower()).items():
            found[key] = (*found.get(key, ()), *values)
    return found


def prefixed(headers: CIMultiDictProxy[str], lower_prefix: str) -> dict[str, tuple[str, ...]]:
    """What stands behind the prefix in a header's name, lower-cased and percent-decoded -> values, in order."""
    found: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        lowered = header.lower()
        if lowered.startswith(lower_prefix):
            key = _unescaped(lowered[len(lower_prefix) :])
            found[key] = (*found[key], value) if key in found else (value,)
    return found


def _unescaped(key: str) -> str:
    """A key that is not whole percent-encoding is taken as it stands."""
    if "%" not in key:
        return key
    return _usual_key(key) if len(key) <= _LONGEST_USUAL_KEY else _decoded(key)


@lru_cache(maxsize=128)
def _usual_key(key: str) -> str:
    return _decoded(key)


def _decoded(key: str) -> str:
    if _BROKEN_ESCAPE.search(key):
        return key
    try:
        return unquote(key, errors="strict")
    except UnicodeDecodeError:
        return key

"""Impersonate-User and its kin: whoever asks may speak as somebody else, where they may `impersonate` each part of them.

Behind kube-apiserver's aggregator these headers never come: it resolves them itself. metrics-server:
`k8s.io/apiserver/pkg/endpoints/filters`, the impersonation filter, without the constrained verbs of 1.35.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec
from multidict import CIMultiDictProxy

from pymetrics_server.auth.requestheader import prefixed
from pymetrics_server.errors import AuthorizationError, PymetricsError
from pymetrics_server.log import Logger
from pymetrics_server.meta.identity import (
    ANONYMOUS,
    AUTHENTICATED_GROUP,
    UNAUTHENTICATED_GROUP,
    Attributes,
    Decision,
    UserInfo,
)
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.meta.status import bad_request, forbidden

log = Logger(__name__)

_USER, _GROUP, _UID, _EXTRA = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ACCOUNT = re.compile(rf"system:serviceaccount:({_LABEL}):({_LABEL}(?:\.{_LABEL})*)")


class Authorizer(Protocol):
    async def authorize(self, user: UserInfo, attributes: Attributes) -> Decision:
        """Raises a PymetricsError where nobody can say."""
        ...


class Impersonation:
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def acting(self, user: UserInfo, headers: CIMultiDictProxy[str]) -> UserInfo:
        """Whom `user` speaks as: themselves without such headers. Raises StatusError 403 for what may not be, 400
        where parts are named and no user, and AuthorizationError for what is no text.
        """
        wanted = _wanted(headers)
        if wanted is None:
            return user
        for attributes in _asked(wanted):
            try:
                decision = await self._authorizer.authorize(user, attributes)
            except PymetricsError as err:
                log.info("Cannot find out whether a user may be impersonated", v=2, err=err, user=user.name)
                decision = Decision(allowed=False)
            if not decision.allowed:
                raise forbidden(attributes, user, decision.reason)
        log.info("A user is impersonated", v=4, user=user.name, acting_as=wanted.name)
        return msgspec.structs.replace(wanted, groups=_completed(wanted))


def _wanted(headers: CIMultiDictProxy[str]) -> UserInfo | None:
    wanted = UserInfo(
        headers.get(_USER, ""),
        tuple(headers.getall(_GROUP, ())),
        headers.get(_UID, ""),
        prefixed(headers, _EXTRA),
    )
    if not (wanted.name or wanted.groups or wanted.uid or wanted.extra):
        return None
    try:
        msgspec.json.encode(wanted)
    except UnicodeEncodeError:  # kube-apiserver would be asked about somebody else
        raise AuthorizationError("an impersonation header is not UTF-8") from None
    if not wanted.name:
        raise bad_request(f"requested {_as_go_prints(wanted)} without impersonating a user name")
    return wanted


def _asked(wanted: UserInfo) -> Sequence[Attributes]:
    account = _ACCOUNT.fullmatch(wanted.name)
    if account is not None:
        found = [_item("serviceaccounts", account[2], namespace=account[1])]
    else:
        found = [_item("users", wanted.name)]
    found += [_item("groups", group) for group in wanted.groups]
    found += [
        _item("userextras", value, _AUTHENTICATION, subresource=key)
        for key, values in wanted.extra.items()
        for value in values
    ]
    if wanted.uid:
        found.append(_item("uids", wanted.uid, _AUTHENTICATION))
    return found


def _item(
    resource: str, name: str, group: str = "", *, namespace: str = "", subresource: str = ""
) -> Attributes:
    version = "v1" if group else ""
    return Attributes("impersonate", "", group, version, resource, subresource, namespace, name)


def _completed(wanted: UserInfo) -> tuple[str, ...]:
    """Groups that are given are all there are, but for the one that tells whether somebody is known at all."""
    groups = wanted.groups
    account = _ACCOUNT.fullmatch(wanted.name)
    if not groups and account is not None:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[1]}")
    if wanted.name == ANONYMOUS:
        return groups if UNAUTHENTICATED_GROUP in groups else (*groups, UNAUTHENTICATED_GROUP)
    if AUTHENTICATED_GROUP in groups or UNAUTHENTICATED_GROUP in groups:
        return groups
    return (*groups, AUTHENTICATED_GROUP)


def _as_go_prints(wanted: UserInfo) -> str:
    """What the original's `%#v` shows of it."""
    extra = ", ".join(f"{go_quote(key)}:{_strings(values)}" for key, values in sorted(wanted.extra.items()))
    return (
        f'&user.DefaultInfo{{Name:"", UID:{go_quote(wanted.uid)}, Groups:{_strings(wanted.groups)}, '
        f"Extra:map[string][]string{f'{{{extra}}}' if extra else '(nil)'}}}"
    )


def _strings(texts: Sequence[str]) -> str:
    return f"[]string{{{', '.join(map(go_quote, texts))}}}" if texts else "[]string(nil)"

"""Whose certificates prove a user, and which headers a front proxy names one with: what changes while we run."""

from collections.abc import Iterable

import msgspec

from pymetrics_server.errors import UntrustedError
from pymetrics_server.log import Logger
from pymetrics_server.x509 import bundle_der

log = Logger(__name__)


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """An empty CA bundle switches its authenticator off; empty allowed_names allow every common name."""

    requestheader_ca_pem: bytes = b""
    client_ca_pem: bytes = b""
    allowed_names: tuple[str, ...] = ()
    username_headers: tuple[str, ...] = ("X-Remote-User",)
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_headers_prefix: tuple[str, ...] = ("X-Remote-Extra-",)
    uid_headers: tuple[str, ...] = ()
    generation: int = 0  # given by TrustSource


#: The headers that kube-apiserver removes from a client's request before it sets them itself.
_REMOVED_BY_AGGREGATOR = frozenset({"x-remote-user", "x-remote-group", "x-remote-extra-", "x-remote-uid"})


class TrustSource:
    """Holds the trust of now; every change gets a generation of its own. A bundle that cannot be read changes nothing."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._current = Trust()
        self._warned_of: set[str] = set()
        if trust is not None:
            self.replace(trust)

    @property
    def current(self) -> Trust:
        return self._current

    def replace(self, trust: Trust) -> None:
        before = self._current
        trust = msgspec.structs.replace(
            trust,
            requestheader_ca_pem=_readable(trust.requestheader_ca_pem, before.requestheader_ca_pem),
            client_ca_pem=_readable(trust.client_ca_pem, before.client_ca_pem),
            generation=before.generation,
        )
        if trust == before:
            return
        self._current = msgspec.structs.replace(trust, generation=before.generation + 1)
        self._warn_of_names(
            trust.username_headers + trust.group_headers + trust.extra_headers_prefix + trust.uid_headers
        )

    def _warn_of_names(self, names: Iterable[str]) -> None:
        """The aggregator passes other headers on as a client sent them: anyone could name themselves anyone."""
        unusual = [n for n in names if n.lower() not in _REMOVED_BY_AGGREGATOR and n not in self._warned_of]
        if unusual:
            self._warned_of.update(unusual)
            log.warning(
                "Request headers with unusual names are trusted: kube-apiserver's aggregator does not remove them "
                "from what a client sends, so a client may claim to be anyone",
                headers=unusual,
            )


def _readable(ca_pem: bytes, before: bytes) -> bytes:
    try:
        bundle_der(ca_pem)
    except UntrustedError as err:
        log.error("Keeping the CAs of before: the new ones cannot be read", err)
        return before
    return ca_pem

"""ConfigMap kube-system/extension-apiserver-authentication: whose certificates prove a user, and how.

kube-apiserver writes it; changes are handed on as they come. Where it goes away, what it said stays.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.grants import AUTHENTICATION_READER, Need
from pymetrics_server.cluster.reflector import Reflector, Resource
from pymetrics_server.cluster.wire import Shape
from pymetrics_server.log import Logger

log = Logger(__name__)

_NAMESPACE, _NAME = "kube-system", "extension-apiserver-authentication"

AUTHENTICATION_CONFIGMAP = Resource(
    plural="configmaps",
    path=f"/api/v1/namespaces/{_NAMESPACE}/configmaps",
    need=Need("configmaps", AUTHENTICATION_READER, _NAME),
    field_selector=f"metadata.name={_NAME}",
    missing_is_empty=True,
)

_ALLOWED_NAMES = "requestheader-allowed-names"

_names = msgspec.json.Decoder(tuple[str, ...] | None)


class RequestHeaderConfig(msgspec.Struct, frozen=True):
    """Empty where the ConfigMap has no such key."""

    client_ca_pem: bytes = b""
    requestheader_ca_pem: bytes = b""
    allowed_names: tuple[str, ...] = ()
    username_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ()
    extra_headers_prefix: tuple[str, ...] = ()
    uid_headers: tuple[str, ...] = ()


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


class ConfigMapWatch:
    """`on_change` is called within the loop, at the first sight of the ConfigMap and whenever its values change."""

    def __init__(self, connection: Connection, on_change: Callable[[RequestHeaderConfig], None]) -> None:
        self.current = RequestHeaderConfig()
        self._on_change = on_change
        self._present = False
        shape = Shape(_ConfigMap, _data)
        self._reflector: Reflector[Mapping[str, str], str] = Reflector(
            connection, AUTHENTICATION_CONFIGMAP, shape, self
        )

    @property
    def has_synced(self) -> bool:
        """Whether kube-apiserver has said what the ConfigMap holds, or that there is none."""
        return self._reflector.has_synced

    @property
    def absent(self) -> bool:
        return self.has_synced and not self._present

    @property
    def last_error(self) -> str:
        return self._reflector.last_error

    @property
    def last_hint(self) -> str:
        return self._reflector.last_hint

    async def wait_synced(self) -> None:
        await self._reflector.synced.wait()

    async def run(self) -> None:
        """Ends by cancellation only."""
        await self._reflector.run()

    def key(self, data: Mapping[str, str]) -> str:
        return _NAME

    def keys(self) -> Iterable[str]:
        return (_NAME,) if self._present else ()

    def upsert(self, data: Mapping[str, str]) -> None:
        new = read(data, self.current)
        changed = new != self.current or not self._present
        self._present = True
        self.current = new
        if changed:
            self._on_change(new)

    def discard(self, key: str) -> None:
        self._present = False
        log.warning("ConfigMap is gone, its last values stay", configmap=f"{_NAMESPACE}/{_NAME}")

    def __repr__(self) -> str:
        state = "absent" if self.absent else "present" if self._present else "not synced"
        return f"<ConfigMapWatch {_NAMESPACE}/{_NAME}: {state}>"


def read(data: Mapping[str, str], previous: RequestHeaderConfig) -> RequestHeaderConfig:
    """A list that is no JSON array of strings keeps its previous value. At first sight there is none, and no list
    of names would allow every name: the front proxy's CA is left out then.
    """
    unreadable: set[str] = set()

    def names(key: str, before: tuple[str, ...]) -> tuple[str, ...]:
        text = data.get(key, "")
        if not text:
            return ()
        try:
            return _names.decode(text) or ()
        except msgspec.MsgspecError as err:
            log.error(f"{_NAMESPACE}/{_NAME} failed with", err, key=key)
            unreadable.add(key)
            return before

    allowed_names = names(_ALLOWED_NAMES, previous.allowed_names)
    believed = _ALLOWED_NAMES not in unreadable or previous.requestheader_ca_pem
    return RequestHeaderConfig(
        client_ca_pem=data.get("client-ca-file", "").encode(),
        requestheader_ca_pem=data.get("requestheader-client-ca-file", "").encode() if believed else b"",
        allowed_names=allowed_names,
        username_headers=names("requestheader-username-headers", previous.username_headers),
        group_headers=names("requestheader-group-headers", previous.group_headers),
        extra_headers_prefix=names("requestheader-extra-headers-prefix", previous.extra_headers_prefix),
        uid_headers=names("requestheader-uid-headers", previous.uid_headers),
    )


def _data(found: _ConfigMap) -> Mapping[str, str] | None:
    return found.data or {}

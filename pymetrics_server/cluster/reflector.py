"""List and watch of one resource, for as long as the process lives.

LIST in pages (first from kube-apiserver's own cache: resourceVersion=0), then WATCH from there. A watch that
ends is opened again from the last resourceVersion seen; 410 Gone lists anew, and so does a version that
kube-apiserver does not know; anything else waits with exponential back-off and tries again.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from pymetrics_server.cluster import grants, wire
from pymetrics_server.cluster.connection import Connection, status_error
from pymetrics_server.cluster.grants import Need
from pymetrics_server.errors import ApiserverError, ResourceExpiredError
from pymetrics_server.log import Logger

log = Logger(__name__)

_PAGE = 500
_BACKOFF_FIRST_S, _BACKOFF_LAST_S = 0.8, 30.0
_WATCH_MIN_S, _WATCH_MAX_S = 300, 600
_WATCH_GRACE_S = 30.0  # kube-apiserver ends a watch by itself; after that it is taken for dead
_SHORT_WATCH_NS = 1_000_000_000
#: What a resourceVersion is answered that kube-apiserver has never had: after etcd was restored from a backup.
_UNKNOWN_VERSION = (400, 504)

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
K = TypeVar("K")


class Sink(Protocol[T_contra, K]):
    """Where objects go."""

    def key(self, obj: T_contra, /) -> K: ...

    def keys(self) -> Iterable[K]: ...

    def upsert(self, obj: T_contra, /) -> None: ...

    def discard(self, key: K, /) -> None: ...


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What to list and watch."""

    plural: str
    path: str
    need: Need
    field_selector: str = ""
    list_accept: str = "application/json"
    watch_accept: str = "application/json"
    missing_is_empty: bool = False  # a 404 counts as an empty list


class Reflector(Generic[T, K]):
    def __init__(
        self, connection: Connection, resource: Resource, shape: wire.Shape[Any, T], sink: Sink[T, K]
    ) -> None:
        self.synced = asyncio.Event()
        self.last_error = ""  # "" while all is well
        self.last_hint = ""
        self._was_refused = False
        self._connection = connection
        self._clock = connection.clock
        self._resource = resource
        self._shape = shape
        self._sink = sink
        self._list_from: str | None = "0"  # the resourceVersion to list at; None: listed, watch on
        self._version = ""
        self._failures = 0

    @property
    def has_synced(self) -> bool:
        """Whether the whole list was had once."""
        return self.synced.is_set()

    async def run(self) -> None:
        """Ends by cancellation only."""
        while True:
            try:
                if self._list_from is not None:
                    await self._list(self._list_from)
                await self._watch()
            except ResourceExpiredError as err:
                log.info("Listing again", v=1, resource=self._resource.plural, why=err)
                self._list_from = ""
                if self._failures:  # listing anew has not helped
                    await self._wait()
                self._failures += 1
            except ApiserverError as err:
                await self._back_off(err)
                if err.status in _UNKNOWN_VERSION:
                    self._list_from = ""
            except Exception as err:  # a subscriber's bug must not end what everything else lives on
                self._list_from = ""
                await self._back_off(err)

    async def _list(self, version: str) -> None:
        gone = set(self._sink.keys())
        params = self._params(limit=str(_PAGE), resourceVersion=version)
        while True:
            try:
                body = await self._connection.get_bytes(
                    self._resource.path, params, self._resource.list_accept
                )
            except ResourceExpiredError:
                if "continue" not in params:
                    raise
                # The list was too long to be paged before its snapshot went: all at once, as client-go does.
                gone = set(self._sink.keys())
                params = self._params()
                continue
            except ApiserverError as err:
                if err.status == 404 and self._resource.missing_is_empty:
                    self._listed(gone, "")
                raise
            page = self._shape.page(body)
            for count, obj in enumerate(page.items, 1):
                gone.discard(self._sink.key(obj))
                self._sink.upsert(obj)
                if count % _PAGE == 0:
                    await asyncio.sleep(0)
            if not page.continue_token:
                self._listed(gone, page.resource_version)
                self._list_from = None
                return
            params = self._params(**{"limit": str(_PAGE), "continue": page.continue_token})

    def _listed(self, gone: set[K], version: str) -> None:
        for key in gone:
            self._sink.discard(key)
        self._version = version
        if not self.has_synced:
            log.info("Listed", v=1, resource=self._resource.plural, resourceVersion=version)
        self.synced.set()

    async def _watch(self) -> None:
        ends_after_s = random.randint(_WATCH_MIN_S, _WATCH_MAX_S)  # noqa: S311  no secret comes of it
        params = self._params(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=self._version,
            timeoutSeconds=str(ends_after_s),
        )
        began_ns = self._clock.monotonic_ns()
        events = 0
        try:
            async with self._connection.stream(
                self._resource.path, params, self._resource.watch_accept, ends_after_s + _WATCH_GRACE_S
            ) as lines:
                self._well_again()
                async for line in lines:
                    self._take(wire.event(line))
                    events += 1
                    self._failures = 0
        except ApiserverError as err:
            if err.status or not self._lasted(began_ns, events):
                raise
            log.info("Watch was cut", v=1, resource=self._resource.plural, why=err)
            return
        if not self._lasted(began_ns, events):
            raise ApiserverError("kube-apiserver ended the watch at once")
        self._failures = 0

    def _lasted(self, began_ns: int, events: int) -> bool:
        return events > 0 or self._clock.monotonic_ns() - began_ns >= _SHORT_WATCH_NS

    def _take(self, event: wire.Event) -> None:
        if event.type == "ERROR":
            raise status_error(bytes(event.object))
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            obj = self._shape.one(event.object)
            if obj is not None and event.type == "DELETED":
                self._sink.discard(self._sink.key(obj))
            elif obj is not None:
                self._sink.upsert(obj)
        self._version = wire.resource_version(event.object) or self._version

    def _params(self, **more: str) -> dict[str, str]:
        selected = {"fieldSelector": self._resource.field_selector} if self._resource.field_selector else {}
        return selected | {key: value for key, value in more.items() if value}

    def _well_again(self) -> None:
        if self._was_refused:
            log.info("Granted again", verb="list and watch", resource=self._resource.plural)
        elif self.last_error:
            log.info("kube-apiserver answers again", resource=self._resource.plural)
        self.last_error = self.last_hint = ""
        self._was_refused = False

    async def _back_off(self, err: Exception) -> None:
        said = str(err) or type(err).__name__
        if said != self.last_error:
            verb = "list" if self._list_from is not None else "watch"
            self._was_refused = isinstance(err, ApiserverError) and err.status in (401, 403)
            self.last_hint = _hint(err, verb, self._resource)
            refused = {"verb": verb, "user": grants.who(err)} if isinstance(err, ApiserverError) else {}
            log.error(
                f"Cannot {verb}, trying again",
                said,
                resource=self._resource.plural,
                server=self._connection.server,
                **(refused if self._was_refused else {}),
                hint=self.last_hint,
            )
        self.last_error = said
        await self._wait()
        self._failures += 1

    async def _wait(self) -> None:
        wait_s = min(_BACKOFF_LAST_S, _BACKOFF_FIRST_S * 2 ** min(self._failures, 10))
        await self._clock.sleep(wait_s * random.uniform(0.8, 1.0))  # noqa: S311  no secret comes of it


def _hint(err: Exception, verb: str, resource: Resource) -> str:
    if not isinstance(err, ApiserverError):
        return "this is a fault of pymetrics-server's own"
    if err.status in (401, 403):
        return grants.hint(err, verb, resource.need)
    if err.status == 0:
        return "check the server's address, and that the service network (kube-proxy, CNI) works on this node"
    return "look at kube-apiserver's log"

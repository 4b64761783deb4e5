"""A reflector, the cache it fills, and whoever wants to hear of changes."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from pymetrics_server.cluster.cache import NodeCache, PodCache
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.nodes import NODE_SHAPE, NODES
from pymetrics_server.cluster.pods import POD_SHAPE, PODS
from pymetrics_server.cluster.reflector import Reflector, Resource
from pymetrics_server.cluster.wire import Shape
from pymetrics_server.meta.objects import Node, PodMeta

T = TypeVar("T")
K = TypeVar("K")


class _Cache(Protocol[T, K]):
    def __len__(self) -> int: ...

    def key(self, obj: T, /) -> K: ...

    def keys(self) -> Iterable[K]: ...

    def put(self, obj: T, /) -> bool: ...

    def pop(self, key: K, /) -> T | None: ...


C = TypeVar("C", bound=_Cache[Any, Any])


class Informer(Generic[T, C]):
    """`cache` is what is known now; it is whole once `has_synced`, and may be old while kube-apiserver is away."""

    def __init__(self, connection: Connection, resource: Resource, shape: Shape[Any, T], cache: C) -> None:
        self.cache = cache
        self._plural = resource.plural
        self._subscribers: list[tuple[Callable[[T], None], Callable[[T], None]]] = []
        self._reflector: Reflector[T, Any] = Reflector(connection, resource, shape, self)

    @property
    def has_synced(self) -> bool:
        return self._reflector.has_synced

    @property
    def last_error(self) -> str:
        """Why listing or watching fails now; "" where it does not."""
        return self._reflector.last_error

    @property
    def last_hint(self) -> str:
        """What to do about it."""
        return self._reflector.last_hint

    async def wait_synced(self) -> None:
        await self._reflector.synced.wait()

    async def run(self) -> None:
        """Ends by cancellation only."""
        await self._reflector.run()

    def subscribe(self, on_upsert: Callable[[T], None], on_delete: Callable[[T], None]) -> None:
        """Both are called within the loop, after the cache has changed; `on_delete` with what was last known.

        Only what comes after is told: subscribe before `run`.
        """
        self._subscribers.append((on_upsert, on_delete))

    def key(self, obj: T) -> Any:
        return self.cache.key(obj)

    def keys(self) -> Iterable[Any]:
        return self.cache.keys()

    def upsert(self, obj: T) -> None:
        if self.cache.put(obj):
            for on_upsert, _ in self._subscribers:
                on_upsert(obj)

    def discard(self, key: Any) -> None:
        old = self.cache.pop(key)
        if old is not None:
            for _, on_delete in self._subscribers:
                on_delete(old)

    def __repr__(self) -> str:
        state = "synced" if self.has_synced else "not synced"
        failing = f", failing: {self.last_error}" if self.last_error else ""
        return f"<Informer {self._plural}: {len(self.cache)} known, {state}{failing}>"


NodeInformer = Informer[Node, NodeCache]
PodInformer = Informer[PodMeta, PodCache]


def node_informer(connection: Connection) -> NodeInformer:
    return Informer(connection, NODES, NODE_SHAPE, NodeCache())


def pod_informer(connection: Connection) -> PodInformer:
    return Informer(connection, PODS, POD_SHAPE, PodCache())

"""Which nodes and pods there are now, in order. One writer (the informer), many readers, one loop."""

from collections.abc import Iterator, Sequence
from operator import attrgetter

from pymetrics_server.meta.objects import Node, PodMeta

_by_name = attrgetter("name")


class NodeCache:
    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._sorted: Sequence[Node] | None = ()

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, name: str) -> Node | None:
        return self._nodes.get(name)

    def list(self) -> Sequence[Node]:
        """By name. The caller must not change it."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._nodes.values(), key=_by_name))
        return self._sorted

    def key(self, node: Node) -> str:
        return node.name

    def keys(self) -> Iterator[str]:
        return iter(self._nodes)

    def put(self, node: Node) -> bool:
        """Whether that changed anything."""
        if self._nodes.get(node.name) == node:
            return False
        self._nodes[node.name] = node
        self._sorted = None
        return True

    def pop(self, name: str) -> Node | None:
        node = self._nodes.pop(name, None)
        if node is not None:
            self._sorted = None
        return node


class PodCache:
    """In buckets by namespace, each sorted when it is next read."""

    def __init__(self) -> None:
        self._namespaces: dict[str, dict[str, PodMeta]] = {}
        self._sorted: dict[str, Sequence[PodMeta]] = {}  # absent: to be sorted
        self._all: Sequence[PodMeta] | None = ()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, namespace: str, name: str) -> PodMeta | None:
        bucket = self._namespaces.get(namespace)
        return bucket.get(name) if bucket else None

    def list(self, namespace: str = "") -> Sequence[PodMeta]:
        """By namespace, then name; "" is all namespaces. The caller must not change it."""
        if namespace:
            return self._bucket(namespace)
        if self._all is None:
            self._all = tuple(pod for name in sorted(self._namespaces) for pod in self._bucket(name))
        return self._all

    def key(self, pod: PodMeta) -> tuple[str, str]:
        return pod.namespace, pod.name

    def keys(self) -> Iterator[tuple[str, str]]:
        return ((namespace, name) for namespace, bucket in self._namespaces.items() for name in bucket)

    def put(self, pod: PodMeta) -> bool:
        """Whether that changed anything."""
        bucket = self._namespaces.setdefault(pod.namespace, {})
        old = bucket.get(pod.name)
        if old == pod:
            return False
        if old is None:
            self._count += 1
        bucket[pod.name] = pod
        self._changed(pod.namespace)
        return True

    def pop(self, key: tuple[str, str]) -> PodMeta | None:
        namespace, name = key
        bucket = self._namespaces.get(namespace, {})
        pod = bucket.pop(name, None)
        if pod is not None:
            self._count -= 1
            self._changed(namespace)
            if not bucket:
                del self._namespaces[namespace]
        return pod

    def _bucket(self, namespace: str) -> Sequence[PodMeta]:
        found = self._sorted.get(namespace)
        if found is None:
            bucket = self._namespaces.get(namespace)
            if bucket is None:
                return ()
            found = self._sorted[namespace] = tuple(sorted(bucket.values(), key=_by_name))
        return found

    def _changed(self, namespace: str) -> None:
        self._sorted.pop(namespace, None)
        self._all = None

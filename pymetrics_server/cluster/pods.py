"""Running pods as PartialObjectMetadata: their names and labels without spec and status."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from pymetrics_server.cluster.grants import READER, Need
from pymetrics_server.cluster.reflector import Resource
from pymetrics_server.cluster.wire import Shape
from pymetrics_server.meta.objects import PodMeta

PODS = Resource(
    plural="pods",
    path="/api/v1/pods",
    need=Need("pods", READER),
    field_selector="status.phase=Running",
    list_accept="application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    watch_accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
)


#: The same object for equal texts. Not sys.intern: until Python 3.12.5 its strings live for ever, and Jobs name anew.
_one: Callable[[str], str] = lru_cache(maxsize=1 << 14)(str)


class _PodMetadata(msgspec.Struct):
    """As ObjectMeta, without the annotations, which are the largest part and never read."""

    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None


class _Pod(msgspec.Struct):
    metadata: _PodMetadata | None = None


def _pod(found: _Pod) -> PodMeta | None:
    metadata = found.metadata
    if metadata is None or not metadata.name:
        return None
    labels = _shared(tuple(metadata.labels.items())) if metadata.labels else {}
    return PodMeta(_one(metadata.namespace or ""), metadata.name, labels)


@lru_cache(maxsize=4096)
def _shared(labels: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all replicas of a workload, whose pods have the same labels."""
    return {_one(key): _one(value) for key, value in labels}


POD_SHAPE = Shape(_Pod, _pod)

"""Usage becomes JSON: byte for byte what Go's encoder writes for NodeMetrics and PodMetrics.

A fragment is an item as it stands in a list: without kind and apiVersion, so that both API versions share it;
`single` puts those in front.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.status import go_escaped
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.meta.usage import NodeUsage, PodUsage

META_GROUP = "meta.k8s.io"

_AFTER_METADATA = b'},"timestamp":'
_SECOND_NS = 1_000_000_000


class _ObjectMeta(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    name: str
    namespace: str = ""
    creation_timestamp: str = ""
    labels: Mapping[str, str] | None = None


class _Usage(msgspec.Struct, gc=False):
    cpu: str
    memory: str


class _NodeMetrics(msgspec.Struct, gc=False):
    metadata: _ObjectMeta
    timestamp: str | None
    window: str
    usage: _Usage


class _ContainerMetrics(msgspec.Struct, gc=False):
    name: str
    usage: _Usage


class _PodMetrics(msgspec.Struct, gc=False):
    metadata: _ObjectMeta
    timestamp: str | None
    window: str
    containers: list[_ContainerMetrics]


_encode = msgspec.json.Encoder(order="deterministic").encode  # sorts labels, and no struct's fields
_window = lru_cache(maxsize=1024)(format_go)  # what is scraped together has few


def node_fragment(name: str, labels: Mapping[str, str], usage: NodeUsage, created_s: int) -> bytes:
    metadata = _ObjectMeta(name, "", format_rfc3339(created_s * _SECOND_NS), labels or None)
    used = _Usage(format_cpu(usage.cpu_nanocores), format_memory(usage.memory_bytes))
    return go_escaped(_encode(_NodeMetrics(metadata, _timestamp(usage), _window(usage.window_ns), used)))


def pod_fragment(
    namespace: str, name: str, labels: Mapping[str, str], usage: PodUsage, created_s: int
) -> bytes:
    metadata = _ObjectMeta(name, namespace, format_rfc3339(created_s * _SECOND_NS), labels or None)
    containers = [
        _ContainerMetrics(each.name, _Usage(format_cpu(each.cpu_nanocores), format_memory(each.memory_bytes)))
        for each in usage.containers
    ]
    return go_escaped(_encode(_PodMetrics(metadata, _timestamp(usage), _window(usage.window_ns), containers)))


def single(kind: str, api_version: str, fragment: bytes) -> bytes:
    """One object on its own, without the newline that ends a body."""
    return head(kind, api_version) + fragment[1:]


def head(kind: str, api_version: str) -> bytes:
    return f'{{"kind":"{kind}","apiVersion":"{api_version}",'.encode()


def partial_object(meta_version: str, fragment: bytes) -> bytes:
    """The PartialObjectMetadata of an item, whose first key is its metadata."""
    # Within text every quote is escaped, and no object inside metadata is followed by a key.
    metadata = fragment[1 : fragment.index(_AFTER_METADATA) + 1]
    return head("PartialObjectMetadata", f"{META_GROUP}/{meta_version}") + metadata + b"}"


def _timestamp(usage: NodeUsage | PodUsage) -> str | None:
    return format_rfc3339(usage.timestamp_ns) if usage.timestamp_ns else None

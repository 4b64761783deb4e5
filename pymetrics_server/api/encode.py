"""Usage becomes JSON: byte for byte what Go's encoder writes for NodeMetrics and PodMetrics.

The hot path of a list: strings are put together rather than a tree built. A fragment is an item as it stands
in a list: without kind and apiVersion, so that both API versions share it; `single` puts those in front.
"""

import re
from collections.abc import Mapping

from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.status import go_json
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.meta.usage import NodeUsage, PodUsage

META_GROUP = "meta.k8s.io"

_AFTER_METADATA = b'},"timestamp":'
# Printable ASCII but for what JSON or Go's HTML-safe encoder escapes.
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*")


def quoted(text: str) -> str:
    """A JSON string."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return go_json(text)[:-1].decode()


def object_metadata(namespace: str, name: str, labels: Mapping[str, str], created_s: int) -> str:
    """metav1.ObjectMeta; `namespace` "" leaves it out."""
    text = f'{{"name":{quoted(name)}'
    if namespace:
        text += f',"namespace":{quoted(namespace)}'
    text += f',"creationTimestamp":"{format_rfc3339(created_s * 1_000_000_000)}"'
    if labels:
        pairs = ",".join(f"{quoted(key)}:{quoted(labels[key])}" for key in sorted(labels))
        text += f',"labels":{{{pairs}}}'
    return text + "}"


def node_fragment(name: str, labels: Mapping[str, str], usage: NodeUsage, created_s: int) -> bytes:
    return (
        f'{{"metadata":{object_metadata("", name, labels, created_s)},{_when(usage)},'
        f'"usage":{_usage(usage.cpu_nanocores, usage.memory_bytes)}}}'
    ).encode()


def pod_fragment(
    namespace: str, name: str, labels: Mapping[str, str], usage: PodUsage, created_s: int
) -> bytes:
    containers = ",".join(
        f'{{"name":{quoted(each.name)},"usage":{_usage(each.cpu_nanocores, each.memory_bytes)}}}'
        for each in usage.containers
    )
    return (
        f'{{"metadata":{object_metadata(namespace, name, labels, created_s)},{_when(usage)},'
        f'"containers":[{containers}]}}'
    ).encode()


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


def _when(usage: NodeUsage | PodUsage) -> str:
    stamp = f'"{format_rfc3339(usage.timestamp_ns)}"' if usage.timestamp_ns else "null"
    return f'"timestamp":{stamp},"window":"{format_go(usage.window_ns)}"'


def _usage(cpu_nanocores: int, memory_bytes: int) -> str:
    return f'{{"cpu":"{format_cpu(cpu_nanocores)}","memory":"{format_memory(memory_bytes)}"}}'

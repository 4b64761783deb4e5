"""Usage becomes JSON: byte for byte what Go's encoder writes for NodeMetrics and PodMetrics.

The hot path of a list: strings are put together rather than a tree built. Items carry no kind and
apiVersion, so that both API versions share them; `single` puts those in front.
"""

import re
from collections.abc import Mapping

from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.status import METRICS_GROUP, go_json
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.meta.usage import NodeUsage, PodUsage

# Printable ASCII but for what JSON or Go's HTML-safe encoder escapes.
_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*")


def quoted(text: str) -> str:
    """A JSON string."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return go_json(text)[:-1].decode()


def object_metadata(namespace: str, name: str, labels: Mapping[str, str], created: str) -> str:
    """metav1.ObjectMeta; `namespace` "" leaves it out. `created` is RFC 3339."""
    text = f'{{"name":{quoted(name)}'
    if namespace:
        text += f',"namespace":{quoted(namespace)}'
    text += f',"creationTimestamp":"{created}"'
    if labels:
        pairs = ",".join(f"{quoted(key)}:{quoted(labels[key])}" for key in sorted(labels))
        text += f',"labels":{{{pairs}}}'
    return text + "}"


def node_item(name: str, labels: Mapping[str, str], usage: NodeUsage, created: str) -> bytes:
    return (
        f'{{"metadata":{object_metadata("", name, labels, created)},{_when(usage)},'
        f'"usage":{_usage(usage.cpu_nanocores, usage.memory_bytes)}}}'
    ).encode()


def pod_item(namespace: str, name: str, labels: Mapping[str, str], usage: PodUsage, created: str) -> bytes:
    containers = ",".join(
        f'{{"name":{quoted(each.name)},"usage":{_usage(each.cpu_nanocores, each.memory_bytes)}}}'
        for each in usage.containers
    )
    return (
        f'{{"metadata":{object_metadata(namespace, name, labels, created)},{_when(usage)},'
        f'"containers":[{containers}]}}'
    ).encode()


def head(kind: str, group_version: str) -> bytes:
    return f'{{"kind":"{kind}","apiVersion":"{group_version}",'.encode()


def single(kind: str, version: str, item: bytes) -> bytes:
    """One object on its own, without the newline that ends a body."""
    return head(kind, f"{METRICS_GROUP}/{version}") + item[1:]


def list_head(kind: str, version: str) -> bytes:
    return head(kind, f"{METRICS_GROUP}/{version}") + b'"metadata":{},"items":['


def _when(usage: NodeUsage | PodUsage) -> str:
    stamp = f'"{format_rfc3339(usage.timestamp_ns)}"' if usage.timestamp_ns else "null"
    return f'"timestamp":{stamp},"window":"{format_go(usage.window_ns)}"'


def _usage(cpu_nanocores: int, memory_bytes: int) -> str:
    return f'{{"cpu":"{format_cpu(cpu_nanocores)}","memory":"{format_memory(memory_bytes)}"}}'

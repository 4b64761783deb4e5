"""Usage becomes JSON: byte for byte what Go's encoder writes for NodeMetrics and PodMetrics.

A fragment is an item as it stands in a list: without kind and apiVersion, so that both API versions share it;
`single` puts those in front.
"""

import sys
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.status import go_escaped
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.meta.usage import NodeUsage, PodUsage

META_GROUP = "meta.k8s.io"

_SECOND_NS = 1_000_000_000
_encode = msgspec.json.Encoder(order="deterministic").encode  # sorts labels


class Template(msgspec.Struct, frozen=True, gc=False):
    """What the object alone decides of its fragment: the JSON before and after the time of its creation."""

    before: str
    after: str  # up to the end of the metadata; shared by those with the same labels


def template(name: str, namespace: str, labels: Mapping[str, str]) -> Template:
    """`namespace` is "" of nodes."""
    named = {"name": name, "namespace": namespace} if namespace else {"name": name}
    after = f',"labels":{json_text(labels)}}}' if labels else "}"
    return Template(f'{{"metadata":{json_text(named)[:-1]},"creationTimestamp":"', sys.intern(f'"{after}'))


def node_fragment(template: Template, usage: NodeUsage, created_s: int) -> bytes:
    return (
        f'{template.before}{format_rfc3339(created_s * _SECOND_NS)}{template.after},"timestamp":{_timestamp(usage)},'
        f'"window":"{format_go(usage.window_ns)}","usage":{{"cpu":"{format_cpu(usage.cpu_nanocores)}",'
        f'"memory":"{format_memory(usage.memory_bytes)}"}}}}'
    ).encode()


def pod_fragment(template: Template, usage: PodUsage, created_s: int) -> bytes:
    containers = ",".join(
        [
            f'{{"name":{_quoted(each.name)},"usage":{{"cpu":"{format_cpu(each.cpu_nanocores)}",'
            f'"memory":"{format_memory(each.memory_bytes)}"}}}}'
            for each in usage.containers
        ]
    )
    return (
        f'{template.before}{format_rfc3339(created_s * _SECOND_NS)}{template.after},"timestamp":{_timestamp(usage)},'
        f'"window":"{format_go(usage.window_ns)}","containers":[{containers}]}}'
    ).encode()


def single(kind: str, api_version: str, fragment: bytes) -> bytes:
    """One object on its own, without the newline that ends a body."""
    return head(kind, api_version) + fragment[1:]


def head(kind: str, api_version: str) -> bytes:
    return f'{{"kind":"{kind}","apiVersion":"{api_version}",'.encode()


def partial_object(meta_version: str, template: Template, created_s: int) -> bytes:
    """The PartialObjectMetadata of an item."""
    start = head("PartialObjectMetadata", f"{META_GROUP}/{meta_version}")
    created = format_rfc3339(created_s * _SECOND_NS)
    return start + f"{template.before[1:]}{created}{template.after}}}".encode()


def _timestamp(usage: NodeUsage | PodUsage) -> str:
    return f'"{format_rfc3339(usage.timestamp_ns)}"' if usage.timestamp_ns else "null"


def json_text(value: str | Mapping[str, str]) -> str:
    return go_escaped(_encode(value)).decode()


_quoted = lru_cache(maxsize=1024)(json_text)  # pods of one workload have containers of the same names

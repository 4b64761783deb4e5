"""metav1.Table and PartialObjectMetadata: what `kubectl get nodes.metrics.k8s.io` asks for."""

from collections.abc import Mapping, Sequence

from pymetrics_server.api.encode import object_metadata, quoted
from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.status import go_json
from pymetrics_server.meta.usage import NodeUsage, PodUsage

_META_GROUP = "meta.k8s.io"


class TableRows:
    """Rows in the order in which they are added. The columns are those of the first object with any usage:

    rows before it have none for cpu and memory, rows after it have both.
    """

    def __init__(self, meta_version: str) -> None:
        self._group_version = f"{_META_GROUP}/{meta_version}"
        self._has_usage = False

    def row(self, name: str, usage: NodeUsage | PodUsage, embedded: bytes) -> bytes:
        """`embedded` is the JSON of the row's object, or null."""
        cells = [name, *self._quantities(usage), format_go(usage.window_ns)]
        text = ",".join(quoted(cell) for cell in cells)
        return b'{"cells":[' + text.encode() + b'],"object":' + embedded + b"}"

    def head(self, *, empty: bool = False) -> bytes:
        """What stands before the rows, once all are added: up to `"rows":[`, or all where there are none."""
        start = f'{{"kind":"Table","apiVersion":"{self._group_version}","metadata":{{}},"columnDefinitions":'
        if empty:
            return start.encode() + b'null,"rows":null}'
        names = ("cpu", "memory") if self._has_usage else ()
        columns = [
            _column("Name", "name", "Name of the resource"),
            *(_column(name, "quantity", "") for name in names),
            _column("Window", "duration", ""),
        ]
        return start.encode() + go_json(columns)[:-1] + b',"rows":['

    def _quantities(self, usage: NodeUsage | PodUsage) -> Sequence[str]:
        if isinstance(usage, NodeUsage):
            cpu_nanocores, memory_bytes = usage.cpu_nanocores, usage.memory_bytes
            self._has_usage = True
        else:
            cpu_nanocores = sum(each.cpu_nanocores for each in usage.containers)
            memory_bytes = sum(each.memory_bytes for each in usage.containers)
            self._has_usage = self._has_usage or usage.containers != ()
        return (format_cpu(cpu_nanocores), format_memory(memory_bytes)) if self._has_usage else ()


def partial_metadata(
    meta_version: str, namespace: str, name: str, labels: Mapping[str, str], created: str
) -> bytes:
    return (
        f'{{"kind":"PartialObjectMetadata","apiVersion":"{_META_GROUP}/{meta_version}",'
        f'"metadata":{object_metadata(namespace, name, labels, created)}}}'
    ).encode()


def partial_list_head(meta_version: str) -> bytes:
    return (
        f'{{"kind":"PartialObjectMetadataList","apiVersion":"{_META_GROUP}/{meta_version}",'
        '"metadata":{},"items":['
    ).encode()


def _column(name: str, form: str, description: str) -> dict[str, object]:
    return {"name": name, "type": "string", "format": form, "description": description, "priority": 0}

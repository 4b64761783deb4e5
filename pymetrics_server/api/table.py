"""metav1.Table: what `kubectl get nodes.metrics.k8s.io` asks for."""

from pymetrics_server.api.encode import META_GROUP, json_text
from pymetrics_server.api.lists import Head
from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.status import go_json
from pymetrics_server.meta.usage import NodeUsage, PodUsage


class TableRows:
    """Rows in the order in which they are added. The columns are those of the first object with any usage:

    rows before it have none for cpu and memory, rows after it have both.
    """

    def __init__(self, meta_version: str) -> None:
        self.meta_version = meta_version
        self._api_version = f"{META_GROUP}/{meta_version}"
        self._has_rows = False
        self.has_usage = False

    def row(self, name: str, usage: NodeUsage | PodUsage, embedded: bytes) -> bytes:
        """`embedded` is the JSON of the row's object, or null."""
        self._has_rows = True
        if isinstance(usage, NodeUsage):
            cpu_nanocores, memory_bytes = usage.cpu_nanocores, usage.memory_bytes
            self.has_usage = True
        else:
            cpu_nanocores = memory_bytes = 0
            for each in usage.containers:
                cpu_nanocores += each.cpu_nanocores
                memory_bytes += each.memory_bytes
                self.has_usage = True
        cells = f'{{"cells":[{json_text(name)},'
        if self.has_usage:
            cells += f'"{format_cpu(cpu_nanocores)}","{format_memory(memory_bytes)}",'
        return f'{cells}"{format_go(usage.window_ns)}"],"object":'.encode() + embedded + b"}"

    def head(self) -> Head:
        """Once all rows are added."""
        if not self._has_rows:
            return Head("Table", self._api_version, "rows", b"null", b"null")
        names = ("cpu", "memory") if self.has_usage else ()
        columns = [
            _column("Name", "name", "Name of the resource"),
            *(_column(name, "quantity", "") for name in names),
            _column("Window", "duration", ""),
        ]
        return Head("Table", self._api_version, "rows", go_json(columns)[:-1])


def _column(name: str, form: str, description: str) -> dict[str, object]:
    return {"name": name, "type": "string", "format": form, "description": description, "priority": 0}

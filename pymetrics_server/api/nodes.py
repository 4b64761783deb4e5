"""NodeMetrics: which nodes a get or a list finds."""

from collections.abc import Iterator, Mapping, Sequence

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.collection import selected
from pymetrics_server.api.interfaces import NodeLister, Selector, UsageReader
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.shelf import Entry, Shelf, Shown
from pymetrics_server.errors import PymetricsError
from pymetrics_server.meta.objects import Node
from pymetrics_server.meta.status import internal_error, not_found_metrics, not_found_object
from pymetrics_server.meta.usage import NodeUsage

_Entry = Entry[Node, NodeUsage]
_NONE: Shown[Node, NodeUsage] = Shown((), ())


class Nodes:
    kind = "NodeMetrics"
    resource = "nodes"

    def __init__(self, nodes: NodeLister, usage: UsageReader, selector: Selector) -> None:
        """`selector` (--node-selector) narrows lists only."""
        self._nodes = nodes
        self._selector = selector
        self._shelf: Shelf[Node, NodeUsage] = Shelf(
            lambda _: nodes.list(),
            lambda node, mono_ns: usage.node_usage(node.name, mono_ns),
            lambda node: usage.node_validity(node.name),
            lambda node: selector.matches(node.labels),
        )

    def get(self, namespace: str, name: str, mono_ns: int) -> _Entry:
        try:
            node = self._nodes.get(name)
        except PymetricsError as err:
            raise internal_error(f"failed getting node: {err}") from err
        if node is None:
            raise not_found_object("node", name)
        entry = self._shelf.entry("", node)
        if not self._shelf.present((entry,), mono_ns):
            raise not_found_metrics("nodemetrics", name)
        return entry

    def select(self, namespace: str, options: ListOptions, mono_ns: int) -> Iterator[Sequence[_Entry]]:
        return selected(self._shelf, self._shown(options), options, _fields, mono_ns)

    def template(self, entry: _Entry) -> encode.Template:
        if entry.template is None:
            entry.template = encode.template(entry.object.name, "", entry.object.labels)
        return entry.template

    def json(self, entry: _Entry, created_s: int) -> bytes:
        if entry.json is None:
            entry.json = encode.node_fragment(self.template(entry), entry.usage, created_s)
        return entry.json

    def protobuf(self, entry: _Entry, created_s: int) -> bytes:
        if entry.protobuf is None:
            node = entry.object
            entry.protobuf = protobuf.node_fragment(node.name, node.labels, entry.usage, created_s)
        return entry.protobuf

    def _shown(self, options: ListOptions) -> Shown[Node, NodeUsage]:
        """As few as a field selector leaves. Raises StatusError 500."""
        try:
            name = options.fields.exact("metadata.name")
            if name is None:
                return self._shelf.of_namespace("")
            node = self._nodes.get(name)
        except PymetricsError as err:
            raise internal_error(f"failed listing nodes: {err}") from err
        if node is None or not self._selector.matches(node.labels):
            return _NONE
        return Shown((node,), (self._shelf.entry("", node),))


def _fields(node: Node) -> Mapping[str, str]:
    return {"metadata.name": node.name}

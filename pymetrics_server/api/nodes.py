"""NodeMetrics: which nodes a get or a list finds."""

from collections.abc import Iterator, Sequence

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.fragments import Fragments
from pymetrics_server.api.interfaces import NodeLister, Selector, UsageReader
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.negotiation import PROTOBUF
from pymetrics_server.api.served import Served
from pymetrics_server.errors import PymetricsError
from pymetrics_server.meta.objects import Node
from pymetrics_server.meta.predicates import field_predicate, label_predicate
from pymetrics_server.meta.status import internal_error, not_found_metrics, not_found_object
from pymetrics_server.meta.usage import NodeUsage


class Nodes:
    kind = "NodeMetrics"
    resource = "nodes"

    def __init__(self, nodes: NodeLister, usage: UsageReader, selector: Selector) -> None:
        """`selector` (--node-selector) narrows lists only."""
        self._nodes = nodes
        self._usage = usage
        self._selector = selector
        self._fragments = Fragments(lambda key: nodes.get(key[1]) is not None)

    def get(self, namespace: str, name: str, mono_ns: int) -> Served:
        try:
            node = self._nodes.get(name)
        except PymetricsError as err:
            raise internal_error(f"failed getting node: {err}") from err
        if node is None:
            raise not_found_object("node", name)
        usage = self._usage.node_usage(name, mono_ns)
        if usage is None:
            raise not_found_metrics("nodemetrics", name)
        return Served("", node.name, node.labels, usage)

    def select(
        self, namespace: str, options: ListOptions, mono_ns: int, at_a_time: int
    ) -> Iterator[Sequence[Served]]:
        matches, fits = label_predicate(options.labels), field_predicate(options.fields)
        candidates = self._candidates(options)
        for start in range(0, len(candidates), at_a_time):
            chunk: Sequence[Node] = candidates[start : start + at_a_time]
            if not options.labels.empty:
                chunk = [node for node in chunk if matches(node.labels)]
            if not options.fields.empty:
                chunk = [node for node in chunk if fits({"metadata.name": node.name})]
            found = [self._served(node, mono_ns) for node in chunk if self._selector.matches(node.labels)]
            yield [each for each in found if each is not None]

    def fragment(self, served: Served, media_type: str, created_s: int) -> bytes:
        usage = served.usage
        if not isinstance(usage, NodeUsage):
            raise TypeError("a node has the usage of a node")
        in_protobuf = media_type == PROTOBUF
        write = protobuf.node_fragment if in_protobuf else encode.node_fragment
        return self._fragments.get(
            ("", served.name),
            int(in_protobuf),
            usage,
            served.labels,
            lambda: write(served.name, served.labels, usage, created_s),
        )

    def _candidates(self, options: ListOptions) -> Sequence[Node]:
        try:
            name = options.fields.exact("metadata.name")
            if name is None:
                return self._nodes.list()
            node = self._nodes.get(name)
        except PymetricsError as err:
            raise internal_error(f"failed listing nodes: {err}") from err
        return () if node is None else (node,)

    def _served(self, node: Node, mono_ns: int) -> Served | None:
        usage = self._usage.node_usage(node.name, mono_ns)
        if usage is None:
            self._fragments.drop(("", node.name))
            return None
        return Served("", node.name, node.labels, usage)

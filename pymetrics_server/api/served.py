"""What a request finds: objects that exist and have usage, as nodes.py and pods.py select them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.meta.usage import NodeUsage, PodUsage


class Served(NamedTuple):
    namespace: str
    name: str
    labels: Mapping[str, str]
    usage: NodeUsage | PodUsage


class Collection(Protocol):
    """Nodes or pods; `mono_ns` is the monotonic instant at which usage is asked for."""

    @property
    def kind(self) -> str: ...

    @property
    def resource(self) -> str: ...

    def get(self, namespace: str, name: str, mono_ns: int) -> Served:
        """Raises StatusError 404."""
        ...

    def select(
        self, namespace: str, options: ListOptions, mono_ns: int, at_a_time: int
    ) -> Iterator[Sequence[Served]]:
        """One step for each `at_a_time` objects looked at, so that the reader can pause."""
        ...

    def fragment(self, served: Served, media_type: str, created_s: int) -> bytes:
        """The item of a list in JSON or PROTOBUF, encoded at most once per sample."""
        ...

"""Lists and tables, put together from fragments batch by batch: JSON, indented JSON, YAML or protobuf."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pymetrics_server.api.encode import head
from pymetrics_server.api.negotiation import PROTOBUF, YAML, Representation
from pymetrics_server.api.protobuf import list_body
from pymetrics_server.api.reply import Reply, encoded_reply
from pymetrics_server.api.yaml import around_items, items_to_yaml


class Head(msgspec.Struct, frozen=True):
    """What a list is besides its items. `columns` is JSON, and only of tables."""

    kind: str
    api_version: str
    items: str = "items"  # the key of the array
    columns: bytes = b""
    none: bytes = b"[]"  # JSON of no items

    def to_json(self) -> bytes:
        """Up to the bracket that opens the array."""
        return self._start() + b"["

    def without_items(self) -> bytes:
        """The whole document."""
        return self._start() + self.none + b"}"

    def _start(self) -> bytes:
        columns = b',"columnDefinitions":' + self.columns if self.columns else b""
        return head(self.kind, self.api_version) + b'"metadata":{}%s,"%s":' % (columns, self.items.encode())


class ListWriter(Protocol):
    def add(self, fragments: Sequence[bytes]) -> None: ...

    def finish(self, head: Head) -> Reply: ...


def list_writer(representation: Representation) -> ListWriter:
    if representation.media_type == PROTOBUF:
        return _Protobuf()
    if representation.media_type == YAML:
        return _YAML()
    return _IndentedJSON() if representation.pretty else _JSON()


class _JSON:
    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, fragments: Sequence[bytes]) -> None:
        if fragments:
            self._parts.append(b",".join((b"", *fragments) if self._parts else fragments))

    def finish(self, head: Head) -> Reply:
        if not self._parts:
            return encoded_reply(head.without_items(), Representation())
        return Reply([head.to_json(), *self._parts, b"]}\n"])


class _IndentedJSON:
    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, fragments: Sequence[bytes]) -> None:
        for fragment in fragments:
            indented = msgspec.json.format(fragment, indent=2).replace(b"\n", b"\n    ")
            self._parts += (b",\n    " if self._parts else b"\n    ", indented)

    def finish(self, head: Head) -> Reply:
        if not self._parts:
            return encoded_reply(head.without_items(), Representation(pretty=True))
        start = msgspec.json.format(head.to_json() + b"]}", indent=2).removesuffix(b"]\n}")
        return Reply([start, *self._parts, b"\n  ]\n}"])


class _YAML:
    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, fragments: Sequence[bytes]) -> None:
        if fragments:
            self._parts.append(items_to_yaml(fragments))

    def finish(self, head: Head) -> Reply:
        document = head.without_items()
        if not self._parts:
            return encoded_reply(document, Representation(YAML))
        before, after = around_items(document, head.items)
        return Reply([before, *self._parts, after], content_type=YAML)


class _Protobuf:
    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, fragments: Sequence[bytes]) -> None:
        self._parts.append(b"".join(fragments))

    def finish(self, head: Head) -> Reply:
        return Reply(list_body(head.kind, head.api_version, self._parts), content_type=PROTOBUF)

"""An answer before it is sent: plain bytes in parts, which a list fills batch by batch."""

from collections.abc import Mapping, Sequence

import msgspec

from pymetrics_server.api.negotiation import JSON, Representation
from pymetrics_server.meta.status import StatusError, go_json, go_json_pretty

TEXT = "text/plain; charset=utf-8"
NOSNIFF = {"X-Content-Type-Options": "nosniff"}


class Reply(msgspec.Struct, frozen=True):
    parts: Sequence[bytes]
    code: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = {}

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.parts))


def json_reply(value: object, pretty: bool, code: int = 200) -> Reply:
    return Reply([go_json_pretty(value) if pretty else go_json(value)], code)


def encoded_reply(document: bytes, pretty: bool) -> Reply:
    """`document` is compact JSON without a newline at its end."""
    return Reply([msgspec.json.format(document, indent=2) if pretty else document + b"\n"])


def status_reply(
    status: StatusError, representation: Representation, headers: Mapping[str, str] | None = None
) -> Reply:
    if not status.typed:
        return Reply([status.to_json()], status.code, TEXT, headers or {})
    return Reply([status.to_json(representation.pretty)], status.code, JSON, headers or {})


def text_reply(text: str, code: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply([text.encode("utf-8", "replace")], code, TEXT, {**NOSNIFF, **(headers or {})})


class ItemsReply:
    """A document whose last key is an array of items, put together batch by batch."""

    def __init__(self, pretty: bool) -> None:
        self._pretty = pretty
        self._batches: list[bytes] = []

    @property
    def empty(self) -> bool:
        return not self._batches

    def add(self, items: Sequence[bytes]) -> None:
        """Compact JSON each; a batch at a time, which bounds how long the loop waits."""
        if not items:
            return
        if self._pretty:
            indented = (msgspec.json.format(item, indent=2).replace(b"\n", b"\n    ") for item in items)
            self._batches.append(b",\n    ".join(indented))
        else:
            self._batches.append(b",".join(items))

    def finish(self, head: bytes) -> Reply:
        """`head` is compact and ends with the array's opening bracket."""
        if not self._pretty:
            separator, tail = b",", b"]}\n"
        else:
            head = msgspec.json.format(head + b"]}", indent=2).removesuffix(b"]\n}")
            if self._batches:
                head += b"\n    "
            separator, tail = b",\n    ", b"\n  ]\n}" if self._batches else b"]\n}"
        parts = [head]
        for index, batch in enumerate(self._batches):
            if index:
                parts.append(separator)
            parts.append(batch)
        return Reply([*parts, tail])

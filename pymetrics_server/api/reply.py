"""An answer before it is sent: plain bytes in parts, in the representation that was negotiated."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pymetrics_server.api.messages import to_protobuf
from pymetrics_server.api.negotiation import JSON, PROTOBUF, YAML, Representation
from pymetrics_server.api.yaml import to_yaml
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


def document_reply(
    document: Mapping[str, Any],
    representation: Representation,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Discovery or a Status: `document` is a kind that messages.py knows."""
    if representation.media_type == PROTOBUF:
        body = to_protobuf(document)
    elif representation.media_type == YAML:
        body = to_yaml(msgspec.json.encode(document))
    else:
        body = go_json_pretty(document) if representation.pretty else go_json(document)
    return Reply([body], code, representation.media_type, headers or {})


def encoded_reply(document: bytes, representation: Representation) -> Reply:
    """`document` is compact JSON without a newline at its end, or a whole body of protobuf."""
    if representation.media_type == PROTOBUF:
        return Reply([document], content_type=PROTOBUF)
    if representation.media_type == YAML:
        return Reply([to_yaml(document)], content_type=YAML)
    return Reply([msgspec.json.format(document, indent=2) if representation.pretty else document + b"\n"])


def status_reply(
    status: StatusError, representation: Representation, headers: Mapping[str, str] | None = None
) -> Reply:
    if not status.typed:
        return Reply([status.to_json()], status.code, TEXT, headers or {})
    return document_reply(status.to_builtin(), representation, status.code, headers)


def text_reply(text: str, code: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply([text.encode("utf-8", "replace")], code, TEXT, {**NOSNIFF, **(headers or {})})

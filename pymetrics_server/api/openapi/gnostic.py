"""The documents as protobuf: openapi.v2.Document and openapi.v3.Document, which kubectl and client-go read.

Each message is a table from the key in JSON to the field that carries it. There are those fields that our
documents use; a key without one is a KeyError.

gnostic: https://github.com/google/gnostic-models (OpenAPIv2.proto, OpenAPIv3.proto)
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from pymetrics_server.api.protobuf import delimited, varint

#: A JSON value becomes the fields of a message, or the whole of one field, its tag included.
Encoder = Callable[[Any], bytes]


def document_2(document: Mapping[str, Any]) -> bytes:
    """openapi.v2.Document."""
    return _DOCUMENT_2(document)


def document_3(document: Mapping[str, Any]) -> bytes:
    """openapi.v3.Document."""
    return _DOCUMENT_3(document)


class _Message:
    """`fields`: a key -> the number of its field, and what writes it. `extensions`: the number of the field for
    keys that begin with `x-`, 0 where the message has none.
    """

    def __init__(self, extensions: int, fields: Mapping[str, tuple[int, Callable[[int], Encoder]]]) -> None:
        self._extensions = _entries(extensions, _any)
        self._fields = {key: writes(number) for key, (number, writes) in fields.items()}

    def __call__(self, value: Mapping[str, Any]) -> bytes:
        return b"".join(self._written(value))

    def _written(self, value: Mapping[str, Any]) -> Iterator[bytes]:
        for key, field in self._fields.items():
            if key in value:
                yield field(value[key])
        for key in value.keys() - self._fields.keys():
            if not key.startswith("x-"):
                raise KeyError(key)
        yield self._extensions({key: value[key] for key in value if key.startswith("x-")})


def _text(number: int) -> Encoder:
    return lambda value: delimited(number, value.encode())


def _texts(number: int) -> Encoder:
    return lambda values: b"".join(delimited(number, value.encode()) for value in values)


def _flag(number: int) -> Encoder:
    return lambda value: varint(number << 3) + varint(value)


def _one(message: Encoder) -> Callable[[int], Encoder]:
    return lambda number: lambda value: delimited(number, message(value))


def _many(message: Encoder) -> Callable[[int], Encoder]:
    return lambda number: lambda values: b"".join(delimited(number, message(value)) for value in values)


def _entries(number: int, message: Encoder) -> Encoder:
    """Of a map: repeated messages of a name and a value."""
    return lambda value: b"".join(
        delimited(number, delimited(1, key.encode()) + delimited(2, message(each)))
        for key, each in value.items()
    )


def _map(message: Encoder, number: int = 1) -> Callable[[int], Encoder]:
    """A message that is nothing but entries."""
    return _one(_entries(number, message))


def _inside(number: int, message: Encoder) -> Encoder:
    """One of several alternatives, each a field of a message around it."""
    return lambda value: delimited(number, message(value))


def _any(value: Any) -> bytes:
    """Any: text in YAML, which JSON is."""
    return delimited(2, msgspec.json.encode(value))


_INFO_2 = _Message(7, {"title": (1, _text), "version": (2, _text)})


def _schema_2(value: Any) -> bytes:
    return _SCHEMA_2(value)


_SCHEMA_2 = _Message(
    31,
    {
        "$ref": (1, _text),
        "format": (2, _text),
        "description": (4, _text),
        "required": (19, _texts),
        "additionalProperties": (21, _one(_inside(1, _schema_2))),
        "type": (22, _one(_text(1))),
        "items": (23, _one(_inside(1, _schema_2))),
        "properties": (25, _map(_schema_2)),
    },
)
_QUERY_PARAMETER_2 = _Message(
    23,
    {
        "required": (1, _flag),
        "in": (2, _text),
        "description": (3, _text),
        "name": (4, _text),
        "type": (6, _text),
    },
)
_PATH_PARAMETER_2 = _Message(
    22,
    {
        "required": (1, _flag),
        "in": (2, _text),
        "description": (3, _text),
        "name": (4, _text),
        "type": (5, _text),
    },
)


def _parameter_2(value: Mapping[str, Any]) -> bytes:
    """ParametersItem: a Parameter, that is no body, of one of two places."""
    place = _inside(4, _PATH_PARAMETER_2) if value["in"] == "path" else _inside(3, _QUERY_PARAMETER_2)
    return _inside(1, _inside(2, place))(value)


_RESPONSE_2 = _Message(5, {"description": (1, _text), "schema": (2, _one(_inside(1, _schema_2)))})
_OPERATION_2 = _Message(
    13,
    {
        "tags": (1, _texts),
        "description": (3, _text),
        "operationId": (5, _text),
        "produces": (6, _texts),
        "responses": (9, _map(_inside(1, _RESPONSE_2))),
        "schemes": (10, _texts),
    },
)
_PATH_2 = _Message(10, {"get": (2, _one(_OPERATION_2)), "parameters": (9, _many(_parameter_2))})
_DOCUMENT_2 = _Message(
    16,
    {
        "swagger": (1, _text),
        "info": (2, _one(_INFO_2)),
        "paths": (8, _map(_PATH_2, 2)),
        "definitions": (9, _map(_schema_2)),
    },
)

_INFO_3 = _Message(7, {"title": (1, _text), "version": (6, _text)})
_REFERENCE_3 = _Message(0, {"$ref": (1, _text)})


def _schema_or_reference(value: Mapping[str, Any]) -> bytes:
    return _inside(2, _REFERENCE_3)(value) if "$ref" in value else _inside(1, _SCHEMA_3)(value)


_SCHEMA_3 = _Message(
    36,
    {
        "required": (23, _texts),
        "type": (25, _text),
        "allOf": (26, _many(_schema_or_reference)),
        "oneOf": (27, _many(_schema_or_reference)),
        "items": (30, _one(_inside(1, _schema_or_reference))),
        "properties": (31, _map(_schema_or_reference)),
        "additionalProperties": (32, _one(_inside(1, _schema_or_reference))),
        "description": (34, _text),
        "format": (35, _text),
    },
)
_PARAMETER_3 = _Message(
    14,
    {
        "name": (1, _text),
        "in": (2, _text),
        "description": (3, _text),
        "required": (4, _flag),
        "schema": (10, _one(_schema_or_reference)),
    },
)
_MEDIA_TYPE_3 = _Message(5, {"schema": (1, _one(_schema_or_reference))})
_RESPONSE_3 = _Message(5, {"description": (1, _text), "content": (3, _map(_MEDIA_TYPE_3))})
_OPERATION_3 = _Message(
    13,
    {
        "tags": (1, _texts),
        "description": (3, _text),
        "operationId": (5, _text),
        "responses": (8, _map(_inside(1, _RESPONSE_3), 2)),
    },
)
_PATH_3 = _Message(14, {"get": (4, _one(_OPERATION_3)), "parameters": (13, _many(_inside(1, _PARAMETER_3)))})
_COMPONENTS_3 = _Message(10, {"schemas": (1, _map(_schema_or_reference))})
_DOCUMENT_3 = _Message(
    9,
    {
        "openapi": (1, _text),
        "info": (2, _one(_INFO_3)),
        "paths": (4, _map(_PATH_3)),
        "components": (5, _one(_COMPONENTS_3)),
    },
)

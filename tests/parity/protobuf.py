"""Protobuf without a schema, as lines of text: field numbers and what they hold, loads and times masked.

What prints is taken for a string, else what parses for a message: enough to lay two answers side by side.
"""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

_ENVELOPE = b"k8s\0"
_LOAD = re.compile(r"^\d+[num]?$")
_HASH = re.compile(r"[0-9A-F]{128}")
_EPOCH_S = range(1_500_000_000, 5_000_000_000)  # what such a number can only be


class _NoMessageError(ValueError):
    pass


def lines_of(body: bytes) -> list[str]:
    """A body, in Kubernetes' envelope or without one."""
    lines = []
    if body.startswith(_ENVELOPE):
        lines.append("k8s envelope")
        body = body[len(_ENVELOPE) :]
    try:
        return lines + list(_lines("", _fields(body)))
    except _NoMessageError as err:
        return [*lines, f"no protobuf ({err}): {body[:200].hex()}"]


def _lines(indent: str, fields: list[tuple[int, int | bytes]]) -> Iterator[str]:
    is_load = (1, b"cpu") in fields
    for number, value in fields:
        if isinstance(value, int):
            shown = "<time>" if value in _EPOCH_S else "<long>" if value >= _EPOCH_S.stop else str(value)
            yield f"{indent}{number}: {shown}"
            continue
        if (text := _printable(value)) is not None:
            yield f'{indent}{number}: "{_HASH.sub("<hash>", text)}"'
            continue
        try:
            inner = _fields(value)
        except _NoMessageError:
            yield f"{indent}{number}: bytes {value.hex()}"
            continue
        if is_load and number == 2 and len(inner) == 1 and _LOAD.match(_printable(inner[0][1]) or ""):
            yield f"{indent}{number} {{ 1: <cpu> }}"
            continue
        yield f"{indent}{number} {{"
        yield from _lines(indent + "  ", inner)
        yield f"{indent}}}"


def _printable(value: int | bytes) -> str | None:
    """An empty value counts: a message and a string look alike where there is nothing in them."""
    if isinstance(value, int):
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    shown = text.replace("\n", "\\n")
    return (
        shown if shown.isprintable() and not text.startswith("\n") else None
    )  # most messages begin with field 1


def _fields(body: bytes) -> list[tuple[int, int | bytes]]:
    """To Google's decoder every field of a message without any is unknown, and kept."""
    try:
        parsed = Empty.FromString(body)
    except DecodeError as err:
        raise _NoMessageError(str(err)) from None
    unknown: Any = UnknownFieldSet(parsed)
    fields = [(field.field_number, field.data) for field in unknown]
    if any(isinstance(data, UnknownFieldSet) for _, data in fields):
        raise _NoMessageError("a group")
    return fields

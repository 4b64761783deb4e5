"""The one kind of protobuf that kubectl insists on sending: the review of `kubectl auth can-i`. Bytes in, values out.

Kubernetes: k8s.io/apimachinery/pkg/runtime/generated.proto (Unknown), k8s.io/api/authorization/v1/generated.proto
"""

from collections.abc import Iterator, Mapping
from typing import Any

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_VARINT, _BYTES = 0, 2
_UNKNOWN_RAW = 2
_REVIEW_SPEC = 2
_SPEC = {1: "resourceAttributes", 2: "nonResourceAttributes"}
_ATTRIBUTES = {
    "resourceAttributes": ("namespace", "verb", "group", "version", "resource", "subresource", "name"),
    "nonResourceAttributes": ("path", "verb"),
}


def self_subject_access_review(body: bytes) -> dict[str, Any]:
    """As its JSON would read. Raises ValueError."""
    if not body.startswith(_MAGIC):
        raise ValueError("it does not begin as Kubernetes' protobuf does")
    review = _fields(body[len(_MAGIC) :]).get(_UNKNOWN_RAW, b"")
    spec = {
        _SPEC[number]: _texts(value, _ATTRIBUTES[_SPEC[number]])
        for number, value in _fields(_fields(review).get(_REVIEW_SPEC, b"")).items()
        if number in _SPEC
    }
    return {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec}


def _texts(message: bytes, names: tuple[str, ...]) -> Mapping[str, str]:
    found = _fields(message)
    return {name: found[number].decode() for number, name in enumerate(names, 1) if found.get(number)}


def _fields(message: bytes) -> dict[int, bytes]:
    """Field number -> the last value; only those of bytes, which is all that is read."""
    return dict(_walk(message))


def _walk(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == _VARINT:
            _, at = _varint(message, at)
        elif tag & 7 == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("the message is cut off")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of wire type {tag & 7}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """(value, where the next byte is)."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("the message is cut off")

"""Kubernetes' protobuf: usage becomes NodeMetrics and PodMetrics messages, as Go's gogo-proto writes them.

The hot path of the HPA, which asks for this form first. Strings, numbers and booleans that are no pointers
in Go are written even where they are empty. A fragment is an item as it stands in a list, tag and length
included; `message_of` takes those off.

Kubernetes: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from collections.abc import Mapping, Sequence

from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.usage import NodeUsage, PodUsage

_MAGIC = b"k8s\x00"
_SMALL = [bytes((number,)) for number in range(128)]
_UINT64 = 2**64 - 1
_SECOND_NS = 1_000_000_000
_BYTES = 2  # the wire type
_ITEM = b"\x12"
#: Its PartialObjectMetadataList has the items first, the metadata second.
_OLD_META = "meta.k8s.io/v1beta1"
#: ListMeta without anything, after its tag: selfLink, resourceVersion, continue.
_LIST_METADATA = b"\x06\x0a\x00\x12\x00\x1a\x00"
#: contentEncoding and contentType of runtime.Unknown.
_UNKNOWN_TAIL = b"\x1a\x00\x22\x00"
#: selfLink, uid, resourceVersion and generation of ObjectMeta.
_METADATA_UNUSED = b"\x22\x00\x2a\x00\x32\x00\x38\x00"


def varint(value: int) -> bytes:
    """`value` is unsigned, or a signed 64-bit integer."""
    if 0 <= value < 128:
        return _SMALL[value]
    value &= _UINT64
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def delimited(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def node_fragment(name: str, labels: Mapping[str, str], usage: NodeUsage, created_s: int) -> bytes:
    content = (
        object_metadata("", name, labels, created_s)
        + _when(usage)
        + _usage(b"\x22", usage.cpu_nanocores, usage.memory_bytes)
    )
    return _ITEM + varint(len(content)) + content


def pod_fragment(
    namespace: str, name: str, labels: Mapping[str, str], usage: PodUsage, created_s: int
) -> bytes:
    content = object_metadata(namespace, name, labels, created_s) + _when(usage)
    for each in usage.containers:
        container = _text(b"\x0a", each.name) + _usage(b"\x12", each.cpu_nanocores, each.memory_bytes)
        content += b"\x22" + varint(len(container)) + container
    return _ITEM + varint(len(content)) + content


def object_metadata(namespace: str, name: str, labels: Mapping[str, str], created_s: int) -> bytes:
    """metav1.ObjectMeta as the first field of a message."""
    content = (
        _text(b"\x0a", name)
        + b"\x12\x00"
        + _text(b"\x1a", namespace)
        + _METADATA_UNUSED
        + _time(b"\x42", created_s)
    )
    for key in sorted(labels):
        pair = _text(b"\x0a", key) + _text(b"\x12", labels[key])
        content += b"\x5a" + varint(len(pair)) + pair
    return b"\x0a" + varint(len(content)) + content


def message_of(fragment: bytes) -> bytes:
    """The object of a list's item."""
    return fragment[_end_of_varint(fragment, 1) :]


def partial_fragment(fragment: bytes, meta_version: str) -> bytes:
    """The PartialObjectMetadata of an item, as it stands in a list of those: the first field alone."""
    message = message_of(fragment)
    start = _end_of_varint(message, 1)
    metadata = message[: start + _varint_at(message, 1)]
    return (b"\x0a" if meta_version == "v1beta1" else _ITEM) + varint(len(metadata)) + metadata


def envelope(kind: str, api_version: str, content: Sequence[bytes]) -> list[bytes]:
    """A body: runtime.Unknown around an object, which is what `content` joins to."""
    named = _text(b"\x0a", api_version) + _text(b"\x12", kind)
    head = _MAGIC + b"\x0a" + varint(len(named)) + named + b"\x12" + varint(sum(map(len, content)))
    return [head, *content, _UNKNOWN_TAIL]


def list_body(kind: str, api_version: str, batches: Sequence[bytes]) -> list[bytes]:
    """`batches` are fragments that were joined."""
    if api_version == _OLD_META:
        return envelope(kind, api_version, [*batches, b"\x12" + _LIST_METADATA])
    return envelope(kind, api_version, [b"\x0a" + _LIST_METADATA, *batches])


def _when(usage: NodeUsage | PodUsage) -> bytes:
    window = b"\x08" + varint(usage.window_ns)
    stamp_s = usage.timestamp_ns // _SECOND_NS
    stamp = _time(b"\x12", stamp_s) if usage.timestamp_ns else b"\x12\x00"
    return stamp + b"\x1a" + varint(len(window)) + window


def _time(tag: bytes, time_s: int) -> bytes:
    content = b"\x08" + varint(time_s) + b"\x10\x00"
    return tag + varint(len(content)) + content


def _usage(tag: bytes, cpu_nanocores: int, memory_bytes: int) -> bytes:
    """Two entries of a map: the name of a resource, then its Quantity."""
    return _quantity(tag, b"\x0a\x03cpu", format_cpu(cpu_nanocores)) + _quantity(
        tag, b"\x0a\x06memory", format_memory(memory_bytes)
    )


def _quantity(tag: bytes, key: bytes, quantity: str) -> bytes:
    # No quantity is long enough for a length of two bytes.
    text = quantity.encode()
    return b"".join(
        (tag, _SMALL[len(key) + len(text) + 4], key, b"\x12", _SMALL[len(text) + 2], b"\x0a",
         _SMALL[len(text)], text)
    )  # fmt: skip


def _text(tag: bytes, text: str) -> bytes:
    content = text.encode()
    return tag + varint(len(content)) + content


def _end_of_varint(encoded: bytes, start: int) -> int:
    while encoded[start] & 128:
        start += 1
    return start + 1


def _varint_at(encoded: bytes, start: int) -> int:
    value = 0
    for position, byte in enumerate(encoded[start : _end_of_varint(encoded, start)]):
        value |= (byte & 127) << 7 * position
    return value

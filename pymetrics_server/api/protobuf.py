"""Kubernetes' protobuf: usage becomes NodeMetrics and PodMetrics messages, as Go's gogo-proto writes them.

The hot path of the HPA, which asks for this form first. Strings, numbers and booleans that are no pointers
in Go are written even where they are empty. A fragment is an item as it stands in a list, tag and length
included; `message_of` takes those off.

Kubernetes: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pymetrics_server.meta.quantity import format_cpu, format_memory
from pymetrics_server.meta.usage import NodeUsage, PodUsage

_MAGIC = b"k8s\x00"
_SMALL = [chr(number) for number in range(128)]
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
_METADATA_UNUSED = '"\0*\x002\x008\0'


def varint(value: int) -> bytes:
    """`value` is unsigned, or a signed 64-bit integer."""
    return _varint(value).encode("latin-1")


def delimited(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


# Fragments are put together as text whose characters are the bytes (Latin-1): formatted strings are twice as
# fast as joining bytes. The characters "\n" to "b" before a length are tags: field << 3 | 2.


def node_fragment(name: str, labels: Mapping[str, str], usage: NodeUsage, created_s: int) -> bytes:
    quantities = _quantities('"', usage.cpu_nanocores, usage.memory_bytes)
    content = f"{_metadata('', name, labels, created_s)}{_when(usage)}{quantities}"
    return f"\x12{_varint(len(content))}{content}".encode("latin-1")


def pod_fragment(
    namespace: str, name: str, labels: Mapping[str, str], usage: PodUsage, created_s: int
) -> bytes:
    content = _metadata(namespace, name, labels, created_s) + _when(usage)
    for each in usage.containers:
        quantities = _quantities("\x12", each.cpu_nanocores, each.memory_bytes)
        container = f"\n{_text(each.name)}{quantities}"
        content += f'"{_varint(len(container))}{container}'
    return f"\x12{_varint(len(content))}{content}".encode("latin-1")


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
    named = f"\n{_text(api_version)}\x12{_text(kind)}".encode("latin-1")
    head = _MAGIC + b"\x0a" + varint(len(named)) + named + b"\x12" + varint(sum(map(len, content)))
    return [head, *content, _UNKNOWN_TAIL]


def list_body(kind: str, api_version: str, batches: Sequence[bytes]) -> list[bytes]:
    """`batches` are fragments that were joined."""
    if api_version == _OLD_META:
        return envelope(kind, api_version, [*batches, b"\x12" + _LIST_METADATA])
    return envelope(kind, api_version, [b"\x0a" + _LIST_METADATA, *batches])


def _metadata(namespace: str, name: str, labels: Mapping[str, str], created_s: int) -> str:
    """metav1.ObjectMeta as the first field of a message."""
    content = f"\n{_text(name)}\x12\0\x1a{_text(namespace)}{_METADATA_UNUSED}B{_time(created_s)}"
    for key in sorted(labels):
        content += _label(key, labels[key])
    return f"\n{_varint(len(content))}{content}"


@lru_cache(maxsize=8192)  # pods of one workload share theirs
def _label(key: str, value: str) -> str:
    pair = f"\n{_text(key)}\x12{_text(value)}"
    return f"Z{_varint(len(pair))}{pair}"


def _when(usage: NodeUsage | PodUsage) -> str:
    stamp = _time(usage.timestamp_ns // _SECOND_NS) if usage.timestamp_ns else "\0"
    return f"\x12{stamp}\x1a{_window(usage.window_ns)}"


@lru_cache(maxsize=1024)  # what is scraped together has few stamps
def _time(time_s: int) -> str:
    content = f"\b{_varint(time_s)}\x10\0"
    return _SMALL[len(content)] + content


@lru_cache(maxsize=1024)
def _window(window_ns: int) -> str:
    content = f"\b{_varint(window_ns)}"
    return _SMALL[len(content)] + content


def _quantities(tag: str, cpu_nanocores: int, memory_bytes: int) -> str:
    """Two entries of a map: the name of a resource, then its Quantity. None is long enough for a second byte of
    length."""
    cpu, memory = format_cpu(cpu_nanocores), format_memory(memory_bytes)
    of_cpu, of_memory = len(cpu), len(memory)
    return (
        f"{tag}{_SMALL[of_cpu + 9]}\n\x03cpu\x12{_SMALL[of_cpu + 2]}\n{_SMALL[of_cpu]}{cpu}"
        f"{tag}{_SMALL[of_memory + 12]}\n\x06memory\x12{_SMALL[of_memory + 2]}\n{_SMALL[of_memory]}{memory}"
    )


def _text(text: str) -> str:
    """Its length, then its bytes in UTF-8."""
    if not text.isascii():
        text = text.encode().decode("latin-1")
    length = len(text)
    return f"{_SMALL[length]}{text}" if length < 128 else f"{_varint(length)}{text}"


def _varint(value: int) -> str:
    if 0 <= value < 128:
        return _SMALL[value]
    value &= _UINT64
    encoded = ""
    while value > 127:
        encoded += chr(value & 127 | 128)
        value >>= 7
    return encoded + chr(value)


def _end_of_varint(encoded: bytes, start: int) -> int:
    while encoded[start] & 128:
        start += 1
    return start + 1


def _varint_at(encoded: bytes, start: int) -> int:
    value = 0
    for position, byte in enumerate(encoded[start : _end_of_varint(encoded, start)]):
        value |= (byte & 127) << 7 * position
    return value

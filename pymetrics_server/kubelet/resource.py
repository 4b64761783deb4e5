"""/metrics/resource decoded: five families of Prometheus' text format, found by one regular expression.

metrics-server: the families, units and drop rules are its. Two rules differ: a container's sample without
labels costs that line, and a malformed line costs the answer only in a family that is read.
"""

import re

from pymetrics_server.errors import DecodeError
from pymetrics_server.kubelet.sample import (
    BEYOND_COUNTER,
    BEYOND_SIGNED,
    Dropped,
    Row,
    build_sample,
    quoted,
)
from pymetrics_server.meta.usage import MILLISECONDS_NS, NO_RATE, NodePoint, NodeSample

#: time_ns, start_ns, cpu_ns, memory_bytes: 0 where absent.
_Values = list[int]
_TIME, _START, _CPU, _MEMORY = range(4)
_Key = tuple[str, str, str]  # namespace, pod, container
_NODE: _Key = ("", "", "")

_CONTAINER_COLUMNS = {
    b"container_cpu_usage_seconds_total": _CPU,
    b"container_memory_working_set_bytes": _MEMORY,
    b"container_start_time_seconds": _START,
}
_NODE_COLUMNS = {
    b"node_cpu_usage_seconds_total": _CPU,
    b"node_memory_working_set_bytes": _MEMORY,
}
#: (family, what stands behind it): the newline in front lets the search leap from line to line.
_LINE = re.compile(
    rb"\n[ \t]*(container_(?:cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds)"
    rb"|node_(?:cpu_usage_seconds_total|memory_working_set_bytes))([^\n]*)"
)
_LABEL = re.compile(rb'[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*+)"[ \t]*(?:,[ \t]*|$)')
_AS_WRITTEN = ["{container=", ",namespace=", ",pod=", ""]
_NAME_ENDS = (b"{", b" ", b"\t")
#: Compared with floats, so floats; what is beyond, negative or no number counts as 0.
_BEYOND_COUNTER, _BEYOND_SIGNED = float(BEYOND_COUNTER), float(BEYOND_SIGNED)
_BEYOND_MS = BEYOND_SIGNED // MILLISECONDS_NS
_FAMILY_GOES_ON = re.compile(rb"[A-Za-z0-9_:]")
_ANY_SAMPLE = re.compile(rb"[ \t]*[A-Za-z_:][A-Za-z0-9_:]*(?:[ \t]*\{.*\}[ \t]*|[ \t]+)[0-9NnIi.+-].*")


def decode_resource(body: bytes, default_time_ns: int) -> NodeSample:
    """`default_time_ns` stamps what has no time of its own; an empty answer is an empty sample."""
    try:
        seen = _read(body, default_time_ns // MILLISECONDS_NS * MILLISECONDS_NS)
    except UnicodeDecodeError as err:
        raise DecodeError(f"not UTF-8: {quoted(err.object[err.start :])}") from err
    if not seen:
        _check_format(body)
    dropped = Dropped()
    node = _node_point(seen.pop(_NODE, None), dropped)
    return build_sample(MILLISECONDS_NS, node, _pods(seen, dropped), dropped)


def _read(body: bytes, default_time_ns: int) -> dict[_Key, _Values]:
    """In order of appearance. Labels are parsed once for each text of them: a container's lines share it.

    Kubelets have listed a dead container next to the living one of the same name: the highest counter is it.
    """
    seen: dict[_Key, _Values] = {}
    by_text: dict[bytes, _Values] = {}
    for family, behind in _LINE.findall(b"\n" + body):
        text, _, tail = behind.rpartition(b"}")
        column = _CONTAINER_COLUMNS.get(family)
        values = by_text.get(text) if column is not None else None
        if values is None:
            key = _key(family, text, behind)
            if key is None:
                continue
            values = seen.setdefault(key, [0, 0, 0, 0])
            if column is None:
                column = _NODE_COLUMNS[family]
            else:
                by_text[text] = values
        fields = tail.split()
        try:
            number = float(fields[0])
            stamp_ms = int(fields[1]) if len(fields) == 2 else None
        except (ValueError, IndexError):
            raise _malformed(family, behind) from None
        if len(fields) > 2 or not (stamp_ms is None or 0 <= stamp_ms < _BEYOND_MS):
            raise _malformed(family, behind)
        time_ns = default_time_ns if stamp_ms is None else stamp_ms * MILLISECONDS_NS
        if column == _CPU:
            number *= 1e9
            cpu_ns = int(number) if 1 <= number < _BEYOND_COUNTER else 0
            if cpu_ns >= values[_CPU]:
                values[_CPU], values[_TIME] = cpu_ns, time_ns
        elif column == _MEMORY:
            memory_bytes = int(number) if 1 <= number < _BEYOND_SIGNED else 0
            if memory_bytes >= values[_MEMORY]:
                values[_MEMORY], values[_TIME] = memory_bytes, time_ns
        else:
            number *= 1e9
            start_ns = int(number) if 1 <= number < _BEYOND_SIGNED else 0
            if start_ns > values[_START]:
                values[_START] = start_ns
    return seen


def _malformed(family: bytes, behind: bytes) -> DecodeError:
    return DecodeError(f"malformed sample: {quoted(family + behind)}")


def _key(family: bytes, text: bytes, behind: bytes) -> _Key | None:
    """Whom a line speaks of, from its labels as far as `}`; None for a line to pass over."""
    if family in _CONTAINER_COLUMNS:
        parts = text.decode().split('"')
        if parts[::2] == _AS_WRITTEN and parts[1] and parts[3] and parts[5]:
            return (parts[3], parts[5], parts[1])
    labels = text.strip(b" \t")
    if behind[:1] not in _NAME_ENDS or (b"{" in behind and not labels.startswith(b"{")):
        if _FAMILY_GOES_ON.match(behind):
            return None
        raise _malformed(family, behind)
    by_name: dict[bytes, bytes] = {}
    at = 1
    while found := _LABEL.match(labels, at):
        by_name[found[1]] = found[2]
        at = found.end()
    if at < len(labels):
        raise _malformed(family, behind)
    if family in _NODE_COLUMNS:
        return _NODE
    key = [by_name.get(name, b"").decode() for name in (b"namespace", b"pod", b"container")]
    return (key[0], key[1], key[2]) if all(key) else None


def _node_point(values: _Values | None, dropped: Dropped) -> NodePoint | None:
    if values is None:
        dropped.add("node", "no cpu and no memory")
        return None
    time_ns, _, cpu_ns, memory_bytes = values
    if not cpu_ns or not memory_bytes:
        dropped.add("node", _lack(values))
        return None
    return NodePoint(time_ns, cpu_ns, memory_bytes)


def _pods(seen: dict[_Key, _Values], dropped: Dropped) -> dict[tuple[str, str], list[Row]]:
    pods: dict[tuple[str, str], list[Row]] = {}
    incomplete: set[tuple[str, str]] = set()
    for (namespace, pod, container), values in seen.items():
        key = (namespace, pod)
        time_ns, start_ns, cpu_ns, memory_bytes = values
        if not cpu_ns or not memory_bytes:
            dropped.add(f"pod {namespace}/{pod}", f"container {container}: {_lack(values)}")
            incomplete.add(key)
        elif key in pods:
            pods[key].append((container, time_ns, start_ns, cpu_ns, memory_bytes, NO_RATE))
        else:
            pods[key] = [(container, time_ns, start_ns, cpu_ns, memory_bytes, NO_RATE)]
    for key in incomplete:
        pods.pop(key, None)
    return pods


def _lack(values: _Values) -> str:
    return "memory is absent or zero" if values[_CPU] else "cpu is absent or zero"


def _check_format(body: bytes) -> None:
    """Nothing was read: is it the text format of other families, or a page of something else?"""
    for line in body.splitlines():
        if line.strip() and not line.lstrip().startswith(b"#"):
            if not _ANY_SAMPLE.fullmatch(line):
                raise DecodeError(f"not Prometheus text: {quoted(line)}")
            return

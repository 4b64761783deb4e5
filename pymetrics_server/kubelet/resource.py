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

_CPU = b"container_cpu_usage_seconds_total"
_MEMORY = b"container_memory_working_set_bytes"
_START = b"container_start_time_seconds"
_NODE_CPU = b"node_cpu_usage_seconds_total"
_NODE_MEMORY = b"node_memory_working_set_bytes"

_NODE = b""  # the node's key among the label texts
_LINE = re.compile(
    rb"^[ \t]*(" + b"|".join([_CPU, _MEMORY, _START, _NODE_CPU, _NODE_MEMORY]) + rb")(?:"
    # as kubelets write it: labels, value, time
    rb'(?:\{(container="[^"\\\n]*",namespace="[^"\\\n]*",pod="[^"\\\n]*")\})? ([0-9.eE+-]+)(?: ([0-9]+))?$'
    # anything else behind the name
    rb"|(?![A-Za-z0-9_:])(.*)$)",
    re.MULTILINE,
)
_LABEL = re.compile(rb'([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]|\\.)*)"')
_LOOSE = re.compile(
    rb'(?:[ \t]*\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*+")*+)\}[ \t]*|[ \t]+)([^ \t{}"_]+)(?:[ \t]+([0-9]+))?[ \t\r]*'
)
_ANY_SAMPLE = re.compile(rb"[ \t]*[A-Za-z_:][A-Za-z0-9_:]*(?:[ \t]*\{.*\}[ \t]*|[ \t]+)[0-9NnIi.+-].*")


def decode_resource(body: bytes, default_time_ns: int) -> NodeSample:
    """`default_time_ns` stamps what has no time of its own; an empty answer is an empty sample."""
    try:
        seen = _read(body, default_time_ns // MILLISECONDS_NS * MILLISECONDS_NS)
        if not seen:
            _check_format(body)
        dropped = Dropped()
        node = _node_point(seen.pop(_NODE, None), dropped)
        return build_sample(MILLISECONDS_NS, node, _pods(seen, dropped), dropped)
    except UnicodeDecodeError as err:
        raise DecodeError(f"not UTF-8: {quoted(err.object[err.start :])}") from err


#: time_ns, start_ns, cpu_ns, memory_bytes: 0 where absent.
_Values = list[int]


def _read(body: bytes, default_time_ns: int) -> dict[bytes, _Values]:
    """By the text of the labels, which is the same in each of a container's lines.

    Kubelets have listed a dead container next to the living one of the same name: the highest counter is it.
    """
    seen: dict[bytes, _Values] = {}
    for family, labels, value, stamp, rest in _LINE.findall(body):
        if not value:
            labels, value, stamp = _parse_loosely(family, rest)
        try:
            number = float(value)
            time_ns = int(stamp) * MILLISECONDS_NS if stamp else default_time_ns
        except ValueError:
            time_ns = number = -1
        if not 0 <= time_ns < BEYOND_SIGNED:
            raise DecodeError(f"malformed sample: {quoted(b' '.join((family, labels, value, stamp)))}")
        if family == _NODE_CPU or family == _NODE_MEMORY:
            labels = _NODE
        elif labels == _NODE:
            labels = _UNLABELLED
        values = seen.get(labels)
        if values is None:
            values = seen[labels] = [0, 0, 0, 0]
        if family == _CPU or family == _NODE_CPU:
            cpu_ns = _whole(number * 1e9, BEYOND_COUNTER)
            if cpu_ns >= values[2]:
                values[0], values[2] = time_ns, cpu_ns
        elif family == _START:
            values[1] = max(values[1], _whole(number * 1e9, BEYOND_SIGNED))
        else:
            values[0], values[3] = time_ns, max(values[3], _whole(number, BEYOND_SIGNED))
    return seen


_UNLABELLED = b"-"


def _parse_loosely(family: bytes, rest: bytes) -> tuple[bytes, bytes, bytes]:
    """(labels in the kubelet's order, value, time) of a line that differs from the kubelet's way of writing."""
    found = _LOOSE.fullmatch(rest)
    if found is None:
        raise DecodeError(f"malformed sample: {quoted(family + rest)}")
    by_name = dict(_LABEL.findall(found[1] or b""))
    names = [by_name.get(name, b"") for name in (b"container", b"namespace", b"pod")]
    if not all(names) or any(b"\\" in name for name in names):
        return b"", found[2], found[3] or b""
    return b'container="%b",namespace="%b",pod="%b"' % tuple(names), found[2], found[3] or b""


def _whole(number: float, beyond: int) -> int:
    """Truncated; 0 for what is no number, negative or out of range."""
    return int(number) if 1 <= number < beyond else 0


def _node_point(values: _Values | None, dropped: Dropped) -> NodePoint | None:
    if values is None:
        dropped.add("node", "no cpu and no memory")
        return None
    time_ns, _, cpu_ns, memory_bytes = values
    if not cpu_ns or not memory_bytes:
        dropped.add("node", _lack(values))
        return None
    return NodePoint(time_ns, cpu_ns, memory_bytes)


def _pods(seen: dict[bytes, _Values], dropped: Dropped) -> dict[tuple[str, str], list[Row]]:
    pods: dict[tuple[str, str], list[Row]] = {}
    incomplete: set[tuple[str, str]] = set()
    for labels, values in seen.items():
        if labels == _UNLABELLED:
            dropped.add("container", "a sample without container, namespace or pod")
            continue
        _, container, _, namespace, _, pod, _ = labels.decode().split('"')
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
    return "memory is absent or zero" if values[2] else "cpu is absent or zero"


def _check_format(body: bytes) -> None:
    """Nothing was read: is it the text format of other families, or a page of something else?"""
    for line in body.splitlines():
        if line.strip() and not line.lstrip().startswith(b"#"):
            if not _ANY_SAMPLE.fullmatch(line):
                raise DecodeError(f"not Prometheus text: {quoted(line)}")
            return

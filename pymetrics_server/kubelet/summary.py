"""/stats/summary decoded: JSON of which little is read, in structs that skip the rest.

metrics-server: 0.5 read the same fields. A node counts with a time, a CPU counter and a working set that are
not zero; a pod counts as a whole, if each of its containers has a start and all of these.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from pymetrics_server.errors import DecodeError
from pymetrics_server.kubelet.sample import (
    BEYOND_COUNTER,
    BEYOND_SIGNED,
    Dropped,
    Row,
    build_sample,
    quoted,
)
from pymetrics_server.meta.timestamp import parse_rfc3339
from pymetrics_server.meta.usage import NO_RATE, WHOLE_SECONDS_NS, NodePoint, NodeSample

_MAX_DIGITS = 20  # of 2**64


class _Cpu(msgspec.Struct, gc=False, rename="camel"):
    time: str | None = None
    usage_nano_cores: int | None = None
    usage_core_nano_seconds: int | None = None


class _Memory(msgspec.Struct, gc=False, rename="camel"):
    working_set_bytes: int | None = None


class _Measured(msgspec.Struct, gc=False, rename="camel"):
    """A container, or the node, which has no `name`."""

    name: str = ""
    start_time: str | None = None
    cpu: _Cpu | None = None
    memory: _Memory | None = None


class _PodRef(msgspec.Struct, gc=False):
    name: str = ""
    namespace: str = ""


class _Pod(msgspec.Struct, gc=False, rename="camel"):
    pod_ref: _PodRef | None = None
    containers: list[_Measured] | None = None


class _Summary(msgspec.Struct, gc=False):
    node: _Measured | None = None
    pods: list[_Pod] | None = None


_decoder = msgspec.json.Decoder(_Summary)


def decode_summary(body: bytes) -> NodeSample:
    """What can be saved of it; DecodeError where it is no Summary at all."""
    summary = _read(body)
    if summary.node is None and summary.pods is None:
        raise DecodeError(f"neither node nor pods in {quoted(body)}")
    dropped = Dropped()
    pods: dict[tuple[str, str], list[Row]] = {}
    for pod in summary.pods or ():
        if not pod.containers:
            continue
        if pod.pod_ref is None or not pod.pod_ref.name or not pod.pod_ref.namespace:
            dropped.add("pod", "no podRef")
            continue
        key = (pod.pod_ref.namespace, pod.pod_ref.name)
        try:
            rows = [_row(c, is_container=True) for c in _distinct(pod.containers)]
        except _IncompleteError as err:
            dropped.add(f"pod {key[0]}/{key[1]}", str(err))
            continue
        if key not in pods or _cpu_ns(rows) > _cpu_ns(pods[key]):
            pods[key] = rows
    return build_sample(WHOLE_SECONDS_NS, _node_point(summary.node, dropped), pods, dropped)


def _read(body: bytes) -> _Summary:
    try:
        try:
            return _decoder.decode(body)
        except msgspec.ValidationError:
            # A negative, fractional or endless number where a counter stands costs that number only.
            tree = json.loads(body, parse_int=_counter, parse_float=lambda _: None)
            json.dumps(
                tree, ensure_ascii=False
            ).encode()  # half a surrogate pair is a ValueError here, not later
            return msgspec.convert(tree, _Summary)
    except (ValueError, RecursionError) as err:
        what = "an empty answer" if not body.strip() else quoted(body)
        raise DecodeError(f"not a stats summary: {what}: {_one_line(err)}") from err


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())[:120]


def _counter(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS and digits[0] != "-" else None


class _IncompleteError(Exception):
    """Why a node, or a container and with it its pod, is not used."""


def _row(told: _Measured, is_container: bool) -> Row:
    """Raises _IncompleteError. A node counts without its start, which is 0 then."""
    start_ns, cpu, memory = _time_ns(told.start_time), told.cpu, told.memory
    if cpu is not None and memory is not None and (start_ns or not is_container):
        time_ns, cpu_ns = _time_ns(cpu.time), cpu.usage_core_nano_seconds
        memory_bytes = memory.working_set_bytes
        if (
            time_ns
            and cpu_ns
            and memory_bytes
            and 0 < cpu_ns < BEYOND_COUNTER
            and 0 < memory_bytes < BEYOND_SIGNED
        ):
            nanocores = cpu.usage_nano_cores
            if nanocores is None or not 0 <= nanocores < BEYOND_SIGNED:
                nanocores = NO_RATE
            return told.name, time_ns, start_ns, cpu_ns, memory_bytes, nanocores
    why = _lack(cpu, memory) if start_ns or not is_container else "no startTime"
    raise _IncompleteError(f"container {told.name}: {why}" if is_container else why)


def _node_point(node: _Measured | None, dropped: Dropped) -> NodePoint | None:
    try:
        _, time_ns, start_ns, cpu_ns, memory_bytes, nanocores = _row(node or _Measured(), is_container=False)
    except _IncompleteError as err:
        dropped.add("node", str(err))
        return None
    return NodePoint(time_ns, cpu_ns, memory_bytes, nanocores, start_ns)


def _lack(cpu: _Cpu | None, memory: _Memory | None) -> str:
    """Of what a row needs, but for the start."""
    if cpu is None or not _time_ns(cpu.time):
        return "no cpu time"
    cpu_ns, memory_bytes = cpu.usage_core_nano_seconds, memory.working_set_bytes if memory else None
    what, value = ("memory", memory_bytes) if cpu_ns and 0 < cpu_ns < BEYOND_COUNTER else ("cpu", cpu_ns)
    if value is None:
        return f"no {what}"
    return f"{what} is zero" if value == 0 else f"{what} is out of range"


@lru_cache(
    maxsize=512
)  # within one answer they return; what another node tells, or the next answer, is another time
def _time_ns(text: str | None) -> int:
    """0 where there is none, or Go's zero time, or nonsense."""
    if not text:
        return 0
    try:
        return max(parse_rfc3339(text), 0)
    except ValueError:
        return 0


def _distinct(containers: Sequence[_Measured]) -> Sequence[_Measured]:
    """Kubelets have listed each container twice, and dead ones next to the live: the highest counter is it."""
    if len(containers) == 1 or len({c.name for c in containers}) == len(containers):
        return containers
    best: dict[str, _Measured] = {}
    for c in containers:
        if c.name not in best or _counter_of(c) > _counter_of(best[c.name]):
            best[c.name] = c
    return list(best.values())


def _counter_of(container: _Measured) -> int:
    return (container.cpu and container.cpu.usage_core_nano_seconds) or 0


def _cpu_ns(rows: Sequence[Row]) -> int:
    return sum(row[3] for row in rows)

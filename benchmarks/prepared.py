"""A kubelet's answers, prepared once: what never changes is kept as text, so an answer costs its counters and stamps.

The text comes from the stand-in's own exposition, cut where a number moves. Values in, bytes out.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from benchmarks.load import SECOND_NS
from pymetrics_server.standin.exposition import resource_text, summary_json
from pymetrics_server.standin.views import ContainerView, NodeView

_MILLISECOND_NS = 1_000_000
_MOVES = "\0"
_STAMP = re.compile(r'"time":"[^"]+')
_COUNTER = re.compile(r'"usageCoreNanoSeconds":\d+')
_CPU_LINE = re.compile(r"(_cpu_usage_seconds_total\S*) \S+ \d+$", re.M)
_MEMORY_LINE = re.compile(r"(_memory_working_set_bytes\S* \S+) \d+$", re.M)

#: One text for equal ones, of all nodes: most of what stands between two numbers.
_shared: dict[str, str] = {}


class _Gauge:
    """What moves together: a stamp and a counter that grows at a constant rate."""

    __slots__ = ("cpu_ns", "nanocores", "time_ns")

    def __init__(self, time_ns: int, cpu_ns: int, nanocores: int) -> None:
        self.time_ns, self.cpu_ns, self.nanocores = time_ns, cpu_ns, nanocores


class PreparedNode:
    """Of one node, from one of its samples on. `summary` and `resource` are what its kubelet answers at an instant."""

    def __init__(self, view: NodeView, interval_s: float = 10) -> None:
        self._interval_ns = int(interval_s * SECOND_NS)
        self._first_ns = view.time_ns
        whole = [c for pod in view.pods for c in pod.containers]
        self._node = _Gauge(view.time_ns, view.cpu_ns, view.usage_nanocores)
        self._containers = [_Gauge(c.time_ns, c.cpu_ns, c.usage_nanocores) for c in whole]
        self._pods = [_sum(pod.containers, view.time_ns) for pod in view.pods]
        of_summary = [_sum(whole, view.time_ns), self._node]
        containers = iter(self._containers)
        for pod, total in zip(view.pods, self._pods, strict=True):
            of_summary += [next(containers) for _ in pod.containers]
            of_summary.append(total)
        self._of_summary = tuple(of_summary)
        text = _STAMP.sub(f'"time":"{_MOVES}', summary_json(view).decode())
        self._summary = _between(_COUNTER.sub(f'"usageCoreNanoSeconds":{_MOVES}', text))
        text = _CPU_LINE.sub(rf"\1 {_MOVES} {_MOVES}", resource_text(view).decode())
        self._resource = _between(_MEMORY_LINE.sub(rf"\1 {_MOVES}", text))

    def sampled_ns(self, now_ns: int) -> int:
        """When it last took a sample."""
        intervals = max(now_ns - self._first_ns, 0) // self._interval_ns
        return self._first_ns + intervals * self._interval_ns

    def summary(self, now_ns: int) -> bytes:
        """/stats/summary: stamps of whole seconds, beside the kubelet's own rates."""
        gone_ns = self.sampled_ns(now_ns) - self._first_ns
        parts = self._summary.copy()
        stamps = [_stamp((gauge.time_ns + gone_ns) // SECOND_NS) for gauge in self._of_summary]
        parts[1::6] = stamps
        parts[3::6] = [
            str(gauge.cpu_ns + gauge.nanocores * gone_ns // SECOND_NS) for gauge in self._of_summary
        ]
        parts[5::6] = stamps
        return "".join(parts).encode()

    def resource(self, now_ns: int) -> bytes:
        """/metrics/resource: stamps of milliseconds."""
        gone_ns = self.sampled_ns(now_ns) - self._first_ns
        parts = self._resource.copy()
        moving: list[str] = []
        for gauges in (self._containers, (self._node,), self._pods):
            stamps = [str((gauge.time_ns + gone_ns) // _MILLISECOND_NS) for gauge in gauges]
            moving += _interleaved(
                (repr((g.cpu_ns + g.nanocores * gone_ns // SECOND_NS) / SECOND_NS) for g in gauges), stamps
            )
            moving += stamps
        parts[1::2] = moving
        return "".join(parts).encode()


def _sum(containers: Sequence[ContainerView], time_ns: int) -> _Gauge:
    return _Gauge(
        max((c.time_ns for c in containers), default=time_ns),
        sum(c.cpu_ns for c in containers),
        sum(c.usage_nanocores for c in containers),
    )


def _between(text: str) -> list[str]:
    """What stands still at even places, room for what moves at odd ones."""
    still = [_shared.setdefault(part, part) for part in text.split(_MOVES)]
    found = [""] * (2 * len(still) - 1)
    found[0::2] = still
    return found


def _interleaved(counters: Iterable[str], stamps: Sequence[str]) -> list[str]:
    found = [""] * (2 * len(stamps))
    found[0::2] = counters
    found[1::2] = stamps
    return found


@lru_cache(maxsize=256)
def _stamp(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"

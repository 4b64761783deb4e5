"""Counters to rates: the rules by which two points of one container or node become CPU and window.

metrics-server: a container 10 s old but younger than the resolution is measured since its start; one that
restarted has no pair; a counter or start time that went backwards is skipped; otherwise the difference by
the window, in floats, truncated. The kubelet's own rate is a deliberate addition: where it is usable, what
has no pair yet is served at once, where the original waits for the next scrape.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from pymetrics_server.meta.usage import NO_RATE

_SECOND_NS = 1_000_000_000
#: A container younger than this has too short a life to be measured since its start.
_FRESH_FROM_NS = 10 * _SECOND_NS
#: Over what the kubelet measures its own rate, at most: cAdvisor's housekeeping takes 10 to 15 s.
_KUBELET_WINDOW_NS = 15 * _SECOND_NS
#: How far the resource page's counters, seconds in floats, are off at most: a 64-bit counter's last digit.
_FLOAT_ERROR_NS = 2048


class Point(NamedTuple):
    time_ns: int
    start_ns: int  # 0 unknown: before everything
    cpu_ns: int


def point(time_ns: int, start_ns: int, cpu_ns: int) -> Point:
    """As a kubelet told it. A start ahead of the time was told by a clock that has been turned back since: unknown."""
    return Point(time_ns, start_ns if start_ns <= time_ns else 0, cpu_ns)


class Rate(NamedTuple):
    window_ns: int
    cpu_nanocores: int


#: The counter or the start time went backwards: nothing can be said of this interval.
BACKWARDS = Rate(0, NO_RATE)


def rate(last: Point, earlier: Iterable[Point], kubelet_nanocores: int, fresh_below_ns: int) -> Rate | None:
    """BACKWARDS, or None where `last` must wait for its successor.

    `earlier` are the points before `last`, the latest first. `kubelet_nanocores` is the kubelet's own rate,
    to be given only beside stamps of whole seconds (NO_RATE otherwise, 0 where it said 0); an age below
    `fresh_below_ns`, the resolution, may be measured since the start (0 for nodes: never).
    """
    if kubelet_nanocores <= 0 and is_fresh(last.time_ns, last.start_ns, fresh_below_ns):
        return measured(Point(last.start_ns, last.start_ns, 0), last, NO_RATE)
    before = previous(last, earlier)
    if before is not None:
        return measured(before, last, kubelet_nanocores)
    return _first(last, kubelet_nanocores)


def is_fresh(time_ns: int, start_ns: int, fresh_below_ns: int) -> bool:
    return start_ns != 0 and _FRESH_FROM_NS <= time_ns - start_ns < fresh_below_ns


def previous(last: Point, earlier: Iterable[Point]) -> Point | None:
    """The point to measure from: the one before, or, while time stands still or turns back a little, its own.

    metrics-server: a restart (a start not before the preceding point) forgets what was; a time that turns
    back behind the kept previous point does too, for the clock has stepped and no window can be trusted.
    """
    points = iter(earlier)
    before = next(points, None)
    if before is None or last.start_ns >= before.time_ns:
        return None
    if last.time_ns > before.time_ns:
        return before
    kept: Point | None = None
    history = [last, before, *points][::-1]
    for older, newer in pairwise(history):
        if newer.start_ns >= older.time_ns:
            kept = None
        elif newer.time_ns > older.time_ns:
            kept = older
        elif kept is not None and kept.time_ns >= newer.time_ns:
            kept = None
    return kept


def comparable(point: Point, last: Point) -> Point:
    """`point`, which the other endpoint told, in the terms of `last`.

    /stats/summary cuts times and starts to the second and counts in integers; /metrics/resource counts in
    floats and may tell no start, of a node never. What differs by no more than that has not moved.
    """
    time_ns, start_ns, cpu_ns = point
    if time_ns // _SECOND_NS == last.time_ns // _SECOND_NS:
        time_ns = last.time_ns
    if not last.start_ns or start_ns // _SECOND_NS == last.start_ns // _SECOND_NS:
        start_ns = last.start_ns
    if abs(cpu_ns - last.cpu_ns) <= _FLOAT_ERROR_NS:
        cpu_ns = last.cpu_ns
    return Point(time_ns, start_ns, cpu_ns)


def measured(before: Point, last: Point, kubelet_nanocores: int) -> Rate:
    """`last.time_ns > before.time_ns`."""
    if last.start_ns < before.start_ns or last.cpu_ns < before.cpu_ns:
        return BACKWARDS
    window_ns = last.time_ns - before.time_ns
    return Rate(window_ns, nanocores_of(last.cpu_ns - before.cpu_ns, window_ns, kubelet_nanocores))


def nanocores_of(cpu_ns: int, window_ns: int, kubelet_nanocores: int) -> int:
    """Of a counter that grew by `cpu_ns` within `window_ns`.

    The kubelet's rate, which it took with full clocks, counts within what its stamps, cut to the second, allow.
    """
    if kubelet_nanocores <= 0:
        # As the original has it.
        window_s = float(window_ns // _SECOND_NS) + float(window_ns % _SECOND_NS) / 1e9
        return int(float(cpu_ns) / window_s)
    used, at_most_ns = cpu_ns * _SECOND_NS, window_ns + _SECOND_NS
    at_least_ns = window_ns - _SECOND_NS if window_ns > _SECOND_NS else 1
    if kubelet_nanocores * at_most_ns < used:
        return -(-used // at_most_ns)
    if kubelet_nanocores * at_least_ns <= used:
        return kubelet_nanocores
    return max(used // at_least_ns, -(-used // at_most_ns))


def _first(last: Point, kubelet_nanocores: int) -> Rate | None:
    if kubelet_nanocores <= 0:
        return None
    age_ns = last.time_ns - last.start_ns if last.start_ns else _KUBELET_WINDOW_NS
    return Rate(min(age_ns, _KUBELET_WINDOW_NS), kubelet_nanocores) if age_ns > 0 else None

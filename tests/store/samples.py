"""Samples written by hand: seconds, cores and MiB where the store has nanoseconds, counters and bytes."""

from array import array
from collections.abc import Mapping
from typing import NamedTuple

from pymetrics_server.meta.usage import (
    MILLISECONDS_NS,
    NO_RATE,
    SIGNED,
    UNSIGNED,
    NodePoint,
    NodeSample,
    PodLayout,
)

SECOND_NS = 1_000_000_000
CORE_NS = 1_000_000_000
MI = 1 << 20
T_S = 1_700_000_000  # when everything started, unless a test says otherwise


class C(NamedTuple):
    """A container: counter in core seconds; time and start in seconds since T_S (start None: unknown)."""

    at_s: float
    cpu_s: float
    mem_mi: int = 4
    start_s: float | None = 0
    nanocores: int = NO_RATE


def ns(at_s: float) -> int:
    return T_S * SECOND_NS + round(at_s * SECOND_NS)


def node_point(c: C) -> NodePoint:
    start_ns = 0 if c.start_s is None else ns(c.start_s)
    return NodePoint(ns(c.at_s), round(c.cpu_s * CORE_NS), c.mem_mi * MI, c.nanocores, start_ns)


def sample(
    pods: Mapping[str, Mapping[str, C]] | None = None, node: C | None = None, stamp_ns: int = MILLISECONDS_NS
) -> NodeSample:
    """`pods` is "namespace/name" -> container -> C."""
    pods = pods or {}
    first = [0]
    for containers in pods.values():
        first.append(first[-1] + len(containers))
    layout = PodLayout(
        tuple((ns_name.split("/")[0], ns_name.split("/")[1]) for ns_name in pods),
        tuple(first),
        tuple(name for containers in pods.values() for name in containers),
    )
    flat = [c for containers in pods.values() for c in containers.values()]
    return NodeSample(
        stamp_ns,
        None if node is None else node_point(node),
        layout,
        array(UNSIGNED, [ns(c.at_s) for c in flat]),
        array(UNSIGNED, [0 if c.start_s is None else ns(c.start_s) for c in flat]),
        array(UNSIGNED, [round(c.cpu_s * CORE_NS) for c in flat]),
        array(UNSIGNED, [c.mem_mi * MI for c in flat]),
        array(SIGNED, [c.nanocores for c in flat]),
    )


def pod(*, stamp_ns: int = MILLISECONDS_NS, name: str = "ns1/pod1", **containers: C) -> NodeSample:
    return sample({name: containers}, stamp_ns=stamp_ns)

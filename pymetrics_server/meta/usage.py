"""The values that flow: one kubelet's answer (NodeSample) and what is served of it (NodeUsage, PodUsage).

gc=False where nothing that is held can lead back to the holder: the collector need not look at a hundred
thousand of them.

Integers to the edge: counters in CPU nanoseconds, memory in bytes, rates in nanocores (CPU nanoseconds
per second), times in nanoseconds since the Unix epoch.
"""

from array import array

import msgspec

#: The stamps of /stats/summary are whole seconds, those of /metrics/resource milliseconds.
WHOLE_SECONDS_NS = 1_000_000_000
MILLISECONDS_NS = 1_000_000

#: The codes of a sample's columns, of 64 bits each. `array` takes C's long from Python's integers in half the time that
#: it takes long long in.
UNSIGNED = "L" if array("L").itemsize == 8 else "Q"
SIGNED = "l" if array("l").itemsize == 8 else "q"

#: A rate that the kubelet did not give (or gave negative or out of range).
NO_RATE = -1


class NodePoint(msgspec.Struct, frozen=True, gc=False):
    """The node's own counters in one sample; cpu_ns and memory_bytes are never 0."""

    time_ns: int
    cpu_ns: int
    memory_bytes: int
    usage_nanocores: int = NO_RATE  # the kubelet's own rate
    start_ns: int = 0  # boot; 0 unknown


class PodLayout(msgspec.Struct, frozen=True, gc=False):
    """Which containers a sample's columns speak of; equal from scrape to scrape while no pod comes or goes.

    Containers of pods[i] are containers[first[i]:first[i + 1]]; len(first) == len(pods) + 1. Pods and, within
    a pod, container names are unique and in the order of the answer; no pod is without containers.
    """

    pods: tuple[tuple[str, str], ...]  # (namespace, name)
    first: tuple[int, ...]
    containers: tuple[str, ...]


class NodeSample(msgspec.Struct, frozen=True, gc=False):
    """One kubelet's answer, decoded: the same from either endpoint. Columns are parallel to layout.containers."""

    stamp_ns: int  # how coarse the times are: WHOLE_SECONDS_NS or MILLISECONDS_NS
    node: NodePoint | None
    layout: PodLayout
    time_ns: "array[int]"  # UNSIGNED, as all but the last
    start_ns: "array[int]"  # 0 unknown ("before everything")
    cpu_ns: "array[int]"  # never 0
    memory_bytes: "array[int]"  # never 0
    usage_nanocores: "array[int]"  # SIGNED: NO_RATE where the kubelet gave none
    dropped: tuple[
        tuple[str, str], ...
    ] = ()  # (what, why), e.g. ("pod default/web", "container c: no cpu"); bounded


class Validity:
    """For how long usage that was handed out holds: up to the monotonic instant `until_ns`, which is in the past as
    soon as a newer sample comes. Whoever keeps something made of the usage looks here instead of asking again."""

    __slots__ = ("until_ns",)

    def __init__(self, until_ns: int) -> None:
        self.until_ns = until_ns

    def end(self) -> None:
        self.until_ns = -1


#: Nothing made of the usage may be kept.
NEVER = Validity(-1)


class NodeUsage(msgspec.Struct, frozen=True, gc=False):
    timestamp_ns: int
    window_ns: int
    cpu_nanocores: int
    memory_bytes: int


class ContainerUsage(msgspec.Struct, frozen=True, gc=False):
    name: str
    cpu_nanocores: int
    memory_bytes: int


class PodUsage(msgspec.Struct, frozen=True, gc=False):
    """timestamp and window are those of the container sampled earliest; 0 and 0 where containers is empty."""

    timestamp_ns: int
    window_ns: int
    containers: tuple[ContainerUsage, ...]

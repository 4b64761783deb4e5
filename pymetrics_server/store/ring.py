"""The last samples of one node, in the columns they came in, and what is served of them.

A usage is worked out when it is first asked for and kept until the next sample, so that whoever encoded it
can tell by identity that nothing changed.
"""

import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice, pairwise

import msgspec

from pymetrics_server.log import Logger
from pymetrics_server.meta.usage import (
    NEVER,
    NO_RATE,
    WHOLE_SECONDS_NS,
    ContainerUsage,
    NodePoint,
    NodeSample,
    NodeUsage,
    PodLayout,
    PodUsage,
    Validity,
)
from pymetrics_server.store.rate import BACKWARDS, Point, comparable, is_fresh, nanocores_of, point, rate

log = Logger(__name__)

#: Whoever asks for one pod will ask for its neighbours, and what they need lies together: eight cost as much as two or
#: three on their own. All of a node's would keep the loop for too long where a list begins with a pod of each node.
_PODS_AT_ONCE = 8


class NodeRing:
    """One node's samples, the newest last; never empty once something was put."""

    __slots__ = (
        "_cpu_capacity_nanocores",
        "_held",
        "_node_usage",
        "_pod_usages",
        "_resolution_ns",
        "_samples",
        "name",
        "ordinals",
        "validity",
    )

    def __init__(self, name: str, resolution_ns: int, samples: int) -> None:
        self.name = name
        self.validity = NEVER
        self.ordinals: dict[tuple[str, str], int] = {}  # pod -> where it stands in the newest layout
        self._resolution_ns = resolution_ns
        self._cpu_capacity_nanocores = 0
        self._samples: deque[NodeSample] = deque(maxlen=samples)
        self._held: NodeSample | None = None  # the first of /metrics/resource, until there is a second
        self._node_usage: NodeUsage | bool | None = False  # False: not worked out yet
        # Of _PODS_AT_ONCE neighbours, as they are asked for.
        self._pod_usages: dict[int, list[PodUsage | None]] = {}

    @property
    def newest(self) -> NodeSample:
        return self._samples[-1]

    def put(self, sample: NodeSample, until_ns: int, cpu_capacity_nanocores: int) -> bool:
        """Whether the layout changed, and `ordinals` with it. `until_ns` is how long the sample may be served.

        Where a node turns from /stats/summary to /metrics/resource, what it told before is served until there are
        two of the new kind: measured from one of whole seconds to one of milliseconds a rate is off by up to 1/15.
        """
        held, self._held = self._held, None
        changed = False
        if self._samples and sample.stamp_ns < self._samples[-1].stamp_ns:
            if held is None:
                self._held = sample
                self.renew_validity(until_ns)
                return False
            changed = self._put(held, until_ns, cpu_capacity_nanocores)
        return self._put(sample, until_ns, cpu_capacity_nanocores) or changed

    def _put(self, sample: NodeSample, until_ns: int, cpu_capacity_nanocores: int) -> bool:
        samples = self._samples
        layout = samples[-1].layout if samples else None
        changed = sample.layout != layout
        if layout is None or changed:
            shared = _sharing(sample.layout, layout)
            self.ordinals = {pod: i for i, pod in enumerate(shared.pods)}
        else:
            shared = layout
        sample = msgspec.structs.replace(sample, layout=shared)
        if samples and not changed and _stands_still(samples[-1], sample):
            samples[-1] = sample  # a kubelet that hangs must not push its last good pair out
        else:
            if len(samples) == samples.maxlen:
                samples[1] = _keeping_stuck(samples[0], samples[1], sample)
            samples.append(sample)
        self.renew_validity(until_ns)
        self._cpu_capacity_nanocores = cpu_capacity_nanocores
        self._node_usage = False
        self._pod_usages = {}
        return changed

    def renew_validity(self, until_ns: int) -> None:
        """What was made of usage up to now is to be made anew."""
        if self.validity is not NEVER:
            self.validity.end()
        self.validity = Validity(until_ns)

    def node_usage(self) -> NodeUsage | None:
        if isinstance(self._node_usage, bool):
            self._node_usage = self._work_out_node()
        return self._node_usage

    def pod_usage(self, ordinal: int) -> PodUsage | None:
        batch, place = divmod(ordinal, _PODS_AT_ONCE)
        if batch not in self._pod_usages:
            start = batch * _PODS_AT_ONCE
            end = min(start + _PODS_AT_ONCE, len(self.ordinals))
            self._pod_usages[batch] = self._work_out_pods(range(start, end))
        return self._pod_usages[batch][place]

    def newest_start_ns(self, ordinal: int) -> int:
        """When the youngest container of that pod started."""
        newest = self._samples[-1]
        return max(newest.start_ns[newest.layout.first[ordinal] : newest.layout.first[ordinal + 1]])

    def containers_paired(self) -> int:
        """How many containers have what a rate needs, counted by layouts and not by points.

        Beside metrics-server's count of pairs it is off for a sample where a container restarted or joined
        a pod that was there; a counter that went backwards counts in both.
        """
        newest = self._samples[-1]
        layout = newest.layout
        if len(self._samples) > 1:
            before = self._samples[-2].layout
            if before is layout:
                return len(layout.containers)
            known = set(before.pods)
            first = layout.first
            return sum(first[i + 1] - first[i] for i, pod in enumerate(layout.pods) if pod in known)
        if newest.stamp_ns == WHOLE_SECONDS_NS:
            return sum(map((0).__lt__, newest.usage_nanocores))
        return sum(
            is_fresh(time_ns, start_ns, self._resolution_ns)
            for time_ns, start_ns in zip(newest.time_ns, newest.start_ns, strict=True)
        )

    def _work_out_node(self) -> NodeUsage | None:
        node = self._samples[-1].node
        if node is None:
            return None
        last = _point(node)
        earlier = (
            self._told_alike(s, _point(s.node), last)
            for s in _before_newest(self._samples)
            if s.node is not None
        )
        found = rate(last, earlier, self._believed(node.usage_nanocores), 0)
        if found is BACKWARDS:
            log.info("Skipping node usage metric", v=2, node=self.name)
            return None
        if found is None:
            return None
        return NodeUsage(node.time_ns, found.window_ns, found.cpu_nanocores, node.memory_bytes)

    def _work_out_pods(self, ordinals: range) -> list[PodUsage | None]:
        """What `rate` would say of containers that ran on, without the objects that other cases need; pods with any
        other container are left to it.
        """
        newest, before = self._samples[-1], self._like_newest()
        if before is None:
            return list(map(self._work_out_pod, ordinals))
        layout = newest.layout
        resolution_ns, most_believed = self._resolution_ns, self._most_believed()
        first = layout.first[ordinals.start : ordinals.stop + 1]
        those = slice(first[0], first[-1])
        columns = zip(
            layout.containers[those],
            newest.time_ns[those],
            newest.start_ns[those],
            newest.cpu_ns[those],
            newest.memory_bytes[those],
            newest.usage_nanocores[those],
            before.time_ns[those],
            before.start_ns[those],
            before.cpu_ns[those],
            strict=True,
        )
        usages: list[PodUsage | None] = []
        for ordinal, (start, end) in zip(ordinals, pairwise(first), strict=True):
            timestamp_ns = window_ns = 0
            ran_on: list[ContainerUsage] = []
            for (
                name,
                time_ns,
                start_ns,
                cpu_ns,
                memory_bytes,
                nanocores,
                before_ns,
                was_start_ns,
                was_cpu_ns,
            ) in islice(columns, end - start):
                if nanocores > most_believed:
                    nanocores = NO_RATE
                if (
                    start_ns == was_start_ns < before_ns < time_ns
                    and cpu_ns >= was_cpu_ns
                    and (nanocores > 0 or time_ns - start_ns >= resolution_ns)
                ):
                    since_ns = time_ns - before_ns
                    if not ran_on or time_ns < timestamp_ns:
                        timestamp_ns, window_ns = time_ns, since_ns
                    nanocores = nanocores_of(cpu_ns - was_cpu_ns, since_ns, nanocores)
                    ran_on.append(ContainerUsage(name, nanocores, memory_bytes))
            if len(ran_on) == end - start:
                usages.append(PodUsage(timestamp_ns, window_ns, tuple(ran_on)))
            else:
                usages.append(self._work_out_pod(ordinal))
        return usages

    def _work_out_pod(self, ordinal: int) -> PodUsage | None:
        newest = self._samples[-1]
        layout = newest.layout
        timestamp_ns = window_ns = 0
        containers: list[ContainerUsage] = []
        for i in range(layout.first[ordinal], layout.first[ordinal + 1]):
            last = point(newest.time_ns[i], newest.start_ns[i], newest.cpu_ns[i])
            kubelet_nanocores = self._believed(newest.usage_nanocores[i])
            found = rate(last, self._earlier(ordinal, i, last), kubelet_nanocores, self._resolution_ns)
            if found is None:
                return None
            if found is BACKWARDS:
                pod, name = "/".join(layout.pods[ordinal]), layout.containers[i]
                log.info("Skipping container usage metric", v=2, container=name, pod=pod, node=self.name)
                continue
            if not containers or last.time_ns < timestamp_ns:
                timestamp_ns, window_ns = last.time_ns, found.window_ns
            containers.append(
                ContainerUsage(layout.containers[i], found.cpu_nanocores, newest.memory_bytes[i])
            )
        return PodUsage(timestamp_ns, window_ns, tuple(containers))

    def _like_newest(self) -> NodeSample | None:
        """The sample before the newest, where it tells of the same containers with stamps of the same kind."""
        if len(self._samples) < 2:
            return None
        newest, before = self._samples[-1], self._samples[-2]
        return before if before.layout is newest.layout and before.stamp_ns == newest.stamp_ns else None

    def _earlier(self, ordinal: int, i: int, last: Point) -> Iterator[Point]:
        """The points of the newest layout's container `i` before its newest, `last`; the latest first."""
        layout = self._samples[-1].layout
        for sample in _before_newest(self._samples):
            at = (
                i
                if sample.layout is layout
                else _place(sample.layout, layout.pods[ordinal], layout.containers[i])
            )
            if at >= 0:
                told = point(sample.time_ns[at], sample.start_ns[at], sample.cpu_ns[at])
                yield self._told_alike(sample, told, last)

    def _told_alike(self, sample: NodeSample, told: Point, last: Point) -> Point:
        """`told` of `sample`, as the endpoint that told `last` would have told it."""
        return told if sample.stamp_ns == self._samples[-1].stamp_ns else comparable(told, last)

    def _believed(self, usage_nanocores: int) -> int:
        """The kubelet's own rate where it counts."""
        return usage_nanocores if usage_nanocores <= self._most_believed() else NO_RATE

    def _most_believed(self) -> int:
        """The largest rate of the kubelet's own that counts: what the node has, and none beside stamps that are fine."""
        if self._samples[-1].stamp_ns != WHOLE_SECONDS_NS:
            return NO_RATE
        return self._cpu_capacity_nanocores or sys.maxsize


def _point(node: NodePoint) -> Point:
    return point(node.time_ns, node.start_ns, node.cpu_ns)


def _before_newest(samples: deque[NodeSample]) -> Iterator[NodeSample]:
    backwards = reversed(samples)
    next(backwards)
    return backwards


def _place(layout: PodLayout, pod: tuple[str, str], container: str) -> int:
    """Where that container stands in the columns, or -1."""
    try:
        ordinal = layout.pods.index(pod)
        return layout.containers.index(container, layout.first[ordinal], layout.first[ordinal + 1])
    except ValueError:
        return -1


def _sharing(layout: PodLayout, known: PodLayout | None) -> PodLayout:
    """An equal layout of strings that are held already: names repeat, over containers and over scrapes."""
    held = {pod: pod for pod in known.pods} if known is not None else {}
    return PodLayout(
        tuple(held.get(pod) or (sys.intern(pod[0]), pod[1]) for pod in layout.pods),
        layout.first,
        tuple(map(sys.intern, layout.containers)),
    )


def _stands_still(old: NodeSample, new: NodeSample) -> bool:
    """No time moved at all; the layouts are equal."""
    if (old.node is None) != (new.node is None):
        return False
    if old.node is not None and new.node is not None and old.node.time_ns != new.node.time_ns:
        return False
    return old.time_ns == new.time_ns


def _keeping_stuck(oldest: NodeSample, second: NodeSample, new: NodeSample) -> NodeSample:
    """`second`, but with the points of `oldest` for what has not moved between `second` and `new`.

    A kubelet may look at its containers minutes apart, each at its own time, while it is asked every few
    seconds: the one point that a container's rate is measured from would fall off the ring's end.
    """
    node = second.node
    if node is not None and new.node is not None and oldest.node is not None:
        stuck = oldest.node.time_ns < node.time_ns and new.node.time_ns <= node.time_ns
        node = oldest.node if stuck else node
    if min(new.time_ns, default=0) > max(second.time_ns, default=0):
        return second if node is second.node else msgspec.structs.replace(second, node=node)

    layout = second.layout
    time_ns, start_ns, cpu_ns = second.time_ns[:], second.start_ns[:], second.cpu_ns[:]
    for ordinal, pod in enumerate(layout.pods):
        for i in range(layout.first[ordinal], layout.first[ordinal + 1]):
            at = i if new.layout is layout else _place(new.layout, pod, layout.containers[i])
            if at < 0 or new.time_ns[at] > time_ns[i]:
                continue
            at = i if oldest.layout is layout else _place(oldest.layout, pod, layout.containers[i])
            if at >= 0 and oldest.time_ns[at] < time_ns[i]:
                time_ns[i], start_ns[i], cpu_ns[i] = (
                    oldest.time_ns[at],
                    oldest.start_ns[at],
                    oldest.cpu_ns[at],
                )
    return msgspec.structs.replace(second, node=node, time_ns=time_ns, start_ns=start_ns, cpu_ns=cpu_ns)

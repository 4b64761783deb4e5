"""Whether what kubelets tell can be right: something, not zero, and of now."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.pattern import pattern
from pymetrics_server.doctor.evidence import NodeProbe
from pymetrics_server.doctor.finding import Finding, State
from pymetrics_server.doctor.objects import Node

SHOWN = 5
_STALE_MS = 60_000
_AHEAD_MS = -5_000
#: Ages of all nodes that are this much alike are a matter of this machine's clock.
_ALIKE_MS = 30_000


def samples(
    probes: Sequence[NodeProbe],
    labels: Mapping[str, Mapping[str, str]],
    own: Collection[str],
    nodes: Mapping[str, Node],
) -> Iterator[Finding]:
    """`labels` and `own` as for a pattern. What is odd is told with the versions: as a rule it is a fault of one of them."""

    def found(
        ailment: Ailment,
        odd: Sequence[NodeProbe],
        what: str,
        tell: Callable[[NodeProbe], str],
        state: State = State.SICK,
    ) -> Iterator[Finding]:
        if odd:
            words = pattern([probe.node for probe in odd], labels, own).words
            details = lines(
                [f"{probe.node}: {tell(probe)}{_versions(nodes.get(probe.node))}" for probe in odd]
            )
            yield ailment.found(f"{words}: {what}", state=state, details=details)

    zero = [probe for probe in probes if _is_zero(probe)]
    yield from found(Ailment.NODE_ZERO, zero, "the kubelet tells no CPU or no memory of its node", _usage)
    is_any_told = any(probe.containers for probe in probes)
    bare = [
        probe
        for probe in probes
        if not probe.containers and (probe.pods or not is_any_told) and probe not in zero
    ]
    yield from found(
        Ailment.NODE_ZERO,
        bare,
        "the kubelet tells of no container",
        lambda probe: f"{probe.pods} pods",
        State.WARNING,
    )

    aged = [(probe, probe.sample_age_ms) for probe in probes if probe.sample_age_ms is not None]
    ahead = [probe for probe, age_ms in aged if age_ms < _AHEAD_MS]
    yield from found(
        Ailment.NODE_CLOCK, ahead, "the kubelet's samples are of the future", _age, State.WARNING
    )
    stale = [probe for probe, age_ms in aged if age_ms > _STALE_MS]
    ages_ms = [age_ms for _, age_ms in aged]
    if len(stale) == len(aged) > 1 and max(ages_ms) - min(ages_ms) <= _ALIKE_MS:
        what = "the samples are equally old, so that this machine's clock is ahead by that"
        yield from found(Ailment.NODE_CLOCK, stale, what, _age, State.WARNING)
    else:
        what = "the kubelet's newest sample is older than 60 s, or the node's clock is behind"
        yield from found(Ailment.NODE_STALE, stale, what, _age)


def lines(each: Sequence[str]) -> tuple[str, ...]:
    """The first of them, and how many more there are."""
    more = len(each) - SHOWN
    return (*each[:SHOWN], f"and {more} more") if more > 0 else tuple(each)


def _versions(node: Node | None) -> str:
    info = node.status.node_info if node is not None else None
    if info is None or not info.kubelet_version:
        return ""
    return f" (kubelet {info.kubelet_version}, {info.container_runtime_version or 'an unknown runtime'})"


def _is_zero(probe: NodeProbe) -> bool:
    """A runtime may tell a rate of 0 beside a counter that moves: that is none."""
    return not (probe.memory_bytes and (probe.cpu_ns or probe.cpu_nanocores))


def _usage(probe: NodeProbe) -> str:
    return (
        f"CPU {_told(probe.cpu_nanocores, 'nanocores')}, its counter {_told(probe.cpu_ns, 'ns')}, "
        f"memory {_told(probe.memory_bytes, 'bytes')}, from {probe.endpoint or 'its kubelet'}"
    )


def _told(value: int | None, unit: str) -> str:
    return "absent" if value is None else f"{value} {unit}"


def _age(probe: NodeProbe) -> str:
    age_s = (probe.sample_age_ms or 0) / 1000
    return f"{-age_s:.1f} s ahead of this machine's clock" if age_s < 0 else f"{age_s:.1f} s old"

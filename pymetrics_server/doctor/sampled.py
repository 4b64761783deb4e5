"""What one kubelet's answer, or its failure, says in a NodeProbe. Plain functions."""

from msgspec.structs import replace

from pymetrics_server.doctor.evidence import NodeProbe
from pymetrics_server.errors import KubeletError
from pymetrics_server.meta.usage import NO_RATE, NodeSample

_DROPPED_TOLD = 3


def told_by(probe: NodeProbe, told: NodeSample | KubeletError, now_ns: int) -> NodeProbe:
    if isinstance(told, KubeletError):
        return replace(probe, failure=told.failure.label, detail=told.detail, status=told.status)
    point, dropped = told.node, dict(told.dropped)
    times = (point.time_ns,) if point is not None else tuple(told.time_ns)
    newest_ns = max(times, default=0)
    counted = {
        "cpu_ns": point.cpu_ns if point else _zero("cpu", dropped),
        "memory_bytes": point.memory_bytes if point else _zero("memory", dropped),
        "cpu_nanocores": point.usage_nanocores if point and point.usage_nanocores != NO_RATE else None,
        "sample_age_ms": (now_ns - newest_ns) // 1_000_000 if newest_ns else None,
    }
    return replace(
        probe,
        status=200,
        detail="; ".join(f"{what}: {why}" for what, why in told.dropped[:_DROPPED_TOLD]),
        pods=len(told.layout.pods),
        containers=len(told.layout.containers),
        **counted,
    )


def _zero(what: str, dropped: dict[str, str]) -> int | None:
    """A node without CPU or memory is left out of a sample, which says whether it was zero or was not told."""
    return 0 if dropped.get("node") == f"{what} is zero" else None

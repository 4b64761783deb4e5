"""From decoded containers to a NodeSample's columns: what both endpoints' decoders share."""

from array import array
from collections.abc import Mapping, Sequence

from pymetrics_server.meta.usage import SIGNED, UNSIGNED, NodePoint, NodeSample, PodLayout

#: name, time_ns, start_ns, cpu_ns, memory_bytes, usage_nanocores
Row = tuple[str, int, int, int, int, int]

BEYOND_COUNTER = 2**64
BEYOND_SIGNED = 2**63
_MAX_DROPPED = 32
_MAX_QUOTED = 60


class Dropped:
    """(what, why) of what an answer held and a sample cannot: the first few, whatever a node answers."""

    def __init__(self) -> None:
        self.reasons: list[tuple[str, str]] = []

    def add(self, what: str, why: str) -> None:
        if len(self.reasons) < _MAX_DROPPED:
            self.reasons.append((what, why))


def build_sample(
    stamp_ns: int, node: NodePoint | None, pods: Mapping[tuple[str, str], Sequence[Row]], dropped: Dropped
) -> NodeSample:
    """`pods` in the order of the answer, none of them without rows."""
    first = [0]
    rows: list[Row] = []
    for of_pod in pods.values():
        rows += of_pod
        first.append(len(rows))
    names, time_ns, start_ns, cpu_ns, memory_bytes, nanocores = zip(*rows, strict=True) if rows else ((),) * 6
    return NodeSample(
        stamp_ns=stamp_ns,
        node=node,
        layout=PodLayout(tuple(pods), tuple(first), names),
        time_ns=array(UNSIGNED, time_ns),
        start_ns=array(UNSIGNED, start_ns),
        cpu_ns=array(UNSIGNED, cpu_ns),
        memory_bytes=array(UNSIGNED, memory_bytes),
        usage_nanocores=array(SIGNED, nanocores),
        dropped=tuple(dropped.reasons),
    )


def quoted(seen: bytes) -> str:
    """The first of it, on one line, for an error's detail."""
    text = " ".join(seen[: _MAX_QUOTED * 4].decode("utf-8", "replace").split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return f'"{text}"' if len(text) <= _MAX_QUOTED else f'"{text[:_MAX_QUOTED]}"...'

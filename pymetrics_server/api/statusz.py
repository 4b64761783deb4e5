"""/statusz: what runs since when, and in its text how each node answers its scrapes.

The object of config.k8s.io has no place for the nodes; only the text tells of them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from pymetrics_server.api.interfaces import NodeUsageReader
from pymetrics_server.api.negotiation import Representation
from pymetrics_server.api.reply import TEXT, Reply
from pymetrics_server.api.zpages import TEXT_PLAIN, object_reply, page_head
from pymetrics_server.errors import FailureClass
from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.scrape import NodeScrape
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.meta.verification import Verification

_SECOND_NS = 1_000_000_000
_BATCH = 500
_LONGEST_DETAIL = 160
#: Below these paths are documents for programs.
_NOT_FOR_DEBUGGING = ("/api", "/apis", "/openapi")
_COLUMNS = ("NODE", "ENDPOINT", "LAST SUCCESS", "FAILURE", "FAILED", "SERVED AGE", "DETAIL")


class NodeRow(msgspec.Struct, frozen=True):
    """Ages are of the moment at which the row was made; None where there is nothing that has an age."""

    node: str
    endpoint: str
    success_age_s: int | None
    served_age_s: int | None
    failure: FailureClass | None = None
    attempts: int = 0
    detail: str = ""
    cure: str = ""


class StatuszFacts(msgspec.Struct, frozen=True):
    component: str
    started_s: int  # since the Unix epoch, as now_s
    now_s: int
    runtime_version: str
    binary_version: str
    emulation_version: str
    paths: Sequence[str]  # all that the index lists
    kubelet_verify: Verification
    rows: Sequence[NodeRow] = ()
    table: Sequence[bytes] = ()  # of the rows


async def node_rows(
    scrapes: Sequence[NodeScrape], usage: NodeUsageReader, mono_ns: int, now_ns: int
) -> list[NodeRow]:
    """Failing nodes first, then those that never answered; leaves the loop free between batches."""
    rows: list[NodeRow] = []
    for start in range(0, len(scrapes), _BATCH):
        rows.extend(_row(scrape, usage, mono_ns, now_ns) for scrape in scrapes[start : start + _BATCH])
        await asyncio.sleep(0)
    rows.sort(key=_rank)
    return rows


async def table(rows: Sequence[NodeRow]) -> list[bytes]:
    """Columns as wide as their widest cell, the last one free; leaves the loop free between batches."""
    if not rows:
        return []
    cells: list[tuple[str, ...]] = [_COLUMNS]
    for start in range(0, len(rows), _BATCH):
        cells.extend(map(_cells, rows[start : start + _BATCH]))
        await asyncio.sleep(0)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    form = "   ".join(f"%-{width}s" for width in widths) + "   %s"
    parts: list[bytes] = []
    for start in range(0, len(cells), _BATCH):
        lines = [(form % row).rstrip() for row in cells[start : start + _BATCH]]
        parts.append(("" if start else "\n").encode() + "\n".join([*lines, ""]).encode("utf-8", "replace"))
        await asyncio.sleep(0)
    return parts


def statusz_reply(facts: StatuszFacts, representation: Representation, delimiter: str) -> Reply:
    """`delimiter` is one of zpages.DELIMITERS."""
    up_s = max(0, facts.now_s - facts.started_s)
    paths = _folders(facts.paths)
    if representation.media_type != TEXT_PLAIN:
        values = {
            "startTime": format_rfc3339(facts.started_s * _SECOND_NS),
            "uptimeSeconds": up_s,
            "goVersion": facts.runtime_version,
            "binaryVersion": facts.binary_version,
            "emulationVersion": facts.emulation_version,
            "paths": paths,
        }
        return object_reply(facts.component, values, representation)
    started = datetime.fromtimestamp(facts.started_s, UTC).ctime()
    pairs = {
        "Started": f"{started[:-4]}UTC {started[-4:]}",
        "Up": f"{up_s // 3600} hr {up_s // 60 % 60:02d} min {up_s % 60:02d} sec",
        "Go version": facts.runtime_version,
        "Binary version": facts.binary_version,
        "Emulation version": facts.emulation_version,
        "Paths": " ".join(paths),
    }
    head = page_head(facts.component, "statusz")
    head += "".join(f"{key}{delimiter} {value}\n" for key, value in pairs.items())
    verify = facts.kubelet_verify
    head += f"\nVerified of kubelets ({verify.value}): {verify.meaning}\n"
    return Reply([head.encode(), _summary(facts.rows).encode(), *facts.table], 200, TEXT)


def _row(scrape: NodeScrape, usage: NodeUsageReader, mono_ns: int, now_ns: int) -> NodeRow:
    state = scrape.state
    served = usage.node_usage(scrape.node, mono_ns)
    return NodeRow(
        scrape.node,
        scrape.endpoint,
        None if state.last_success_ns is None else (mono_ns - state.last_success_ns) // _SECOND_NS,
        None if served is None else (now_ns - served.timestamp_ns) // _SECOND_NS,
        state.failure,
        state.attempts,
        " ".join(state.detail.split())[:_LONGEST_DETAIL],
        state.cure,
    )


def _rank(row: NodeRow) -> tuple[int, str, str]:
    if row.failure is not None:
        return 0, row.failure.label, row.node
    return (1 if row.success_age_s is None else 2), "", row.node


def _folders(paths: Sequence[str]) -> list[str]:
    """/readyz/ping and /readyz are both /readyz."""
    found = {f"/{path.split('/')[1]}" for path in paths}
    return sorted(found - {"/", *_NOT_FOR_DEBUGGING})


def _summary(rows: Sequence[NodeRow]) -> str:
    """How many nodes fail in which way, and what to do about it."""
    failing = Counter(row.failure for row in rows if row.failure is not None)
    cures = {row.failure: row.cure for row in reversed(rows)}  # of the first that fails so
    lines = [f"Nodes: {len(rows)}, failing: {failing.total()}\n"]
    lines += [
        f"  {failure.label} at {count}: {failure.cause}; {cures[failure]}\n"
        for failure, count in failing.most_common()
    ]
    return "".join(lines)


def _cells(row: NodeRow) -> tuple[str, ...]:
    return (
        row.node,
        row.endpoint,
        _age(row.success_age_s, "never"),
        row.failure.label if row.failure else "-",
        str(row.attempts),
        _age(row.served_age_s, "-"),
        row.detail,
    )


def _age(age_s: int | None, absent: str) -> str:
    return absent if age_s is None else format_go(age_s * _SECOND_NS)

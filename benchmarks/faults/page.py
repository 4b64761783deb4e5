"""Writes outcomes into docs/reliability.md, between markers."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults.outcome import Outcome

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
_BETWEEN = re.compile(r"(<!-- outcomes: [^>]*-->\n).*?(<!-- end of outcomes -->)", re.S)
_HEAD = (
    "what goes wrong",
    "nodes",
    "served",
    "oldest (s)",
    "others",
    "/readyz",
    "log lines",
    "recovered in (s)",
    "memory (MiB)",
)


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown. What breaks its promise is bold."""
    lines = [_cells(_HEAD), _cells(["---"] + ["---:"] * (len(_HEAD) - 1))]
    lines += [_cells(_row(outcome)) for outcome in outcomes]
    return "\n".join(lines)


def write(outcomes: Sequence[Outcome], lasts_s: float) -> None:
    said = f"\nEach goes wrong for {lasts_s:g} s; scraped every 10 s.\n\n{table(outcomes)}\n"
    written, count = _BETWEEN.subn(lambda found: found[1] + said + found[2], PAGE.read_text())
    if count != 1:
        raise SystemExit(f"{PAGE} has no place for outcomes")
    PAGE.write_text(written)


def _row(seen: Outcome) -> list[str]:
    title = f"**{seen.title}**" if seen.broken else seen.title
    return [
        title,
        str(seen.nodes),
        f"{seen.served:.0%}",
        "" if seen.oldest_s is None else f"{seen.oldest_s:.0f}",
        f"{seen.others_served:.0%}, {seen.others_oldest_s:.0f} s" if seen.others_oldest_s else "",
        " ".join("no answer" if status == 0 else str(status) for status in seen.readyz),
        str(seen.log_lines),
        "never" if seen.recovered_s is None else f"{seen.recovered_s:.1f}",
        f"{seen.rss_before_mib:.0f} to {seen.rss_after_mib:.0f}",
    ]


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

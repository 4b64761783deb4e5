"""Writes results into docs/performance.md: `python -m benchmarks.page results-*.json`.

Tables and pictures go between markers, everything else on that page stays as it is written. The same results give
the same bytes.
"""

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import rows

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
PLOTS = "plots"
_NAMES = {"ours": "pymetrics-server", "peer": "metrics-server"}
_GREY = "#808080"  # is read on white and on black
_COLOURS = {"ours": "#2f81f7", "peer": "#db6d28"}

#: What is drawn over the number of nodes: path, file, title.
FIGURES = (
    ("scrape_cpu_s_per_cycle", "scrape-cpu", "CPU per scrape cycle (s)"),
    ("rss_mib_max", "memory", "resident memory (MiB)"),
    ("all_pods_served_s", "start", "start to all pods served (s)"),
    ("list_all.p50_ms", "list-all", "list all pods, p50 (ms)"),
    ("list_all_table.p50_ms", "list-all-table", "list all pods as Table, p50 (ms)"),
    ("list_nodes.p50_ms", "list-nodes", "list all nodes, p50 (ms)"),
    ("hpa.cpu_ms", "hpa-cpu", "autoscaler's query, CPU (ms)"),
    ("get.cpu_ms", "get-cpu", "get one pod, CPU (ms)"),
    ("stall.p99_ms", "stall", "get while all is listed, p99 (ms)"),
)

#: One size: what was set, and the medians of each server.
Results = Mapping[str, Any]


def tables(results: Sequence[Results]) -> str:
    """Markdown, the smallest fleet first. A ratio that misses its goal is bold."""
    return "\n\n".join(_table(each) for each in sorted(results, key=lambda each: int(each["nodes"])))


def _table(result: Results) -> str:
    servers = list(result["runs"])
    columns = [rows.medians(result["runs"][server]) for server in servers]
    compared = len(columns) == 2
    head = ["", *(_NAMES[server] for server in servers), *(("ratio", "goal") if compared else ())]
    written = [f"### {result['nodes']:,} nodes", _settings(result), "", _cells(head)]
    written.append(_cells(["---"] + ["---:"] * (len(head) - 1)))
    for line in rows.lines(columns, int(result["nodes"])):
        figures = list(line.figures)
        if line.missed and not line.ratio:
            figures[0] = f"**{figures[0]}**"
        ratio = f"**{line.ratio}**" if line.missed and line.ratio else line.ratio
        written.append(_cells([line.label, *figures, *((ratio, line.goal) if compared else ())]))
    return "\n".join(written)


def _settings(result: Results) -> str:
    machine, turns = result["machine"], max(len(runs) for runs in result["runs"].values())
    told = [
        "",
        f"{result['pods']} pods on each node, {result['containers']} containers in each pod",
        f"scraped every {result['resolution']} s",
        *([f"every {result['fail_every']}th scrape fails"] if result["fail_every"] else []),
        *(
            [f"{result['slow_nodes']} nodes answer after {result['slow_s']:g} s"]
            if result["slow_nodes"]
            else []
        ),
        f"medians of {turns} runs" if turns > 1 else "one run",
        f"{machine['cores']} cores, Python {machine['python']}",
    ]
    return "\n" + "; ".join(told[1:]) + "."


def _cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def pictures(results: Sequence[Results], directory: Path) -> str:
    """Draws them there, and gives the Markdown that shows them: what has been measured at two sizes at least."""
    by_nodes = {
        int(r["nodes"]): {name: rows.medians(runs) for name, runs in r["runs"].items()} for r in results
    }
    shown = []
    for path, name, title in FIGURES:
        series = {server: _series(by_nodes, server, path) for server in _NAMES}
        if all(len(points) < 2 for points in series.values()):
            continue
        directory.mkdir(exist_ok=True)
        _draw(series, title, directory / f"{name}.svg")
        shown.append(f"![{title}]({directory.name}/{name}.svg)")
    return "\n".join(shown)


def _series(
    by_nodes: Mapping[int, Mapping[str, Mapping[str, float]]], server: str, path: str
) -> list[tuple[int, float]]:
    """(nodes, figure); what is nought has no place on a logarithmic scale."""
    found = ((nodes, medians.get(server, {}).get(path, 0.0)) for nodes, medians in sorted(by_nodes.items()))
    return [(nodes, figure) for nodes, figure in found if figure > 0]


def _draw(series: Mapping[str, Sequence[tuple[int, float]]], title: str, file: Path) -> None:
    import matplotlib as mpl  # an extra of its own: only pictures need it
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    settings: dict[Any, Any] = {
        "svg.hashsalt": file.name,
        "svg.fonttype": "none",
        "font.size": 8,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _GREY),
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure(figsize=(3.6, 2.4), layout="constrained")
        axes = figure.subplots()
        for server, points in series.items():
            if points:
                nodes, figures = zip(*points, strict=True)
                axes.plot(
                    nodes, figures, marker="o", markersize=4, color=_COLOURS[server], label=_NAMES[server]
                )
        axes.set(xscale="log", yscale="log", xlabel="nodes")
        axes.set_title(title, fontsize=9)
        measured = sorted({nodes for points in series.values() for nodes, _ in points})
        axes.set_xticks(measured, [f"{nodes:,}" for nodes in measured])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, color=_GREY, alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.read_text(encoding="utf-8")
    file.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")


def placed(page: str, name: str, content: str) -> str:
    """The page with that between its markers. Raises ValueError where it has none."""
    begin, end = f"<!-- {name}: written by benchmarks.page -->", f"<!-- end of {name} -->"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
    if not found.search(page):
        raise ValueError(f"there are no markers {begin} and {end}")
    return found.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", page, count=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results", type=Path, nargs="+", help="of benchmarks.measure --json, one for each size"
    )
    parser.add_argument("--page", type=Path, default=PAGE)
    a = parser.parse_args()
    results = [json.loads(path.read_text()) for path in a.results]
    page = placed(a.page.read_text(encoding="utf-8"), "tables", tables(results))
    page = placed(page, "pictures", pictures(results, a.page.parent / PLOTS))
    a.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

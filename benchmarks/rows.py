"""The rows of the tables: what they are called, and what ratio to metrics-server is aimed at. No I/O.

A run is a tree of figures, and its rows are the paths of its leaves: `hpa.p50_ms`.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

#: The sizes that goals are given for.
SIZES = (100, 1000, 5000)


class Row(msgspec.Struct, frozen=True):
    path: str
    label: str
    unit: str = ""
    goals: tuple[float, ...] = ()  # the most that ours/peer may be, by SIZES; none where there is no goal

    def goal(self, nodes: int) -> float | None:
        return self.goals[SIZES.index(nodes)] if self.goals and nodes in SIZES else None


def _request(path: str, label: str, goals: Mapping[str, tuple[float, ...]]) -> tuple[Row, ...]:
    return (
        Row(f"{path}.p50_ms", f"{label}, p50", "ms", goals.get("p50", ())),
        Row(f"{path}.p99_ms", f"{label}, p99", "ms"),
        Row(f"{path}.cpu_ms", f"{label}, CPU per request", "ms", goals.get("cpu", ())),
    )


def _at_once(path: str, label: str, goals: tuple[float, ...]) -> tuple[Row, ...]:
    return (
        Row(f"{path}.wrk_rps", f"{label}, 16 connections", "requests/s"),
        Row(f"{path}.wrk_cpu_us_per_req", f"{label}, 16 connections, CPU per request", "µs", goals),
    )


_LIST, _TABLE, _NODES = (0.2, 0.1, 0.1), (0.25, 0.15, 0.15), (0.5, 0.3, 0.2)
_HPA = (0.6, 0.35, 0.15)
ROWS = (
    Row("ready_s", "ready", "s"),
    Row("all_pods_served_s", "start to all pods served", "s", (0.15, 0.25, 0.35)),
    Row("scrape_cpu_s_per_cycle", "CPU per scrape cycle", "s", (0.7, 0.6, 0.6)),
    Row("scrape_mcpu_per_node", "CPU per node", "millicores"),
    Row("rss_mib_max", "resident memory, largest", "MiB", (1.0, 0.5, 0.35)),
    Row("rss_mib_median", "resident memory, median", "MiB"),
    Row("rss_mib_after_load", "resident memory after all requests", "MiB"),
    Row("served_pods", "pods served"),
    Row("wrong", "wrong values"),
    Row("worst_cpu_error", "worst error of a CPU value, relative"),
    Row("nodes_present.min", "nodes present, fewest"),
    Row("nodes_present.mean", "nodes present, mean"),
    Row("age_s.mean", "age of what is served, mean", "s", (0.97, 0.85, 0.9)),
    Row("age_s.p99", "age of what is served, p99", "s"),
    *_request("list_all", "list all pods", {"p50": _LIST, "cpu": _LIST}),
    *_request("list_all_table", "list all pods as Table", {"p50": _TABLE, "cpu": _TABLE}),
    *_request("list_nodes", "list all nodes", {"p50": _NODES, "cpu": _NODES}),
    *_request("hpa", "autoscaler's query", {}),
    *_request("hpa_protobuf", "autoscaler's query, protobuf", {}),
    *_request("get", "get one pod", {}),
    Row("stall.p50_ms", "get while all is listed, p50", "ms"),
    Row("stall.p99_ms", "get while all is listed, p99", "ms", (1.0, 0.5, 0.2)),
    Row("stall.max_ms", "get while all is listed, longest", "ms"),
    *_at_once("hpa", "autoscaler's query", _HPA),
    *_at_once("hpa_protobuf", "autoscaler's query, protobuf", _HPA),
    *_at_once("get", "get one pod", (1.0, 1.0, 1.0)),
    Row("stop_s", "SIGTERM to the end", "s"),
    Row("exit", "exit code"),
)
#: What is wrong when it is not nought, with or without a peer.
MUST_BE_NOUGHT = ("wrong", "exit")


def leaves(run: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a run, by its path."""
    found: dict[str, float] = {}
    for key, value in run.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            found[prefix + key] = value
    return found


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By path; of `exit` and `wrong` the worst, for one wrong value is one too many."""
    numbers = [leaves(run) for run in runs]
    found: dict[str, float] = {}
    for row in ROWS:
        values = [n[row.path] for n in numbers if row.path in n]
        if values:
            found[row.path] = (
                max(values, key=abs) if row.path in MUST_BE_NOUGHT else statistics.median(values)
            )
    return found


class Line(msgspec.Struct, frozen=True):
    """Of a table, as text; "" where there is nothing to say."""

    label: str
    figures: tuple[str, ...]  # one for each server
    ratio: str = ""
    goal: str = ""
    missed: bool = False


def lines(columns: Sequence[Mapping[str, float]], nodes: int) -> Iterable[Line]:
    """`columns` are medians by path: ours first, then the peer's where there is one."""
    for row in ROWS:
        if row.path not in columns[0]:
            continue
        label = f"{row.label} ({row.unit})" if row.unit else row.label
        figures = tuple(_text(c[row.path]) if row.path in c else "" for c in columns)
        peer = columns[1].get(row.path) if len(columns) == 2 else None
        if not peer or not row.unit:
            missed = row.path in MUST_BE_NOUGHT and columns[0][row.path] != 0
            yield Line(label, figures, goal="0" if row.path == "wrong" else "", missed=missed)
            continue
        ratio, goal = columns[0][row.path] / peer, row.goal(nodes)
        yield Line(
            label,
            figures,
            f"{ratio:.2f}",
            f"{goal:g}" if goal is not None else "",
            goal is not None and ratio > goal,
        )


def _text(value: float) -> str:
    """Three digits that count."""
    if value == int(value):
        return f"{int(value)}"
    if abs(value) < 0.0005:
        return f"{value:.0e}"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"

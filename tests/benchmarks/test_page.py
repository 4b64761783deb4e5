"""What stands in docs/performance.md comes out of results alone, the same every time."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page, rows

GOLDEN = Path(__file__).parent.parent / "golden" / "benchmarks" / "performance.md"
EMPTY = "# T\n\n" + "".join(
    f"<!-- {name}: written by benchmarks.page -->\n<!-- end of {name} -->\n\nwords\n\n"
    for name in ("tables", "pictures")
)


def run(factor: float, wrong: int = 0) -> dict[str, Any]:
    """Figures of one run; what is not measured is not there."""
    request = {
        "status": 200,
        "bytes": 1000,
        "p50_ms": factor,
        "p99_ms": 2.5 * factor,
        "cpu_ms": 0.75 * factor,
    }
    return {
        "ready_s": 1.5 * factor,
        "all_pods_served_s": 2.25 * factor,
        "scrape_cpu_s_per_cycle": 0.12345 * factor,
        "rss_mib_max": 123.4 * factor,
        "served_pods": 3000,
        "wrong": wrong,
        "worst_cpu_error": 0.00001,
        "list_all": {key: 20 * value for key, value in request.items()},
        "get": {**request, "wrk_rps": 1234.5 / factor, "wrk_p99": "12.00ms"},
        "stall": {"p50_ms": factor, "p99_ms": 4 * factor, "max_ms": 9 * factor, "samples": 100},
        "stop_s": 0.25,
        "exit": 0,
    }


def results(nodes: int, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "nodes": nodes, "pods": 30, "containers": 2, "resolution": 15, "cycles": 4,
        "fail_every": 0, "slow_nodes": 0, "slow_s": 9.0,
        "machine": {"cores": 2, "kernel": "Linux 6.1", "python": "3.12.1"},
        "runs": runs,
    }  # fmt: skip


def both() -> list[dict[str, Any]]:
    small = {"ours": [run(0.5), run(2.0), run(1.0)], "peer": [run(2.0), run(2.0), run(5.0)]}
    large = {"ours": [run(9.0, wrong=3)], "peer": [run(10.0)]}
    return [results(1000, large), results(100, small)]


def test_the_page_is_written_between_its_markers_golden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "performance.md"
    file.write_text(EMPTY)
    monkeypatch.setattr(page, "pictures", lambda results, directory: "![](plots/one.svg)")
    names = []
    for each in both():
        names.append(tmp_path / f"{each['nodes']}.json")
        names[-1].write_text(json.dumps(each))
    for _ in range(2):  # the second time writes the same
        monkeypatch.setattr("sys.argv", ["page", "--page", str(file), *map(str, names)])
        page.main()
    text = file.read_text()
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_a_page_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no markers"):
        page.placed("# T\n", "tables", "| |")


def test_one_wrong_value_in_three_runs_is_told_not_averaged_away() -> None:
    assert rows.medians([run(1), run(1, wrong=1), run(1)])["wrong"] == 1


def test_a_ratio_above_its_goal_is_marked() -> None:
    lines = {line.label: line for line in rows.lines([{"rss_mib_max": 110}, {"rss_mib_max": 100}], 100)}
    assert lines["resident memory, largest (MiB)"].missed
    lines = {line.label: line for line in rows.lines([{"rss_mib_max": 90}, {"rss_mib_max": 100}], 100)}
    assert not lines["resident memory, largest (MiB)"].missed


def test_pictures_are_the_same_bytes_each_time_and_have_no_ground_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install -e '.[bench]'")
    shown = page.pictures(both(), tmp_path / "plots")
    drawn = {file.name: file.read_bytes() for file in sorted((tmp_path / "plots").iterdir())}
    assert shown.count("(plots/") == len(drawn) > 3
    assert page.pictures(both(), tmp_path / "plots") == shown
    assert {file.name: file.read_bytes() for file in sorted((tmp_path / "plots").iterdir())} == drawn
    for content in drawn.values():
        assert b"<text" in content
        assert b"#ffffff" not in content or b"opacity: 0" in content
        assert b"<dc:date>" not in content

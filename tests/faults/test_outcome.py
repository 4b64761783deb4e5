"""What a scene came to, told and held against what was promised."""

import pytest

from benchmarks.faults import page
from benchmarks.faults.outcome import Promise, judged
from benchmarks.faults.soak import Weight, slopes_per_h
from benchmarks.faults.watcher import Look, Served

_MiB = 1 << 20


def look(at_s: float, wrong: int = 0, readyz: int = 200, livez: int = 200, **age_s: float) -> Look:
    nodes = {name: Served(at_s - age, 4) for name, age in age_s.items()}
    return Look(at_s, nodes, wrong, readyz, livez, 100 * _MiB)


def test_a_scene_in_which_all_is_kept_breaks_nothing() -> None:
    seen = judged(
        "t", Promise(), {"a"}, {"b"}, [look(100, a=10, b=5), look(101, a=11, b=2)], 9.5, 2, (100, 101)
    )
    assert seen.broken == ()
    assert (seen.served, seen.oldest_s, seen.others_oldest_s, seen.recovered_s) == (1, 11, 5, 9.5)


@pytest.mark.parametrize(
    ("looks", "recovered_s", "lines", "rss", "said"),
    [
        ([look(1, b=1)], 1, 0, (1, 1), "0% of the nodes hit were served"),
        ([look(1, a=1)], 1, 0, (1, 1), "0% of the other nodes were served"),
        ([look(1, a=80, b=1)], 1, 0, (1, 1), "what was served of them was 80.0 s old"),
        ([look(1, a=1, b=20)], 1, 0, (1, 1), "other nodes were 20.0 s old"),
        ([look(1, 3, a=1, b=1)], 1, 0, (1, 1), "3 values were wrong"),
        ([look(1, 0, 500, a=1, b=1)], 1, 0, (1, 1), "/readyz said (500,)"),
        ([look(1, 0, 200, 0, a=1, b=1)], 1, 0, (1, 1), "/livez said (0,)"),
        ([look(1, a=1, b=1)], 1, 7, (1, 1), "7 lines were logged"),
        ([look(1, a=1, b=1)], None, 0, (1, 1), "it never recovered"),
        ([look(1, a=1, b=1)], 30, 0, (1, 1), "it recovered in 30.0 s"),
        ([look(1, a=1, b=1)], 1, 0, (100, 120), "memory went from 100 to 120 MiB"),
    ],
)
def test_each_broken_promise_is_told(
    looks: list[Look], recovered_s: float | None, lines: int, rss: tuple[float, float], said: str
) -> None:
    seen = judged("t", Promise(), {"a"}, {"b"}, looks, recovered_s, lines, rss)
    assert seen.broken == (said,)
    assert "| **t** |" in page.table([seen])


def test_growth_is_told_by_the_hour_once_it_has_settled() -> None:
    filling = [Weight(i * 60.0, 100 + 50 * (1 - 0.5**i), 10, 4, 300) for i in range(10)]
    steady = [Weight(600 + i * 60.0, 150 + i / 60, 10, 4, 300) for i in range(60)]
    slopes = slopes_per_h([*filling, *steady])
    assert slopes["rss_mib"] == pytest.approx(1, abs=0.05)
    assert slopes["files"] == slopes["series"] == slopes["threads"] == pytest.approx(0)
    assert slopes_per_h(steady[:2]) == {}

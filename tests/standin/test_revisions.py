"""What watchers and lists rely on: revisions that only grow, and a history that is bounded and says where it ends."""

import asyncio

import pytest

from pymetrics_server.standin.forms import human_age
from pymetrics_server.standin.resources import NAMESPACES, namespace_body
from pymetrics_server.standin.revisions import ExpiredError, Revisions


def test_the_same_object_again_makes_no_revision() -> None:
    revisions = Revisions()
    revisions.put(NAMESPACES, namespace_body("default", 0))
    first = revisions.revision
    revisions.put(NAMESPACES, namespace_body("default", 0))
    assert revisions.revision == first
    revisions.put(NAMESPACES, namespace_body("default", 5_000_000_000))
    assert revisions.revision == first + 1


def test_history_is_bounded_and_what_is_kept_is_whole() -> None:
    revisions = Revisions(history=10)
    start = revisions.revision
    for i in range(100):
        revisions.put(NAMESPACES, namespace_body(f"n{i}", 0))
    with pytest.raises(ExpiredError):
        revisions.since(NAMESPACES, start)
    latest = revisions.revision
    kept = revisions.since(NAMESPACES, latest - 10)
    assert [change.revision for change in kept] == list(range(latest - 9, latest + 1))


async def test_a_waiter_wakes_at_the_next_revision() -> None:
    revisions = Revisions()
    waiting = asyncio.create_task(revisions.wait_past(revisions.revision))
    await asyncio.sleep(0)
    revisions.put(NAMESPACES, namespace_body("default", 0))
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (660, "11m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (47 * 3600, "47h"),
        (52 * 3600, "2d4h"),
        (30 * 86_400, "30d"),
        (800 * 86_400, "2y70d"),
        (4000 * 86_400, "10y"),
    ],
)
def test_ages_read_as_kubectl_writes_them(age_s: int, text: str) -> None:
    assert human_age(age_s) == text

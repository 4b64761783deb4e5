import asyncio
from collections.abc import Callable

import pytest

from pymetrics_server.kubelet.turns import Turns


class Seen:
    """Which steps were taken, and in which turn of the loop."""

    def __init__(self) -> None:
        self.turn = 0
        self.steps: list[tuple[int, int]] = []
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self._next_turn)

    def step(self, number: int) -> Callable[[], None]:
        return lambda: self.steps.append((self.turn, number))

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


async def test_a_step_that_comes_alone_is_taken_at_once() -> None:
    turns, seen = Turns(2), Seen()
    for number in range(3):
        turns.take(seen.step(number))
        await seen.turns(2)
    assert seen.steps == [(0, 0), (2, 1), (4, 2)]


async def test_a_swarm_is_taken_a_few_in_each_turn_and_in_its_order() -> None:
    turns, seen = Turns(2), Seen()
    for number in range(5):
        turns.take(seen.step(number))
    await seen.turns(1)
    turns.take(seen.step(5))  # there is room, but it came last
    await seen.turns(4)
    assert [number for _, number in seen.steps] == [0, 1, 2, 3, 4, 5]
    taken_in = [turn for turn, _ in seen.steps]
    assert all(taken_in.count(turn) <= 2 for turn in taken_in)
    assert len(set(taken_in)) == 3


async def test_between_the_steps_of_a_swarm_the_loop_rests_for_some_turns() -> None:
    turns, seen = Turns(2, rest=2), Seen()
    for number in range(6):
        turns.take(seen.step(number))
    await seen.turns(9)
    assert [number for _, number in seen.steps] == [0, 1, 2, 3, 4, 5]
    first, second, third = sorted({turn for turn, _ in seen.steps})
    assert second - first >= 3
    assert third - second == 3


async def test_a_step_that_raises_takes_no_other_along() -> None:
    turns, seen, told = Turns(1), Seen(), list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def out_of_memory() -> None:
        raise MemoryError

    turns.take(seen.step(0))
    turns.take(out_of_memory)
    turns.take(seen.step(1))
    await seen.turns(5)
    assert [number for _, number in seen.steps] == [0, 1]
    assert [type(context["exception"]) for context in told] == [MemoryError]
    with pytest.raises(MemoryError):
        turns.take(out_of_memory)
    turns.take(seen.step(2))
    await seen.turns(2)
    assert [number for _, number in seen.steps] == [0, 1, 2]

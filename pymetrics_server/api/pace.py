"""Long answers are made and written in steps of a millisecond at most; between two of them small requests get through."""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: Of the loop, from a small request's bytes to its answer's.
_TURNS_OF_A_SMALL_REQUEST = 3


async def step_aside() -> None:
    """So many turns that a request that came with this step waits for no second one."""
    for _ in range(_TURNS_OF_A_SMALL_REQUEST):
        await asyncio.sleep(0)


class DeadlineError(Exception):
    """It passed."""


async def before(expires_s: float, answering: Coroutine[Any, Any, T]) -> T:
    """What `answering` returns, if it does by that instant of the loop's clock. Raises DeadlineError.

    Nearly every request is answered without waiting for anybody, and spared a timer.
    """
    try:
        waits_for = answering.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    deadline = asyncio.timeout_at(expires_s)
    try:
        async with deadline:
            return await _continued(answering, waits_for)
    except Exception as err:
        if deadline.expired():
            raise DeadlineError from err
        raise


@coroutine
def _continued(begun: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """A coroutine that has begun, and waits for that future, as `await` would go on with it."""
    while True:
        try:
            try:
                yield waits_for
            except BaseException as err:  # a cancellation
                waits_for = begun.throw(err)
            else:
                waits_for = begun.send(None)
        except StopIteration as done:
            result: T = done.value
            return result

"""Long answers are made and written in steps of a millisecond at most; between two of them small requests get through."""

import asyncio

#: Of the loop, from a small request's bytes to its answer's.
_TURNS_OF_A_SMALL_REQUEST = 3


async def step_aside() -> None:
    """So many turns that a request that came with this step waits for no second one."""
    for _ in range(_TURNS_OF_A_SMALL_REQUEST):
        await asyncio.sleep(0)

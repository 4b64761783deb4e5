"""Waiting for what happens on real sockets, without waiting for back-off."""

import asyncio
from collections.abc import Callable

from pymetrics_server.clock import SystemClock


class ImpatientClock(SystemClock):
    """Sleeps for a moment only, and tells how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.ahead_s = 0.0
        self.oversleeps_s = 0.0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + int(self.ahead_s * 1e9)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ahead_s += seconds + self.oversleeps_s
        await asyncio.sleep(0.005)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (of what, is the caller's to say)
            await asyncio.sleep(0.002)

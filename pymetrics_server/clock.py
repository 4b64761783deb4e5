"""Time, handed in: the only module that reads the wall clock.

Wall time stamps what leaves the process; monotonic time measures ages and schedules, so that a stepped
clock makes nothing vanish.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds throughout: floats lose them past 2**53."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary instant; never goes backwards."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """This machine's clocks."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

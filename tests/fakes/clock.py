"""A clock that a test turns by hand."""

import asyncio


class FakeClock:
    """Satisfies clock.Clock. `advance` moves both clocks and wakes the sleepers that are due, in order."""

    def __init__(self, now_ns: int = 1_790_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 1_000_000_000_000
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic_ns + int(seconds * 1e9), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; whoever wakes runs until it waits again before later sleepers wake."""
        end_ns = self._monotonic_ns + int(seconds * 1e9)
        await settle()
        while due := [s for s in self._sleepers if s[0] <= end_ns]:
            wake_ns, waiter = min(due, key=lambda s: s[0])
            self._sleepers.remove((wake_ns, waiter))
            self._step_to(max(wake_ns, self._monotonic_ns))
            if not waiter.done():
                waiter.set_result(None)
            await settle()
        self._step_to(end_ns)

    def _step_to(self, monotonic_ns: int) -> None:
        self._now_ns += monotonic_ns - self._monotonic_ns
        self._monotonic_ns = monotonic_ns


async def settle() -> None:
    """Give every ready task its turn, several times over."""
    for _ in range(60):
        await asyncio.sleep(0)

"""What comes in swarms, shared out over the turns of the loop, so that whoever asks us is answered between them.

Nodes are asked in swarms and answer in swarms. What follows an answer, decoding it above all, follows the reading of it:
so it is enough to share out that.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """At most `steps` begin in one turn of the loop and none in the `rest` after it, in the order in which they came."""

    def __init__(self, steps: int, rest: int = 0) -> None:
        self._steps = steps
        self._rest = rest
        self._left = steps
        self._rested = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._goes_on = False

    def take(self, step: Callable[[], None]) -> None:
        """`step` is called at once, or in a later turn."""
        if not self._goes_on:
            self._goes_on = True
            asyncio.get_running_loop().call_soon(self._next)
        if self._left and not self._waiting:
            self._left -= 1
            step()
        else:
            self._waiting.append(step)

    def _next(self) -> None:
        if self._rested < self._rest:
            self._rested += 1
            asyncio.get_running_loop().call_soon(self._next)
            return
        self._rested = 0
        self._left = self._steps
        self._goes_on = bool(self._waiting)
        if self._goes_on:  # before the steps: the others come to theirs whatever one of them raises
            asyncio.get_running_loop().call_soon(self._next)
        while self._left and self._waiting:
            self._left -= 1
            self._waiting.popleft()()

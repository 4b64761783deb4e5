"""SIGTERM and SIGINT, from the first moment on: a container's first process has no default that would end it.

Until somebody is served the first signal ends the process there and then, whatever it waits for: a file, an
exec plugin, an import. From then on it asks for a graceful end. A second signal waits for nothing.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_AT_ONCE_EXIT = 1


class Stopping:
    def __init__(self) -> None:
        self._received = False
        self._ask: Callable[[], object] | None = None
        #: What an end at once may not leave undone; it must not wait for anything.
        self.at_once: Callable[[], object] = lambda: None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """In the main thread only. What was there before is there again afterwards."""
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, whatever in before.items():
                signal.signal(number, whatever)

    @contextmanager
    def gracefully(self, ask: Callable[[], object]) -> Iterator[None]:
        """Within it the first signal calls `ask`, from wherever the main thread is, and nothing more."""
        self._ask = ask
        try:
            if self._received:  # and what it raised was lost: an exception within a destructor is
                ask()
            yield
        finally:
            self._ask = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            try:
                self.at_once()
            finally:
                os._exit(_AT_ONCE_EXIT)
        self._received = True
        if self._ask is None:
            raise SystemExit(0)
        self._ask()

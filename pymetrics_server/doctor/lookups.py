"""A loop on which names that do not resolve hold up neither addresses nor the end.

asyncio looks everything up in one small pool of threads, addresses too, and waits for each thread at its end: a resolver
that takes half a minute to say no would make every node look as lost as its own.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_AT_ONCE = 256


class LookupLoop(asyncio.SelectorEventLoop):
    """Each name is looked up in a thread of its own, which nobody waits for when it is not needed any more."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> list[Any]:
        hints = {"family": 0, "type": 0, "proto": 0, "flags": 0} | hints
        try:
            numeric = hints | {"flags": hints["flags"] | socket.AI_NUMERICHOST}
            return socket.getaddrinfo(host, port, **numeric)  # without asking anybody
        except socket.gaierror:
            pass
        found: asyncio.Future[list[Any]] = self.create_future()
        if not self._turns.acquire(blocking=False):
            raise socket.gaierror(socket.EAI_AGAIN, f"{_AT_ONCE} other names are not resolved yet")
        thread = threading.Thread(
            target=self._look_up, args=(host, port, hints, found), name=f"look up {host}", daemon=True
        )
        thread.start()
        return await found

    def _look_up(
        self, host: Any, port: Any, hints: dict[str, int], found: "asyncio.Future[list[Any]]"
    ) -> None:
        tell: Callable[[], None]
        try:
            addresses = socket.getaddrinfo(host, port, **hints)
        except Exception as err:  # it is whoever asked who is to hear of it
            error = err

            def tell() -> None:
                if not found.done():
                    found.set_exception(error)
        else:

            def tell() -> None:
                if not found.done():
                    found.set_result(addresses)
        finally:
            self._turns.release()
        with suppress(RuntimeError):  # the loop is closed
            self.call_soon_threadsafe(tell)

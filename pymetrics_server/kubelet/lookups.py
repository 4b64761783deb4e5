"""The addresses of a host, looked up beside the loop: what a resolver keeps waiting holds up no other host, and does not
pile up.

A loop has one small pool of threads for it, where lookups go on for as long as they like after nobody waits for them any
more; uvloop even takes connecting to an address through there. Once many nodes fail at a time, the names that they are
asked by next are looked up, and with a resolver that is slow to deny them no node was reached any more, for good.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

#: (family, type, protocol, canonical name, socket address), as socket.getaddrinfo has it.
AddressInfo = tuple[Any, Any, int, str, Any]
_Wanted = tuple[Any, Any, tuple[tuple[str, int], ...]]

_AT_ONCE = 256
_KEPT = 2  # threads that wait for work; each that comes anew takes memory of its own


class Lookups:
    """In threads that nobody waits for at the end, as many as there are names to look up; once at a time, however many ask
    for one."""

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._under_way: dict[_Wanted, asyncio.Future[list[AddressInfo]]] = {}
        self._threads = 0  # that are to go on
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None ends a thread

    async def addresses(self, host: Any, port: Any, **hints: int) -> list[AddressInfo]:
        """`hints` are socket.getaddrinfo's. Raises OSError or ValueError, as that does."""
        try:
            numeric = hints | {"flags": hints.get("flags", 0) | socket.AI_NUMERICHOST}
            return socket.getaddrinfo(host, port, **numeric)  # without asking anybody
        except socket.gaierror:
            pass
        wanted = (host, port, tuple(sorted(hints.items())))
        found = self._under_way.get(wanted)
        if found is None:
            if len(self._under_way) >= self._at_once:
                raise socket.gaierror(socket.EAI_AGAIN, f"{self._at_once} other names are not resolved yet")
            found = self._under_way[wanted] = self._begun(wanted)
        await asyncio.wait(
            [found]
        )  # shielded it would complain, from Python 3.14 on, of askers who have left
        return found.result()

    def close(self) -> None:
        """For good."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = 0

    def _begun(self, wanted: _Wanted) -> "asyncio.Future[list[AddressInfo]]":
        if self._threads <= len(self._under_way):
            thread = threading.Thread(target=_work_off, args=(self._work,), name="lookups", daemon=True)
            try:
                thread.start()
            except RuntimeError as err:  # no more of them
                raise socket.gaierror(socket.EAI_AGAIN, str(err)) from err
            self._threads += 1
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[AddressInfo]] = loop.create_future()
        found.add_done_callback(lambda found: self._ended(wanted, found))
        self._work.put(lambda: _look_up(wanted, found, loop))
        return found

    def _ended(self, wanted: _Wanted, found: "asyncio.Future[list[AddressInfo]]") -> None:
        del self._under_way[wanted]
        found.exception()  # whoever asked may have left
        if self._threads - len(self._under_way) > _KEPT:
            self._threads -= 1
            self._work.put(None)


def _work_off(work: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (look_up := work.get()) is not None:
        look_up()


def _look_up(
    wanted: _Wanted, found: "asyncio.Future[list[AddressInfo]]", loop: asyncio.AbstractEventLoop
) -> None:
    host, port, hints = wanted
    tell: Callable[[], None]
    try:
        addresses = socket.getaddrinfo(host, port, **dict(hints))
    except Exception as err:  # it is whoever asked who is to hear of it
        error = err

        def tell() -> None:
            found.set_exception(error)
    else:

        def tell() -> None:
            found.set_result(addresses)

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(tell)

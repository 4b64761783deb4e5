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
from typing import Any

#: (family, type, protocol, canonical name, socket address), as socket.getaddrinfo has it.
AddressInfo = tuple[Any, Any, int, str, Any]
_Wanted = tuple[Any, Any, tuple[tuple[str, int], ...]]

_AT_ONCE = 256


class Lookups:
    """Each name is looked up in a thread of its own, which nobody waits for at the end; once at a time, however many ask."""

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._under_way: dict[_Wanted, asyncio.Future[list[AddressInfo]]] = {}

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
        return await asyncio.shield(found)

    def _begun(self, wanted: _Wanted) -> "asyncio.Future[list[AddressInfo]]":
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[AddressInfo]] = loop.create_future()

        def ended(found: "asyncio.Future[list[AddressInfo]]") -> None:
            self._under_way.pop(wanted, None)
            if not found.cancelled():
                found.exception()  # whoever asked may have left

        found.add_done_callback(ended)
        host, port, hints = wanted
        try:
            threading.Thread(
                target=_look_up,
                args=(host, port, dict(hints), found, loop),
                name=f"look up {host}",
                daemon=True,
            ).start()
        except RuntimeError as err:  # no more threads
            raise socket.gaierror(socket.EAI_AGAIN, str(err)) from err
        return found


def _look_up(
    host: Any,
    port: Any,
    hints: dict[str, int],
    found: "asyncio.Future[list[AddressInfo]]",
    loop: asyncio.AbstractEventLoop,
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

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(tell)

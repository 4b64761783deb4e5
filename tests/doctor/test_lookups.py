import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pymetrics_server.doctor import lookups
from pymetrics_server.doctor.lookups import LookupLoop


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Says nothing of names until it is set."""
    real, answers = socket.getaddrinfo, threading.Event()

    def look_up(host: Any, port: Any, **hints: Any) -> Any:
        if not hints["flags"] & socket.AI_NUMERICHOST:
            assert answers.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, port, **hints)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield answers
    answers.set()


def test_addresses_do_not_wait_for_names_and_neither_does_the_end(resolver: threading.Event) -> None:
    async def look() -> list[Any]:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await loop.getaddrinfo("node-1", 10250)
        return await loop.getaddrinfo("127.0.0.1", 10250, type=socket.SOCK_STREAM)

    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        found = runner.run(look())
    assert [address for *_, address in found] == [("127.0.0.1", 10250)]
    assert not resolver.is_set()


def test_a_name_that_does_not_exist_is_told_to_who_asked(resolver: threading.Event) -> None:
    resolver.set()

    async def look() -> None:
        await asyncio.get_running_loop().getaddrinfo("node-1", 10250)

    with asyncio.Runner(loop_factory=LookupLoop) as runner, pytest.raises(socket.gaierror, match="not known"):
        runner.run(look())


def test_names_that_hang_are_bounded(resolver: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_AT_ONCE", 1)

    async def look() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.get_running_loop().getaddrinfo("node-1", 10250)
        await asyncio.get_running_loop().getaddrinfo("node-2", 10250)

    with (
        asyncio.Runner(loop_factory=LookupLoop) as runner,
        pytest.raises(socket.gaierror, match="not resolved yet"),
    ):
        runner.run(look())


def test_a_name_of_this_machine_is_found() -> None:
    async def look() -> list[Any]:
        return await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)

    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        assert runner.run(look())

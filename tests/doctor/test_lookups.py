import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pymetrics_server.doctor.lookups import LookupLoop


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Says nothing of names until it is set."""
    real, answers = socket.getaddrinfo, threading.Event()

    def look_up(host: Any, port: Any, **hints: Any) -> Any:
        if not hints.get("flags", 0) & socket.AI_NUMERICHOST:
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

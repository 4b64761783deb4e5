"""What a resolver does not answer holds up nobody but whoever asked."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from pymetrics_server.kubelet.connection import KubeletConnection
from pymetrics_server.kubelet.lookups import Lookups
from pymetrics_server.kubelet.turns import Turns


class Resolver:
    """Says nothing of names until it `answers`, and then that there are none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.asked: Counter[str] = Counter()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, **hints: Any) -> Any:
        if not hints.get("flags", 0) & socket.AI_NUMERICHOST:
            self.asked[host] += 1
            assert self.answers.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._real(host, port, **hints)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    found = Resolver(monkeypatch)
    yield found
    found.answers.set()


async def given_up(lookups: Lookups, name: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await lookups.addresses(name, 10250)


async def test_an_address_is_told_while_hundreds_of_names_hang(resolver: Resolver) -> None:
    lookups = Lookups()
    await asyncio.gather(*(given_up(lookups, f"node-{i}") for i in range(100)))
    found = await lookups.addresses("127.0.0.1", 10250, type=socket.SOCK_STREAM)
    assert [address for *_, address in found] == [("127.0.0.1", 10250)]
    assert not resolver.answers.is_set()


async def test_a_name_that_hangs_is_looked_up_once_however_often_it_is_asked_for(resolver: Resolver) -> None:
    lookups = Lookups()
    for _ in range(5):
        await given_up(lookups, "node-1")
    assert resolver.asked == {"node-1": 1}
    resolver.answers.set()
    for _ in range(2):  # who asks while it is under way, and who asks later
        with pytest.raises(socket.gaierror, match="not known"):
            await lookups.addresses("node-1", 10250)
    assert resolver.asked["node-1"] == 2


async def test_of_a_name_that_nobody_waits_for_any_more_nothing_is_complained(resolver: Resolver) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    lookups = Lookups()
    await given_up(lookups, "node-1")
    waiting = asyncio.create_task(lookups.addresses("node-1", 10250))
    resolver.answers.set()
    with pytest.raises(socket.gaierror, match="not known"):
        await waiting
    await asyncio.sleep(0)
    assert complaints == []


async def test_names_that_hang_are_bounded(resolver: Resolver) -> None:
    lookups = Lookups(at_once=1)
    await given_up(lookups, "node-1")
    with pytest.raises(socket.gaierror, match="1 other names are not resolved yet"):
        await lookups.addresses("node-2", 10250)
    assert resolver.asked == {"node-1": 1}


async def test_without_threads_left_a_name_is_not_resolved(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lookups = Lookups()
    with monkeypatch.context() as out_of_threads:
        out_of_threads.setattr(threading.Thread, "start", start)
        with pytest.raises(socket.gaierror, match="can't start new thread"):
            await lookups.addresses("node-1", 10250)
    resolver.answers.set()
    with pytest.raises(socket.gaierror, match="not known"):
        await lookups.addresses("node-1", 10250)


def threads() -> int:
    return sum(thread.name == "lookups" for thread in threading.enumerate())


async def test_threads_are_as_many_as_names_hang_and_two_afterwards(resolver: Resolver) -> None:
    before = threads()
    lookups = Lookups()
    for _ in range(2):
        await asyncio.gather(*(given_up(lookups, f"node-{i}") for i in range(20)))
        assert threads() - before == 20
    resolver.answers.set()
    async with asyncio.timeout(30):
        while threads() - before > 2:  # noqa: ASYNC110  threads tell nobody
            await asyncio.sleep(0.01)
        for _ in range(5):
            with pytest.raises(socket.gaierror, match="not known"):
                await lookups.addresses("node-1", 10250)
        assert threads() - before == 2
        lookups.close()
        while threads() > before:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)


async def test_a_name_of_this_machine_is_found() -> None:
    assert await Lookups().addresses("localhost", 80, type=socket.SOCK_STREAM)


async def test_a_host_that_is_no_name_is_told_to_who_asked() -> None:
    with pytest.raises((OSError, ValueError)):
        await Lookups().addresses("a" * 70 + ".example\0", 80)


def test_connecting_to_an_address_asks_the_loop_to_look_nothing_up() -> None:
    """uvloop's own way does, in the same few threads in which names may hang."""

    class Loop(uvloop.Loop):
        async def getaddrinfo(self, *_: object, **__: object) -> Any:
            raise AssertionError("the loop was asked to look something up")

    async def connect() -> None:
        with socket.create_server(("127.0.0.1", 0)) as kubelet:
            port = kubelet.getsockname()[1]
            connection = await KubeletConnection.open(
                "127.0.0.1", port, None, "127.0.0.1", 5, lookups=Lookups(), turns=Turns(1)
            )
            connection.close()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(connect())

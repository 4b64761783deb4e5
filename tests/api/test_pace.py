"""Long answers leave the loop to small requests: between two of their steps one is answered, all its turns long."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from pymetrics_server.api.encode import Template
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.metrics import Metrics
from pymetrics_server.api.negotiation import Representation
from pymetrics_server.api.pace import DeadlineError, before
from pymetrics_server.api.reply import Reply
from pymetrics_server.api.request import parse_target
from pymetrics_server.api.send import CHUNK_BYTES, send
from pymetrics_server.api.shelf import Entry
from pymetrics_server.telemetry import Telemetry
from tests.api.world import V1BETA1
from tests.fakes.clock import FakeClock

_TURNS_OF_A_SMALL_REQUEST = 3


class Turns:
    """Of the loop, counted; and in which of them steps were taken."""

    def __init__(self) -> None:
        self._now = 0
        self._steps: list[int] = []
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._now += 1
        asyncio.get_running_loop().call_soon(self._next)

    def step(self) -> None:
        self._steps.append(self._now)

    @property
    def between(self) -> list[int]:
        return [after - before for before, after in zip(self._steps, self._steps[1:], strict=False)]


class Long:
    """A Collection that takes five steps to look at."""

    kind, resource = "Pod", "pods"

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def select(
        self, namespace: str, options: ListOptions, mono_ns: int
    ) -> Iterator[Sequence[Entry[Any, Any]]]:
        for _ in range(5):
            self._turns.step()
            yield ()

    def get(self, namespace: str, name: str, mono_ns: int) -> Entry[Any, Any]:
        raise NotImplementedError

    def template(self, entry: Entry[Any, Any]) -> Template:
        raise NotImplementedError

    def json(self, entry: Entry[Any, Any], created_s: int) -> bytes:
        raise NotImplementedError

    def protobuf(self, entry: Entry[Any, Any], created_s: int) -> bytes:
        raise NotImplementedError


async def test_between_the_portions_of_a_list() -> None:
    turns = Turns()
    metrics = Metrics(Long(turns), Telemetry(CollectorRegistry(), 15, per_node=False), FakeClock())
    await metrics.list(parse_target("GET", f"{V1BETA1}/pods"), Representation())
    whether_there_is_a_second, *between = turns.between
    assert whether_there_is_a_second == 0
    assert len(between) == 3
    assert min(between) >= _TURNS_OF_A_SMALL_REQUEST


async def test_between_the_chunks_of_a_body() -> None:
    turns = Turns()

    class Writer:
        """Takes all that is written at once."""

        transport, length, output_size = None, None, 0

        async def write(self, chunk: bytes) -> None:
            turns.step()

        async def write_headers(self, *_: object) -> None: ...
        async def write_eof(self, chunk: bytes = b"") -> None: ...
        def send_headers(self) -> None: ...

    request = make_mocked_request("GET", "/", writer=Writer())
    reply = Reply([bytes(CHUNK_BYTES)] * 5)
    response = await send(request, reply, {}, accept_encoding="")
    assert isinstance(response, web.StreamResponse)
    assert len(turns.between) == 4
    assert min(turns.between) >= _TURNS_OF_A_SMALL_REQUEST


async def _for_long() -> str:
    await asyncio.sleep(0)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        raise
    return "late"


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_deadline_ends_what_waits_for_others() -> None:
    with pytest.raises(DeadlineError):
        await before(_in(0.01), _for_long())


async def test_what_is_there_in_time_is_returned_however_often_it_waited() -> None:
    async def in_turns() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        with suppress(TimeoutError):
            await asyncio.wait_for(_for_long(), 0.01)
        return "in time"

    assert await before(_in(3600), in_turns()) == "in time"


async def test_a_timeout_that_is_not_the_deadlines_is_not_taken_for_it() -> None:
    with pytest.raises(TimeoutError):
        await before(_in(3600), asyncio.wait_for(_for_long(), 0.01))


async def test_a_client_that_leaves_ends_what_is_done_for_it() -> None:
    task = asyncio.create_task(before(_in(3600), _for_long()), name="answering")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_waits_for_nobody_is_answered_without_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once() -> str:
        return "at once"

    monkeypatch.setattr(asyncio, "timeout_at", None)
    assert await before(_in(3600), at_once()) == "at once"

"""Questions to kube-apiserver: answers are kept for a while, and who asks the same at once shares one answer."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from pymetrics_server.auth.ttlcache import TtlCache
from pymetrics_server.clock import Clock

#: Whoever asks with made-up tokens must not take every socket; a kube-apiserver in order answers in milliseconds.
_MAX_AT_ONCE = 100

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _UnderWay(Generic[V]):
    task: asyncio.Task[V]
    waiting = 0
    has_slot = False


class Lookups(Generic[K, V]):
    """`ttl_ns(answer)` says how long an answer is kept: 0 is not at all. Errors are never kept."""

    def __init__(self, name: str, ttl_ns: Callable[[V], int], clock: Clock, max_entries: int) -> None:
        self._name = name
        self._ttl_ns = ttl_ns
        self._clock = clock
        self._answers: TtlCache[K, V] = TtlCache(max_entries)
        self._under_way: dict[K, _UnderWay[V]] = {}
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def get(self, key: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """`ask` runs as a task of its own, so that the first to ask may leave without taking the answer along. Where
        all have left before its turn came, nothing is asked: who leaves at once must not queue up questions.
        """
        kept = self._answers.get(key, self._clock.monotonic_ns())
        if kept is not None:
            return kept
        asked = self._under_way.get(key)
        if asked is None:
            asked = self._under_way[key] = self._begun(key, ask)
        asked.waiting += 1
        try:
            await asyncio.wait([asked.task])
        finally:
            asked.waiting -= 1
            if not asked.waiting and not asked.has_slot:
                self._forget(key, asked)
                asked.task.cancel()
        return asked.task.result()

    async def get_anew(self, ask: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Neither from what is kept nor to be kept; one of at most a hundred that are asked at once."""
        async with self._slots:
            return await ask()

    async def close(self) -> None:
        tasks = [asked.task for asked in self._under_way.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begun(self, key: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> _UnderWay[V]:
        asked: _UnderWay[V] = _UnderWay()

        async def with_slot() -> V:
            asked.has_slot = True
            return await ask()

        asked.task = asyncio.create_task(self.get_anew(with_slot), name=self._name)
        asked.task.add_done_callback(lambda done: self._done(key, asked, done))
        return asked

    def _forget(self, key: K, asked: _UnderWay[V]) -> None:
        if self._under_way.get(key) is asked:
            del self._under_way[key]

    def _done(self, key: K, asked: _UnderWay[V], task: asyncio.Task[V]) -> None:
        self._forget(key, asked)
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        ttl_ns = self._ttl_ns(answer)
        if ttl_ns > 0:
            self._answers.put(key, answer, self._clock.monotonic_ns() + ttl_ns)

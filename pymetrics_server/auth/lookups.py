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


class Lookups(Generic[K, V]):
    """`ttl_ns(answer)` says how long an answer is kept: 0 is not at all. Errors are never kept."""

    def __init__(self, name: str, ttl_ns: Callable[[V], int], clock: Clock, max_entries: int) -> None:
        self._name = name
        self._ttl_ns = ttl_ns
        self._clock = clock
        self._answers: TtlCache[K, V] = TtlCache(max_entries)
        self._under_way: dict[K, asyncio.Task[V]] = {}
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def get(self, key: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """`ask` runs as a task of its own, so that the first to ask may leave without taking the answer along."""
        kept = self._answers.get(key, self._clock.monotonic_ns())
        if kept is not None:
            return kept
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self.get_anew(ask), name=self._name)
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        await asyncio.wait([task])
        return task.result()

    async def get_anew(self, ask: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Neither from what is kept nor to be kept; one of at most a hundred that are asked at once."""
        async with self._slots:
            return await ask()

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, key: K, task: asyncio.Task[V]) -> None:
        del self._under_way[key]
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        ttl_ns = self._ttl_ns(answer)
        if ttl_ns > 0:
            self._answers.put(key, answer, self._clock.monotonic_ns() + ttl_ns)

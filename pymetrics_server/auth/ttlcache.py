"""A bounded map whose entries end: the one used least recently goes first. Time is an argument."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """An entry lives up to, and not at, `expires_ns` of whichever clock the caller keeps to. None is no value."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now_ns: int) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires_ns = entry
        if now_ns >= expires_ns:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, expires_ns: int) -> None:
        self._entries[key] = (value, expires_ns)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

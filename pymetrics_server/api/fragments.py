"""Encoded items, kept while the sample and the object behind them stay the same.

An entry is valid as long as usage and labels are the identical objects, which it holds, so that no other
object can take their identity. What has vanished is swept a few entries at a time, whenever one is encoded:
no request pays for a whole sweep, and no more than about twice of what exists is ever kept.
"""

from collections.abc import Callable, Iterator
from itertools import islice

_SWEPT_PER_ENCODED = 2

Key = tuple[str, str]  # (namespace, name); ("", name) for a node


class _Entry:
    """One object in the forms that were asked for, as of one sample."""

    __slots__ = ("items", "labels", "usage")

    def __init__(self, usage: object, labels: object) -> None:
        self.usage, self.labels = usage, labels
        self.items: list[bytes | None] = [None, None]


class Fragments:
    """`exists` tells whether the object of a key is still listed."""

    def __init__(self, exists: Callable[[Key], bool]) -> None:
        self._exists = exists
        self._entries: dict[Key, _Entry] = {}
        self._unswept: Iterator[Key] = iter(())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, form: int, usage: object, labels: object, encode: Callable[[], bytes]) -> bytes:
        """The item's bytes in one of two forms, 0 or 1; `encode` is called where none are kept for this usage and
        these labels."""
        entry = self._entries.get(key)
        if entry is None or entry.usage is not usage or entry.labels is not labels:
            entry = self._entries[key] = _Entry(usage, labels)
            self._sweep()
        item = entry.items[form]
        if item is None:
            item = entry.items[form] = encode()
        return item

    def drop(self, key: Key) -> None:
        """The object is there, its usage is not."""
        self._entries.pop(key, None)

    def _sweep(self) -> None:
        swept = 0
        for key in islice(self._unswept, _SWEPT_PER_ENCODED):
            swept += 1
            if not self._exists(key):
                self._entries.pop(key, None)
        if swept < _SWEPT_PER_ENCODED:
            self._unswept = iter(tuple(self._entries))

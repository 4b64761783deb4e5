"""Encoded items, kept while the sample and the object behind them stay the same.

An entry is valid as long as usage and metadata are the identical objects, which it holds, so that no
other object can take their identity. Entries of what has vanished go with the next full list, or once the
cache has doubled since it was last swept.
"""

from collections.abc import Callable, Iterable

_SWEPT_AT_LEAST = 1024

Key = tuple[str, str]  # (namespace, name); ("", name) for a node


class Fragments:
    """`exists` tells whether the object of a key is still listed."""

    def __init__(self, exists: Callable[[Key], bool]) -> None:
        self._exists = exists
        self._entries: dict[Key, tuple[object, object, bytes]] = {}
        self._sweep_above = _SWEPT_AT_LEAST

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, usage: object, meta: object, encode: Callable[[], bytes]) -> bytes:
        """The item's bytes; `encode` is called where none are kept for this usage and metadata."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] is usage and entry[1] is meta:
            return entry[2]
        item = encode()
        self._entries[key] = (usage, meta, item)
        if len(self._entries) > self._sweep_above:
            self._keep(key for key in self._entries if self._exists(key))
        return item

    def drop(self, key: Key) -> None:
        """The object is there, its usage is not."""
        self._entries.pop(key, None)

    def retain(self, listed: int) -> None:
        """A full list has just read `listed` items: where more are kept, some have vanished."""
        if len(self._entries) > listed:
            self._keep(key for key in self._entries if self._exists(key))

    def _keep(self, keys: Iterable[Key]) -> None:
        self._entries = {key: self._entries[key] for key in keys}
        self._sweep_above = max(_SWEPT_AT_LEAST, 2 * len(self._entries))

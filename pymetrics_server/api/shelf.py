"""What can be served of one collection, in order, and beside each object the bytes that were made of it.

Bytes are made when they are first asked for, and kept until a newer sample or another version of the object
comes: a list of what did not change is one look at each entry and a join. Nothing is told to this room; a
lister's snapshot that is another object means that objects changed, a Validity that ended that usage did.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

import msgspec

from pymetrics_server.api.encode import Template
from pymetrics_server.meta.usage import NEVER, Validity

_LABELS_INDEXED = 8  # keys, of a namespace: an autoscaler asks by one or two
_LOOKED_AT_PER_NAMESPACE = 2
#: Entries whose usage is asked for, and whose bytes are made, in one turn of the loop: a millisecond.
_ANEW_AT_A_TIME = 64


class Listed(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


class Stamped(Protocol):
    @property
    def timestamp_ns(self) -> int: ...


O = TypeVar("O", bound=Listed)  # noqa: E741  the object: Node or PodMeta
U = TypeVar("U", bound=Stamped)  # its usage


class Entry(msgspec.Struct, Generic[O, U], eq=False, gc=False):
    """One object. What is known, and the bytes, hold while `validity` does; bytes are None until they are made.
    `template` is what of its JSON outlives a sample."""

    object: O
    validity: Validity = NEVER
    known: U | None = None
    stamp_ns: int = 0
    template: Template | None = None
    json: bytes | None = None  # the item of a list
    protobuf: bytes | None = None
    row: bytes | None = None  # of a v1 Table, with the object's metadata

    @property
    def usage(self) -> U:
        """Of an entry that is handed out."""
        if self.known is None:
            raise ValueError(f"{self.object.name} has no usage")
        return self.known

    def take(self, usage: U | None, validity: Validity) -> None:
        if usage is not self.known:
            self.known = usage
            self.stamp_ns = 0 if usage is None else usage.timestamp_ns
            self.json = self.protobuf = self.row = None
        self.validity = NEVER if usage is None else validity


class Shown(Generic[O, U]):
    """Entries in order, and which of them have a label."""

    def __init__(self, snapshot: Sequence[O], entries: Sequence[Entry[O, U]]) -> None:
        """`entries` stand for the objects of `snapshot`, or for some of them."""
        self.snapshot = snapshot
        self.entries = entries
        self._by_label: dict[str, dict[str, list[Entry[O, U]]]] = {}

    def having(self, key: str, value: str) -> Sequence[Entry[O, U]]:
        found = self._by_label.get(key)
        if found is None:
            if len(self._by_label) >= _LABELS_INDEXED:
                self._by_label.clear()
            found = self._by_label[key] = {}
            for entry in self.entries:
                if (has := entry.object.labels.get(key)) is not None:
                    found.setdefault(has, []).append(entry)
        return found.get(value, ())


class Shelf(Generic[O, U]):
    """`objects(namespace)` are sorted by name, and the identical sequence until one of them changes; those that are
    not `listed` are left out of lists. `usage` and `validity` are asked of an object, at a monotonic instant.
    """

    def __init__(
        self,
        objects: Callable[[str], Sequence[O]],
        usage: Callable[[O, int], U | None],
        validity: Callable[[O], Validity],
        listed: Callable[[O], bool] = lambda _: True,
    ) -> None:
        self._objects = objects
        self._usage = usage
        self._validity = validity
        self._listed = listed
        self._namespaces: dict[str, Shown[O, U]] = {}
        self._entries: dict[str, dict[str, Entry[O, U]]] = {}  # namespace -> name
        self._everything: Shown[O, U] = Shown((), ())
        self._unswept: Iterator[str] = iter(())

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def entry(self, namespace: str, found: O) -> Entry[O, U]:
        """Of an object that the lister has; one that is kept, where it was listed before."""
        entry = self._entries.get(namespace, {}).get(found.name)
        return entry if entry is not None and entry.object is found else Entry(found)

    def of_namespace(self, namespace: str) -> Shown[O, U]:
        snapshot = self._objects(namespace)
        shown = self._namespaces.get(namespace)
        if shown is not None and shown.snapshot is snapshot:
            return shown
        if not snapshot:  # names can be made up
            self._drop(namespace)
            return Shown((), ())
        if shown is None:
            self._sweep()
        kept = self._entries.get(namespace, {})
        entries: dict[str, Entry[O, U]] = {}
        for found in filter(self._listed, snapshot):
            entry = kept.get(found.name)
            entries[found.name] = entry if entry is not None and entry.object is found else Entry(found)
        self._entries[namespace] = entries
        shown = self._namespaces[namespace] = Shown(snapshot, tuple(entries.values()))
        return shown

    def of_all(self, snapshot: Sequence[O], namespaces: Callable[[], Sequence[str]]) -> Shown[O, U]:
        """`snapshot` is of all namespaces; `namespaces` sorts theirs, and is asked only where it is another one."""
        if self._everything.snapshot is not snapshot:
            shown = [self.of_namespace(namespace) for namespace in namespaces()]
            self._everything = Shown(snapshot, tuple(entry for each in shown for entry in each.entries))
        return self._everything

    def present(self, entries: Sequence[Entry[O, U]], mono_ns: int) -> Sequence[Entry[O, U]]:
        """Those that have usage now."""
        return self._renewed(entries, _stale(entries, mono_ns), mono_ns)

    def portions(self, entries: Sequence[Entry[O, U]], mono_ns: int) -> Iterable[Sequence[Entry[O, U]]]:
        """The same, in as many steps as what is stale of them takes."""
        stale = _stale(entries, mono_ns)
        if len(stale) <= _ANEW_AT_A_TIME:
            return (self._renewed(entries, stale, mono_ns),)
        return (
            self.present(entries[start : start + _ANEW_AT_A_TIME], mono_ns)
            for start in range(0, len(entries), _ANEW_AT_A_TIME)
        )

    def _renewed(
        self, entries: Sequence[Entry[O, U]], stale: Sequence[Entry[O, U]], mono_ns: int
    ) -> Sequence[Entry[O, U]]:
        for entry in stale:
            entry.take(self._usage(entry.object, mono_ns), self._validity(entry.object))
        if any(entry.known is None for entry in stale):
            return [entry for entry in entries if entry.known is not None]
        return entries

    def _sweep(self) -> None:
        """Namespaces go without being asked for again: with each that comes, some are looked at."""
        looked_at = 0
        for namespace in islice(self._unswept, _LOOKED_AT_PER_NAMESPACE):
            looked_at += 1
            if not self._objects(namespace):
                self._drop(namespace)
        if looked_at < _LOOKED_AT_PER_NAMESPACE:
            self._unswept = iter(tuple(self._namespaces))

    def _drop(self, namespace: str) -> None:
        self._namespaces.pop(namespace, None)
        self._entries.pop(namespace, None)


def _stale(entries: Sequence[Entry[O, U]], mono_ns: int) -> Sequence[Entry[O, U]]:
    return [entry for entry in entries if entry.validity.until_ns < mono_ns]

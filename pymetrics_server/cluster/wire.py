"""Kubernetes' JSON of lists and watch events, decoded into only the fields that somebody reads.

Every field may be null or absent. An object that does not decode costs itself, not its list.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from pymetrics_server.errors import ApiserverError
from pymetrics_server.log import Logger

log = Logger(__name__)

#: Above this, objects are decoded one by one, so that other tasks have their turn in between.
_AT_ONCE_BYTES = 4 << 20

#: What decoding raises: of no JSON or another shape, of text that is no UTF-8, of nesting without an end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

W = TypeVar("W")
T = TypeVar("T")


class ObjectMeta(msgspec.Struct):
    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _ListMeta(msgspec.Struct):
    resource_version: str | None = msgspec.field(name="resourceVersion", default=None)
    continue_: str | None = msgspec.field(name="continue", default=None)


class _List(msgspec.Struct, Generic[W]):
    metadata: _ListMeta | None = None
    items: list[W] | None = None


class _Versioned(msgspec.Struct):
    metadata: _ListMeta | None = None


class Event(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class Page(msgspec.Struct, Generic[T]):
    """Part of a list. `items` are decoded while they are walked."""

    resource_version: str
    continue_token: str
    items: Iterator[T]


_raw_list = msgspec.json.Decoder(_List[msgspec.Raw])
_versioned = msgspec.json.Decoder(_Versioned)
_event = msgspec.json.Decoder(Event)


class Shape(Generic[W, T]):
    """How one kind of object is read: `wire` is what to decode, `convert` makes of it what is kept, or None."""

    def __init__(self, wire: type[W], convert: Callable[[W], T | None]) -> None:
        self._convert = convert
        self._one: msgspec.json.Decoder[W] = msgspec.json.Decoder(wire)
        self._list: msgspec.json.Decoder[_List[W]] = msgspec.json.Decoder(_List[wire])  # type: ignore[valid-type]

    def page(self, body: bytes) -> Page[T]:
        """Raises ApiserverError where the body is no list at all."""
        if len(body) <= _AT_ONCE_BYTES:
            try:
                typed = self._list.decode(body)
            except UNREADABLE:
                pass  # one of them is odd: find out which
            else:
                return _page(typed, self._converted(typed.items or []))
        try:
            raw = _raw_list.decode(body)
        except UNREADABLE as err:
            raise ApiserverError(f"kube-apiserver answered with what is no list: {err}") from err
        return _page(raw, (found for item in raw.items or [] if (found := self.one(item)) is not None))

    def one(self, body: bytes | msgspec.Raw) -> T | None:
        """None, and a line in the log, where the object does not decode."""
        try:
            return self._convert(self._one.decode(body))
        except UNREADABLE as err:
            log.warning("Skipping an object that does not decode", err=str(err), object=bytes(body)[:200])
            return None

    def _converted(self, items: list[W]) -> Iterator[T]:
        return (found for item in items if (found := self._convert(item)) is not None)


def event(line: bytes) -> Event:
    """Raises ApiserverError."""
    try:
        return _event.decode(line)
    except UNREADABLE as err:
        raise ApiserverError(f"kube-apiserver sent what is no watch event: {err}") from err


def resource_version(body: msgspec.Raw) -> str:
    """ "" where there is none to be found."""
    try:
        metadata = _versioned.decode(body).metadata
    except UNREADABLE:
        return ""
    return (metadata.resource_version if metadata else None) or ""


def _page(found: _List[W], items: Iterator[T]) -> Page[T]:
    metadata = found.metadata or _ListMeta()
    return Page(metadata.resource_version or "", metadata.continue_ or "", items)

"""Get and list of one collection, in the representation that was negotiated."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.collection import Collection
from pymetrics_server.api.encode import META_GROUP
from pymetrics_server.api.listoptions import (
    check_get_options,
    parse_include_object,
    parse_list_options,
)
from pymetrics_server.api.lists import Head, list_writer
from pymetrics_server.api.negotiation import PROTOBUF, Representation
from pymetrics_server.api.pace import step_aside
from pymetrics_server.api.reply import Reply, encoded_reply
from pymetrics_server.api.request import Target
from pymetrics_server.api.shelf import Entry
from pymetrics_server.api.table import TableRows
from pymetrics_server.clock import Clock
from pymetrics_server.meta.status import METRICS_GROUP, not_acceptable_object
from pymetrics_server.telemetry import Telemetry

_Entry = Entry[Any, Any]
_OBSERVED_AT_A_TIME = 500  # stamps, in one turn of the loop
_stamp_ns = attrgetter("stamp_ns")
_Write = Callable[[Sequence[_Entry]], list[bytes]]


class Metrics:
    def __init__(self, collection: Collection, telemetry: Telemetry, clock: Clock) -> None:
        self._collection = collection
        self._telemetry = telemetry
        self._clock = clock

    def get(self, target: Target, representation: Representation) -> Reply:
        """Raises StatusError."""
        check_get_options(target.query)
        collection = self._collection
        rows = _rows(representation)
        write = None if rows is None else self._row_writer(target, rows)
        found = collection.get(target.namespace, target.name, self._clock.monotonic_ns())
        self._observe({found.stamp_ns: 1})
        if representation.transform == "PartialObjectMetadataList":
            raise not_acceptable_object(
                "you requested PartialObjectMetadataList, but the requested object is not a list "
                f"(*metrics.{collection.kind})"
            )
        if rows is None or write is None:
            return encoded_reply(self._alone(found, target, representation), representation)
        [row] = write([found])
        return encoded_reply(rows.head().to_json() + row + b"]}", representation)

    async def list(self, target: Target, representation: Representation) -> Reply:
        """Raises StatusError."""
        kind = self._collection.kind
        options = parse_list_options(target.query, self._collection.resource)
        if representation.transform == "PartialObjectMetadata":
            raise not_acceptable_object(
                f"you requested PartialObjectMetadata, but the requested object is a list (*metrics.{kind}List)"
            )
        rows = _rows(representation)
        if rows is not None:
            write = self._row_writer(target, rows)
        elif representation.transform:
            write = self._partial_writer(representation)
        else:
            write = self._fragment_writer(representation)
        writer = list_writer(representation)
        stamps_ns: Counter[int] = Counter()
        for number, found in enumerate(
            self._collection.select(target.namespace, options, self._clock.monotonic_ns())
        ):
            if number:
                await step_aside()
            writer.add(write(found))
            stamps_ns.update(map(_stamp_ns, found))
        if len(stamps_ns) > _OBSERVED_AT_A_TIME:
            await self._observe_many(stamps_ns)
        else:
            self._observe(stamps_ns)
        if rows is not None:
            return writer.finish(rows.head())
        if representation.transform:
            api_version = f"{META_GROUP}/{representation.version}"
            return writer.finish(Head(representation.transform, api_version, none=b"null"))
        return writer.finish(Head(f"{kind}List", f"{METRICS_GROUP}/{target.version}"))

    def _alone(self, found: _Entry, target: Target, representation: Representation) -> bytes:
        """A whole document: compact JSON without a newline, or protobuf."""
        kind, api_version = self._collection.kind, f"{METRICS_GROUP}/{target.version}"
        if representation.media_type != PROTOBUF:
            if representation.transform:
                template = self._collection.template(found)
                return encode.partial_object(representation.version, template, self._now_s())
            return encode.single(kind, api_version, self._collection.json(found, self._now_s()))
        fragment = self._collection.protobuf(found, self._now_s())
        if representation.transform:
            kind, api_version = representation.transform, f"{META_GROUP}/{representation.version}"
            fragment = protobuf.partial_fragment(fragment, representation.version)
        return b"".join(protobuf.envelope(kind, api_version, [protobuf.message_of(fragment)]))

    def _fragment_writer(self, representation: Representation) -> _Write:
        collection, now_s = self._collection, self._now_s()
        if representation.media_type == PROTOBUF:
            return lambda found: [e.protobuf or collection.protobuf(e, now_s) for e in found]
        return lambda found: [e.json or collection.json(e, now_s) for e in found]

    def _partial_writer(self, representation: Representation) -> _Write:
        collection, now_s = self._collection, self._now_s()
        version = representation.version
        if representation.media_type == PROTOBUF:
            return lambda found: [
                protobuf.partial_fragment(collection.protobuf(e, now_s), version) for e in found
            ]
        return lambda found: [encode.partial_object(version, collection.template(e), now_s) for e in found]

    def _row_writer(self, target: Target, rows: TableRows) -> _Write:
        """What kubectl asks for, v1 with metadata, is kept. Raises StatusError 400."""
        collection, now_s = self._collection, self._now_s()
        kind, api_version = collection.kind, f"{METRICS_GROUP}/{target.version}"
        included = parse_include_object(target.query)
        usual = included == "Metadata" and rows.meta_version == "v1"

        def row(entry: _Entry) -> bytes:
            if included == "None":
                embedded = b"null"
            elif included == "Object":
                embedded = encode.single(kind, api_version, collection.json(entry, now_s))
            else:
                embedded = encode.partial_object(rows.meta_version, collection.template(entry), now_s)
            written = rows.row(entry.object.name, entry.usage, embedded)
            if usual and rows.has_usage:
                entry.row = written
            return written

        def write(found: Sequence[_Entry]) -> list[bytes]:
            written: list[bytes] = []
            while len(written) < len(found) and not (usual and rows.has_usage):
                written.append(row(found[len(written)]))
            written += [entry.row or row(entry) for entry in found[len(written) :]]
            return written

        return write

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000

    async def _observe_many(self, stamps_ns: Mapping[int, int]) -> None:
        """In a list of all they are as many as there are nodes; leaves the loop free between batches."""
        counted = list(stamps_ns.items())
        for start in range(0, len(counted), _OBSERVED_AT_A_TIME):
            if start:
                await step_aside()
            self._observe(dict(counted[start : start + _OBSERVED_AT_A_TIME]))

    def _observe(self, stamps_ns: Mapping[int, int]) -> None:
        """How many of what is returned have each stamp. A pod without a sample has no age: it counts as older than
        every bucket."""
        now_ns = self._clock.now_ns()
        ages_s = {(now_ns - stamp_ns) / 1e9: count for stamp_ns, count in stamps_ns.items()}
        self._telemetry.observe_freshness(ages_s)


def _rows(representation: Representation) -> TableRows | None:
    return TableRows(representation.version) if representation.transform == "Table" else None

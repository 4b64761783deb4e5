"""Get and list of one collection, in the representation that was negotiated."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from pymetrics_server.api import encode, protobuf
from pymetrics_server.api.encode import META_GROUP
from pymetrics_server.api.listoptions import (
    ListOptions,
    check_get_options,
    parse_include_object,
    parse_list_options,
)
from pymetrics_server.api.lists import Head, list_writer
from pymetrics_server.api.negotiation import JSON, PROTOBUF, Representation
from pymetrics_server.api.reply import Reply, encoded_reply
from pymetrics_server.api.request import Target
from pymetrics_server.api.served import Collection, Served
from pymetrics_server.api.table import TableRows
from pymetrics_server.clock import Clock
from pymetrics_server.meta.status import METRICS_GROUP, not_acceptable_object
from pymetrics_server.telemetry import Telemetry

_Write = Callable[[Served], bytes]


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
        self._observe([found])
        if representation.transform == "PartialObjectMetadataList":
            raise not_acceptable_object(
                "you requested PartialObjectMetadataList, but the requested object is not a list "
                f"(*metrics.{collection.kind})"
            )
        if rows is None or write is None:
            return encoded_reply(self._alone(found, target, representation), representation)
        row = write(found)
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
        async for batch in self._batches(target, options, writer.batch):
            writer.add([write(found) for found in batch])
        if rows is not None:
            return writer.finish(rows.head())
        if representation.transform:
            api_version = f"{META_GROUP}/{representation.version}"
            return writer.finish(Head(representation.transform, api_version, none=b"null"))
        return writer.finish(Head(f"{kind}List", f"{METRICS_GROUP}/{target.version}"))

    async def _batches(
        self, target: Target, options: ListOptions, batch_size: int
    ) -> AsyncIterator[Sequence[Served]]:
        """Everything that the list returns; the loop runs between batches."""
        steps = self._collection.select(target.namespace, options, self._clock.monotonic_ns(), batch_size)
        for number, found in enumerate(steps):
            if number:
                await asyncio.sleep(0)
            self._observe(found)
            yield found

    def _alone(self, found: Served, target: Target, representation: Representation) -> bytes:
        """A whole document: compact JSON without a newline, or protobuf."""
        kind, api_version = self._collection.kind, f"{METRICS_GROUP}/{target.version}"
        if representation.media_type != PROTOBUF:
            fragment = self._collection.fragment(found, JSON, self._now_s())
            if representation.transform:
                return encode.partial_object(representation.version, fragment)
            return encode.single(kind, api_version, fragment)
        fragment = self._collection.fragment(found, PROTOBUF, self._now_s())
        if representation.transform:
            kind, api_version = representation.transform, f"{META_GROUP}/{representation.version}"
            fragment = protobuf.partial_fragment(fragment, representation.version)
        return b"".join(protobuf.envelope(kind, api_version, [protobuf.message_of(fragment)]))

    def _fragment_writer(self, representation: Representation) -> _Write:
        fragment, now_s = self._collection.fragment, self._now_s()
        media_type = PROTOBUF if representation.media_type == PROTOBUF else JSON
        return lambda found: fragment(found, media_type, now_s)

    def _partial_writer(self, representation: Representation) -> _Write:
        fragment, now_s = self._collection.fragment, self._now_s()
        version = representation.version
        if representation.media_type == PROTOBUF:
            return lambda found: protobuf.partial_fragment(fragment(found, PROTOBUF, now_s), version)
        return lambda found: encode.partial_object(version, fragment(found, JSON, now_s))

    def _row_writer(self, target: Target, rows: TableRows) -> _Write:
        """Raises StatusError 400."""
        fragment, now_s = self._collection.fragment, self._now_s()
        kind, api_version = self._collection.kind, f"{METRICS_GROUP}/{target.version}"
        included = parse_include_object(target.query)

        def write(found: Served) -> bytes:
            if included == "None":
                embedded = b"null"
            elif included == "Object":
                embedded = encode.single(kind, api_version, fragment(found, JSON, now_s))
            else:
                embedded = encode.partial_object(rows.meta_version, fragment(found, JSON, now_s))
            return rows.row(found.name, found.usage, embedded)

        return write

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000

    def _observe(self, returned: Sequence[Served]) -> None:
        """A pod without a sample has no age: it counts as older than every bucket."""
        now_ns = self._clock.now_ns()
        self._telemetry.observe_freshness((now_ns - found.usage.timestamp_ns) / 1e9 for found in returned)


def _rows(representation: Representation) -> TableRows | None:
    return TableRows(representation.version) if representation.transform == "Table" else None

"""Get and list of one collection, in the representation that was negotiated."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from pymetrics_server.api.encode import list_head, single
from pymetrics_server.api.listoptions import (
    ListOptions,
    check_get_options,
    parse_include_object,
    parse_list_options,
)
from pymetrics_server.api.negotiation import Representation
from pymetrics_server.api.reply import ItemsReply, Reply, encoded_reply
from pymetrics_server.api.request import Target
from pymetrics_server.api.served import Collection, Served
from pymetrics_server.api.table import TableRows, partial_list_head, partial_metadata
from pymetrics_server.clock import Clock
from pymetrics_server.meta.status import not_acceptable_object
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.telemetry import Telemetry

#: Objects looked at before the loop gets its turn: some milliseconds, also where nothing is encoded yet.
BATCH = 256


class Metrics:
    def __init__(self, collection: Collection, telemetry: Telemetry, clock: Clock) -> None:
        self._collection = collection
        self._telemetry = telemetry
        self._clock = clock

    def get(self, target: Target, representation: Representation) -> Reply:
        """Raises StatusError."""
        check_get_options(target.query)
        collection = self._collection
        if representation.transform == "PartialObjectMetadataList":
            raise not_acceptable_object(
                "you requested PartialObjectMetadataList, but the requested object is not a list "
                f"(*metrics.{collection.kind})"
            )
        embed = self._embedder(target, representation)
        found = collection.get(target.namespace, target.name, self._clock.monotonic_ns())
        self._observe([found])
        if representation.transform != "Table":
            return encoded_reply(embed(found), representation.pretty)
        rows = TableRows(representation.meta_version)
        row = rows.row(found.name, found.usage, embed(found))
        return encoded_reply(rows.head() + row + b"]}", representation.pretty)

    async def list(self, target: Target, representation: Representation) -> Reply:
        """Raises StatusError."""
        kind = self._collection.kind
        options = parse_list_options(target.query, self._collection.resource)
        if representation.transform == "PartialObjectMetadata":
            raise not_acceptable_object(
                f"you requested PartialObjectMetadata, but the requested object is a list (*metrics.{kind}List)"
            )
        if representation.transform == "Table":
            return await self._table(target, options, representation)
        document = ItemsReply(representation.pretty)
        if representation.transform:
            embed = self._embedder(target, representation)
            async for batch in self._batches(target, options):
                document.add([embed(found) for found in batch])
            return document.finish(partial_list_head(representation.meta_version))
        created = self._created()
        async for batch in self._batches(target, options):
            document.add([self._collection.item(found, created) for found in batch])
        return document.finish(list_head(f"{kind}List", target.version))

    async def _table(self, target: Target, options: ListOptions, representation: Representation) -> Reply:
        embed = self._embedder(target, representation)
        document = ItemsReply(representation.pretty)
        rows = TableRows(representation.meta_version)
        async for batch in self._batches(target, options):
            document.add([rows.row(found.name, found.usage, embed(found)) for found in batch])
        if document.empty:
            return encoded_reply(rows.head(empty=True), representation.pretty)
        return document.finish(rows.head())

    async def _batches(self, target: Target, options: ListOptions) -> AsyncIterator[Sequence[Served]]:
        """Everything that the list returns; the loop runs between batches."""
        collection = self._collection
        # A selector may be as long as a request's line: the longer it is, the fewer objects at a time.
        compared = sum(1 + len(each.values) for each in options.labels.requirements)
        at_a_time = max(1, BATCH // (1 + compared // 16))
        batch: list[Served] = []
        steps = collection.select(target.namespace, options, self._clock.monotonic_ns())
        for looked_at, found in enumerate(steps, 1):
            if found is not None:
                batch.append(found)
            if looked_at % at_a_time == 0:
                self._observe(batch)
                yield batch
                batch = []
                await asyncio.sleep(0)
        self._observe(batch)
        yield batch

    def _embedder(self, target: Target, representation: Representation) -> Callable[[Served], bytes]:
        """How an object stands on its own: in a get, in a table's row, in a list of metadata."""
        created = self._created()
        included = "Object"
        if representation.transform:
            included = "Metadata"
        if representation.transform == "Table":
            included = parse_include_object(target.query)

        def embed(found: Served) -> bytes:
            if included == "None":
                return b"null"
            if included == "Object":
                item = self._collection.item(found, created)
                return single(self._collection.kind, target.version, item)
            return partial_metadata(
                representation.meta_version, found.namespace, found.name, found.labels, created
            )

        return embed

    def _created(self) -> str:
        return format_rfc3339(self._clock.now_ns())

    def _observe(self, returned: Sequence[Served]) -> None:
        """A pod without a sample has no age: it counts as older than every bucket."""
        now_ns = self._clock.now_ns()
        self._telemetry.observe_freshness((now_ns - found.usage.timestamp_ns) / 1e9 for found in returned)

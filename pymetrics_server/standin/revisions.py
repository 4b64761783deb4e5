"""Objects under revisions, as etcd and the watch cache keep them: what is, what changed since, and since when that is known.

Objects are kept as the JSON they are served in; what selectors and tables ask for stands beside it.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pymetrics_server.standin.resources import ResourceType

_FIRST_REVISION = 1_000  # so that there are revisions too old to be known


class ExpiredError(Exception):
    """Changes since that revision are no longer known."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


class Stored(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    labels: Mapping[str, str]
    fields: Mapping[str, str]  # what a fieldSelector may name
    metadata: msgspec.Raw
    body: msgspec.Raw  # the whole object, kind and apiVersion included

    @property
    def key(self) -> tuple[str, str]:
        return (self.namespace, self.name)


class Change(msgspec.Struct, frozen=True):
    """One revision: `before` is None where the object is new; `after` is its last state where it is gone."""

    revision: int
    before: Stored | None
    after: Stored
    deleted: bool = False


class Revisions:
    """One writer and many watchers on one loop; `history` bounds how many changes of a type are remembered."""

    def __init__(self, history: int = 10_000) -> None:
        self.revision = _FIRST_REVISION
        self._history = history
        self._objects: dict[str, dict[tuple[str, str], Stored]] = {}
        self._changes: dict[str, list[Change]] = {}
        self._oldest: dict[str, int] = {}
        self._changed = asyncio.Event()

    def put(self, resource: ResourceType, body: Mapping[str, Any]) -> None:
        """Create or replace; an object that is the same already makes no revision."""
        metadata = body["metadata"]
        known = self._objects.setdefault(resource.plural, {})
        before = known.get((metadata.get("namespace", ""), metadata["name"]))
        if before is not None and _same(before, body):
            return
        self.revision += 1
        after = _stored(resource, body, self.revision)
        known[after.key] = after
        self._record(resource, Change(self.revision, before, after))

    def delete(self, resource: ResourceType, namespace: str, name: str) -> None:
        before = self._objects.get(resource.plural, {}).pop((namespace, name), None)
        if before is None:
            return
        self.revision += 1
        last = _stored(resource, msgspec.json.decode(before.body), self.revision)
        self._record(resource, Change(self.revision, before, last, deleted=True))

    def get(self, resource: ResourceType, namespace: str, name: str) -> Stored | None:
        return self._objects.get(resource.plural, {}).get((namespace, name))

    def all(self, resource: ResourceType, namespace: str = "") -> list[Stored]:
        """By namespace, then name; `namespace` "" is all of them."""
        found: Iterable[Stored] = self._objects.get(resource.plural, {}).values()
        return sorted((o for o in found if namespace in ("", o.namespace)), key=lambda o: o.key)

    def since(self, resource: ResourceType, revision: int) -> list[Change]:
        """Raises ExpiredError where some of them are forgotten."""
        oldest = self._oldest.get(resource.plural, _FIRST_REVISION)
        if revision < oldest:
            raise ExpiredError(revision, oldest)
        changes = self._changes.get(resource.plural, [])
        return changes[bisect_right(changes, revision, key=lambda c: c.revision) :]

    def compact(self) -> None:
        """Forget all changes: whoever watches from an earlier revision is told to list again."""
        self.revision += 1
        for plural in self._objects:
            self._oldest[plural] = self.revision
            self._changes[plural] = []

    async def wait_past(self, revision: int) -> None:
        while self.revision <= revision:
            await self._changed.wait()

    def _record(self, resource: ResourceType, change: Change) -> None:
        changes = self._changes.setdefault(resource.plural, [])
        changes.append(change)
        if len(changes) > 2 * self._history:
            self._oldest[resource.plural] = changes[-self._history - 1].revision
            del changes[: -self._history]
        self._changed.set()
        self._changed = asyncio.Event()


def _stored(resource: ResourceType, body: Mapping[str, Any], revision: int) -> Stored:
    metadata = {**body["metadata"], "resourceVersion": str(revision)}
    whole = {"kind": resource.kind, "apiVersion": resource.api_version, **body, "metadata": metadata}
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "status.phase": str(body.get("status", {}).get("phase", "")),
        "spec.nodeName": str(body.get("spec", {}).get("nodeName", "")),
    }
    return Stored(
        fields["metadata.namespace"],
        fields["metadata.name"],
        metadata.get("labels", {}),
        fields,
        msgspec.Raw(msgspec.json.encode(metadata)),
        msgspec.Raw(msgspec.json.encode(whole)),
    )


def _same(stored: Stored, body: Mapping[str, Any]) -> bool:
    old = msgspec.json.decode(stored.body)
    old["metadata"].pop("resourceVersion")
    return all(old.get(key) == value for key, value in body.items())

"""Get, list and watch over the revisions: selectors, pages, bookmarks, 410."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from aiohttp import web

from pymetrics_server.clock import Clock
from pymetrics_server.meta.identity import Attributes
from pymetrics_server.meta.selectors import (
    SelectorError,
    check_known,
    parse_field_selector,
    parse_label_selector,
)
from pymetrics_server.meta.status import Details, StatusError, bad_request
from pymetrics_server.standin import forms
from pymetrics_server.standin.resources import ResourceType
from pymetrics_server.standin.revisions import Change, ExpiredError, Revisions, Stored

_FIELDS = ("metadata.name", "metadata.namespace")
_POD_FIELDS = (*_FIELDS, "status.phase", "spec.nodeName")
_LONGEST_WATCH_S = 1800

Matches = Callable[[Stored], bool]


class _Place(msgspec.Struct):
    """Where a list goes on: after this key, of the list that began at this revision."""

    rv: int
    after: tuple[str, str]


class Reader:
    """`closing` ends watches; `bookmark_interval_s` is how often a quiet watch tells its revision."""

    def __init__(
        self, revisions: Revisions, clock: Clock, closing: asyncio.Event, bookmark_interval_s: float
    ) -> None:
        self._revisions = revisions
        self._clock = clock
        self._closing = closing
        self._bookmark_interval_s = bookmark_interval_s

    def get(self, request: web.BaseRequest, resource: ResourceType, asked: Attributes) -> web.Response:
        form = forms.wanted_form(request.headers.get("Accept", ""))
        namespace = asked.namespace if resource.namespaced else ""
        stored = stored_of(self._revisions, resource, namespace, asked.name)
        include = request.query.get("includeObject", "")
        return json_response(forms.one(resource, stored, form, include, self._clock.now_ns()))

    def list(self, request: web.BaseRequest, resource: ResourceType, asked: Attributes) -> web.Response:
        form = forms.wanted_form(request.headers.get("Accept", ""))
        matches = _matcher(request, resource)
        found = [o for o in self._revisions.all(resource, asked.namespace) if matches(o)]
        revision = self._revisions.revision
        if token := request.query.get("continue", ""):
            place = self._place(resource, token)
            revision = place.rv
            found = [o for o in found if o.key > place.after]
        limit = _number(request, "limit") or len(found)
        metadata: dict[str, object] = {"resourceVersion": str(revision)}
        if len(found) > limit:
            place = _Place(revision, found[limit - 1].key)
            metadata["continue"] = base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()
            metadata["remainingItemCount"] = len(found) - limit
        include = request.query.get("includeObject", "")
        return json_response(
            forms.many(resource, found[:limit], form, include, self._clock.now_ns(), metadata)
        )

    async def watch(
        self, request: web.BaseRequest, resource: ResourceType, asked: Attributes
    ) -> web.StreamResponse:
        form = forms.wanted_form(request.headers.get("Accept", ""))
        selected = _matcher(request, resource)
        include = request.query.get("includeObject", "")

        def event(kind: str, stored: Stored) -> bytes:
            written = forms.one(resource, stored, form, include, self._clock.now_ns())
            return _line(kind, written)

        def matches(stored: Stored) -> bool:
            return asked.namespace in ("", stored.namespace) and selected(stored)

        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        revision = _number(request, "resourceVersion")
        bookmarks = request.query.get("allowWatchBookmarks", "") in ("1", "true")
        await response.prepare(request)
        if not revision:
            revision = self._revisions.revision
            for stored in filter(matches, self._revisions.all(resource)):
                await response.write(event("ADDED", stored))
        with suppress(TimeoutError):
            async with asyncio.timeout(_number(request, "timeoutSeconds") or _LONGEST_WATCH_S):
                while not self._closing.is_set():
                    try:
                        changes = self._revisions.since(resource, revision)
                    except ExpiredError as err:
                        status = StatusError(410, "Expired", str(err)).to_builtin()
                        await response.write(_line("ERROR", status))
                        break
                    revision = max(revision, self._revisions.revision)
                    await _send(response, changes, matches, event)
                    if not await self._changed(revision) and bookmarks:
                        revision = max(revision, self._revisions.revision)
                        await response.write(_line("BOOKMARK", forms.bookmark(resource, form, revision)))
        return response

    async def _changed(self, revision: int) -> bool:
        """False where nothing did for so long that a bookmark is due, or where the server closes."""
        waits = [
            asyncio.create_task(self._revisions.wait_past(revision), name="watch for changes"),
            asyncio.create_task(self._closing.wait(), name="watch for the end"),
        ]
        try:
            await asyncio.wait(waits, timeout=self._bookmark_interval_s, return_when=asyncio.FIRST_COMPLETED)
            return waits[0].done()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    def _place(self, resource: ResourceType, token: str) -> _Place:
        try:
            place = msgspec.json.decode(base64.urlsafe_b64decode(token), type=_Place)
        except (ValueError, msgspec.MsgspecError) as err:
            raise bad_request(f"continue key is not valid: {err}") from None
        try:
            self._revisions.since(resource, place.rv)
        except ExpiredError:
            message = "The provided continue parameter is too old to display a consistent list result."
            raise StatusError(410, "Expired", message) from None
        return place


async def _send(
    response: web.StreamResponse,
    changes: Sequence[Change],
    matches: Matches,
    event: Callable[[str, Stored], bytes],
) -> None:
    """What leaves a selection is DELETED for who watches it, what enters it ADDED."""
    for change in changes:
        was = change.before is not None and matches(change.before)
        now = not change.deleted and matches(change.after)
        if was or now:
            kind = "MODIFIED" if was and now else "ADDED" if now else "DELETED"
            await response.write(event(kind, change.after))


def stored_of(revisions: Revisions, resource: ResourceType, namespace: str, name: str) -> Stored:
    """Raises StatusError 404."""
    stored = revisions.get(resource, namespace, name)
    if stored is None:
        qualified = resource.plural + (f".{resource.group}" if resource.group else "")
        details = Details(name=name, group=resource.group, kind=resource.plural)
        raise StatusError(404, "NotFound", f'{qualified} "{name}" not found', details)
    return stored


def json_response(document: object, status: int = 200, content_type: str = "") -> web.Response:
    headers = {"Content-Type": content_type or "application/json"}
    return web.Response(body=msgspec.json.encode(document), status=status, headers=headers)


def _matcher(request: web.BaseRequest, resource: ResourceType) -> Matches:
    known = _POD_FIELDS if resource.plural == "pods" else _FIELDS
    try:
        labels = parse_label_selector(request.query.get("labelSelector", ""))
        fields = parse_field_selector(request.query.get("fieldSelector", ""))
        check_known(fields, known)
    except SelectorError as err:
        raise bad_request(str(err)) from None
    return lambda stored: labels.matches(stored.labels) and fields.matches(stored.fields)


def _number(request: web.BaseRequest, name: str) -> int:
    text = request.query.get(name, "") or "0"
    if not text.isascii() or not text.isdigit():
        raise bad_request(f"{name}: Invalid value: {text}")
    return int(text)


def _line(kind: str, written: object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": written}) + b"\n"

"""The answers below /openapi. Documents are made when first asked for, and kept as bytes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cached_property
from gzip import compress
from hashlib import sha512
from typing import Any

import msgspec

from pymetrics_server.api.negotiation import JSON, matches_etag
from pymetrics_server.api.openapi.accept import (
    PROTOBUF_2,
    PROTOBUF_3,
    chosen,
    names_any_type,
    takes_gzip,
)
from pymetrics_server.api.openapi.documents import group_documents, swagger
from pymetrics_server.api.openapi.gnostic import document_2, document_3
from pymetrics_server.api.reply import Reply

_VARY_2 = {"Vary": "Accept-Encoding, Accept"}
_VARY_3 = {"Vary": "Accept"}


class _Document:
    """`to_protobuf` makes the other form of what is JSON; both have the same ETag."""

    def __init__(self, document: object, to_protobuf: Callable[[Any], bytes]) -> None:
        self.json = msgspec.json.encode(document)
        self.hash = sha512(self.json).hexdigest().upper()
        self.etag = f'"{self.hash}"'
        self._to_protobuf = to_protobuf

    @cached_property
    def protobuf(self) -> bytes:
        return self._to_protobuf(msgspec.json.decode(self.json))

    @cached_property
    def compressed_json(self) -> bytes:
        return compress(self.json, mtime=0)

    @cached_property
    def compressed_protobuf(self) -> bytes:
        return compress(self.protobuf, mtime=0)


class OpenAPI:
    """`started_s` is the Unix time that the documents are dated with.

    A reply that has no body and no type has the content type "".
    """

    def __init__(self, started_s: float) -> None:
        self._dated = {"Accept-Ranges": "bytes", "Last-Modified": formatdate(started_s, usegmt=True)}

    def v2(self, accept: str, if_none_match: str, accept_encoding: str) -> Reply:
        """200, 304 or 406."""
        media_type = chosen(accept, PROTOBUF_2)
        if media_type is None:
            return _bodiless(406, _VARY_2)
        document = self._swagger
        headers = {"Etag": document.etag, **_VARY_2}
        if matches_etag(if_none_match, document.etag):
            return _bodiless(304, headers)
        headers |= self._dated
        if takes_gzip(accept_encoding):
            headers["Content-Encoding"] = "gzip"
            body = document.compressed_json if media_type == JSON else document.compressed_protobuf
        else:
            body = document.json if media_type == JSON else document.protobuf
        return Reply([body], 200, media_type, headers)

    def v3_index(self, if_none_match: str = "") -> Reply:
        """200 or 304: where each document of version 3 is."""
        etag, body = self._index
        if matches_etag(if_none_match, etag):
            return _bodiless(304, {"Etag": etag})
        return Reply([body], 200, JSON, {"Etag": etag, **self._dated})

    def v3_document(self, path: str, query_hash: str, accept: str, if_none_match: str, now_s: float) -> Reply:
        """200, 301, 304 or 406; a path that is not known is 200 without a body.

        `path` is what follows /openapi/v3/, `query_hash` the parameter `hash`, `now_s` Unix time.
        """
        media_type = chosen(accept, PROTOBUF_3)
        if media_type is None and names_any_type(accept):
            return _bodiless(406, _VARY_3)
        document = self._groups.get(path)
        if media_type is None or document is None:
            return _bodiless(200, {})
        headers = {"Etag": document.etag, **_VARY_3}
        if query_hash and query_hash != document.hash:
            return Reply([], 301, media_type, {**headers, "Location": _url(path, document)})
        if query_hash:
            headers |= {"Cache-Control": "public, immutable", "Expires": _in_a_year(now_s)}
        if matches_etag(if_none_match, document.etag):
            return _bodiless(304, headers)
        body = document.json if media_type == JSON else document.protobuf
        return Reply([body], 200, media_type, headers | self._dated)

    @cached_property
    def _swagger(self) -> _Document:
        return _Document(swagger(), document_2)

    @cached_property
    def _groups(self) -> dict[str, _Document]:
        return {path: _Document(document, document_3) for path, document in group_documents().items()}

    @cached_property
    def _index(self) -> tuple[str, bytes]:
        """The ETag and the body."""
        urls = {path: {"serverRelativeURL": _url(path, document)} for path, document in self._groups.items()}
        body = msgspec.json.encode({"paths": urls})
        return f'"{sha512(body).hexdigest().upper()}"', body


def _bodiless(code: int, headers: Mapping[str, str]) -> Reply:
    return Reply([], code, "", headers)


def _url(path: str, document: _Document) -> str:
    return f"/openapi/v3/{path}?hash={document.hash}"


def _in_a_year(now_s: float) -> str:
    """Spelled `UTC`, as the original does, where HTTP says `GMT`; parsers of dates take both."""
    now = datetime.fromtimestamp(now_s, UTC)
    try:
        then = now.replace(year=now.year + 1)
    except ValueError:  # from the 29th of February
        then = now.replace(year=now.year + 1, month=3, day=1)
    return formatdate(then.timestamp(), usegmt=True).replace("GMT", "UTC")

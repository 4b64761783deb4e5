"""One HTTP answer out of the bytes of a connection, bounded while it comes. No I/O."""

from typing import NamedTuple

import httptools

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.failure import one_line

_MAX_HEAD_BYTES = 65536
_MAX_ERROR_BODY_BYTES = 4096


class Answer(NamedTuple):
    status: int
    reason: str
    content_encoding: str  # in lower case; "" for none
    body: bytes


class Answering:
    """An answer under way: `feed` and `end` until it `is_whole`. Both raise KubeletError."""

    __slots__ = (
        "_body",
        "_content_encoding",
        "_head_bytes",
        "_is_delimited",
        "_length_bytes",
        "_max_body_bytes",
        "_parser",
        "_reason",
        "_refusal",
        "_room_bytes",
        "_status",
        "is_whole",
        "keeps_alive",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._max_body_bytes = max_body_bytes
        self._refusal: KubeletError | None = None
        self._head_bytes = (
            0  # of the head, or since the last of the body: trailers, what stands beside chunks
        )
        self._begin()

    def _begin(self) -> None:
        self._status = 0  # until the head is whole
        self._reason = b""
        self._content_encoding = ""
        self._is_delimited = False  # else it ends with the connection
        self._length_bytes = 0
        self._room_bytes = self._max_body_bytes
        self._body = bytearray()
        self.is_whole = False
        self.keeps_alive = False  # whether its connection can be asked again

    def feed(self, data: bytes | memoryview) -> None:
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as err:
            if not self.is_whole:
                raise self._refusal or KubeletError(
                    FailureClass.PARSE_ERROR, one_line(f"not HTTP: {err}")
                ) from err
            self.keeps_alive = False  # it says more than it was asked
        if self._head_bytes > _MAX_HEAD_BYTES and not self.is_whole:
            raise KubeletError(
                FailureClass.PARSE_ERROR, f"not HTTP: no end of headers in {self._head_bytes} bytes"
            )

    def end(self) -> None:
        """The connection is at its end."""
        if self._is_delimited or not self._status:
            seen = f"{len(self._body)} bytes of the body" if self._status else "no answer"
            raise KubeletError(FailureClass.DISCONNECTED, f"the connection ended after {seen}")
        self.is_whole = True

    def answer(self) -> Answer:
        """Once it is whole, and once."""
        body = bytes(self._body)
        self.drop()
        return Answer(self._status, self._reason.decode("latin-1"), self._content_encoding, body)

    def drop(self) -> None:
        """Nothing is left for the garbage collector: the parser holds this as this holds the parser."""
        del self._parser
        self._body.clear()
        self._refusal = None

    def on_message_begin(self) -> None:
        if self.is_whole:
            raise KubeletError(FailureClass.PARSE_ERROR, "more than was asked for")

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self._is_delimited = True
            self._length_bytes = int(value)
        elif name == b"transfer-encoding":
            self._is_delimited = True
        elif name == b"content-encoding":
            self._content_encoding = value.decode("latin-1").strip().lower()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status != 200:
            self._room_bytes = _MAX_ERROR_BODY_BYTES
        elif self._length_bytes > self._max_body_bytes:
            self._refuse(f"Content-Length: {self._length_bytes}")

    def on_body(self, body: bytes) -> None:
        if self.is_whole:
            return
        self._head_bytes = 0
        self._body += body
        self._room_bytes -= len(body)
        if self._room_bytes < 0 and self._status == 200:
            self._refuse(f"more than {self._max_body_bytes} bytes")
        self.is_whole = self._room_bytes < 0  # enough of what went wrong

    def on_message_complete(self) -> None:
        if self.is_whole:
            return
        if self._status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come
            self._begin()
            return
        self.is_whole = True
        self.keeps_alive = self._parser.should_keep_alive()

    def _refuse(self, seen: str) -> None:
        self._refusal = KubeletError(FailureClass.TOO_LARGE, seen)
        raise self._refusal

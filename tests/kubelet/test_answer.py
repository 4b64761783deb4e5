"""Answers out of bytes: whole however they are cut, bounded, and refused where they are no HTTP."""

import gc
import http.client
import io
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.answer import Answer, Answering

MAX_BODY_BYTES = 5000


def answering(*pieces: bytes) -> Answering:
    under_way = Answering(MAX_BODY_BYTES)
    for piece in pieces:
        under_way.feed(piece)
    return under_way


def refusal(*pieces: bytes) -> KubeletError:
    with pytest.raises(KubeletError) as raised:
        answering(*pieces)
    return raised.value


class _Bytes:
    """What http.client takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def as_the_standard_library_reads(wire: bytes) -> Answer:
    response = http.client.HTTPResponse(cast("http.client.socket.socket", _Bytes(wire)), method="GET")  # type: ignore[name-defined]
    response.begin()
    encoding = response.getheader("Content-Encoding", "")
    return Answer(response.status, response.reason, encoding.lower(), response.read())


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    body = draw(st.binary(max_size=MAX_BODY_BYTES))
    status = draw(st.sampled_from(["200 OK", "200 ", "403 Forbidden", "500 Went  wrong"]))
    if status[:3] != "200":
        body = body[:4000]
    headers = draw(st.sampled_from(["", "content-encoding: GZIP\r\n", "X: y\r\nConnection: keep-alive\r\n"]))
    if draw(st.booleans()):
        headers += f"Content-Length: {len(body)}\r\n"
    else:
        headers += "Transfer-Encoding: chunked\r\n"
        size = draw(st.integers(1, 999))
        chunks = [body[i : i + size] for i in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    before = draw(st.sampled_from(["", "HTTP/1.1 100 Continue\r\n\r\n"]))
    return f"{before}HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body


@given(wires(), st.lists(st.integers(1, 2000)))
def test_an_answer_is_the_same_however_it_is_cut(wire: bytes, sizes: list[int]) -> None:
    under_way, rest = Answering(MAX_BODY_BYTES), memoryview(wire)
    for size in [*sizes, len(wire)]:
        assert not rest or not under_way.is_whole
        under_way.feed(rest[:size])
        rest = rest[size:]
    assert under_way.is_whole
    assert under_way.keeps_alive
    assert under_way.answer() == as_the_standard_library_reads(wire)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_comes_is_an_answer_or_a_kubelet_s_error(pieces: list[bytes]) -> None:
    under_way = Answering(MAX_BODY_BYTES)
    try:
        for piece in pieces:
            under_way.feed(piece)
        under_way.end()
    except KubeletError:
        return
    assert under_way.is_whole


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    under_way = answering(b"HTTP/1.0 200 OK\r\n\r\nab", b"c")
    assert not under_way.is_whole
    under_way.end()
    assert under_way.is_whole
    assert not under_way.keeps_alive
    assert under_way.answer() == Answer(200, "OK", "", b"abc")


def test_an_answer_leaves_no_garbage_read_or_dropped() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").answer()
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").drop()
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (b"", "no answer"),
        (b"HTTP/1.1 200 O", "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "3 bytes of the body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "2 bytes of the body"),
    ],
)
def test_an_answer_cut_short_says_how_far_it_came(seen: bytes, said: str) -> None:
    with pytest.raises(KubeletError, match=f"the connection ended after {said}") as raised:
        answering(seen).end()
    assert raised.value.failure is FailureClass.DISCONNECTED


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_the_kubelet_will_close_is_not_kept(head: bytes) -> None:
    assert answering(head).is_whole
    assert not answering(head).keeps_alive


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", b"\x00", b"SSH-2.0"])
def test_a_kubelet_that_says_more_than_it_was_asked_is_not_asked_again_over_that_connection(
    more: bytes,
) -> None:
    under_way = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab" + more)
    assert under_way.is_whole
    assert under_way.answer().body == b"ab"
    assert not under_way.keeps_alive


@pytest.mark.parametrize(
    "seen",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI",
        b"HTTP/2 200\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_at_once(seen: bytes) -> None:
    err = refusal(seen)
    assert err.failure is FailureClass.PARSE_ERROR
    assert err.detail.startswith("not HTTP: ")


def test_headers_without_an_end_are_refused() -> None:
    err = refusal(b"HTTP/1.1 200 OK\r\n", *[b"A: " + b"b" * 1000 + b"\r\n"] * 100)
    assert err.failure is FailureClass.PARSE_ERROR
    assert "no end of headers" in err.detail
    assert "no end of headers" in refusal(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000).detail


def test_trailers_and_what_stands_beside_chunks_without_an_end_are_refused() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    assert "no end of headers" in refusal(chunked, b"0\r\nA: ", *[b"b" * 1000] * 100).detail
    assert "no end of headers" in refusal(chunked, b"3;", *[b"b" * 1000] * 100).detail


def test_too_large_a_body_is_refused_by_its_length_and_by_what_comes() -> None:
    assert "Content-Length: 5001" in refusal(b"HTTP/1.1 200 OK\r\nContent-Length: 5001\r\n\r\n").detail
    chunk = b"3e8\r\n" + bytes(1000) + b"\r\n"
    err = refusal(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk] * 6)
    assert err.failure is FailureClass.TOO_LARGE
    assert err.detail == "more than 5000 bytes"


def test_of_an_error_s_body_the_first_of_it_is_enough() -> None:
    under_way = answering(b"HTTP/1.1 500 Oh no\r\nContent-Length: 99999999999\r\n\r\n", *[bytes(1000)] * 4)
    assert not under_way.is_whole
    under_way.feed(bytes(1000))
    assert under_way.is_whole
    assert not under_way.keeps_alive
    assert len(under_way.answer().body) <= 5000

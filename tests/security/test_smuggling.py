"""Requests written to be read in two ways, on the connection of a front proxy that speaks for everybody.

kube-apiserver's aggregator parses and writes every request anew, and so sends none of these. Should it ever let
one through, it must not end as a request that the aggregator never meant to send.
"""

import re
from collections.abc import Mapping

import pytest

from tests.security.door import Door
from tests.security.people import RIGHT

_INNER = b"GET /smuggled/%s HTTP/1.1\r\nHost: x\r\nX-Remote-User: root\r\nConnection: close\r\n\r\n"


def _request(line: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    return line + b"\r\nHost: x\r\nX-Remote-User: alice\r\n" + headers + b"\r\n" + body


def _post(headers: bytes, body: bytes = b"") -> bytes:
    return _request(b"POST /outer HTTP/1.1", headers, body)


def _get(headers: bytes) -> bytes:
    return _request(b"GET /outer HTTP/1.1", headers + b"Connection: close\r\n")


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", body)


#: {inner} is a whole request, {length} its length, {hex} the same; then the answers that must come back.
CASES: dict[str, tuple[bytes, list[int]]] = {
    "CL.TE": (_post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n{inner}"), [400]),
    "TE.CL": (
        _post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"{hex}\r\n{inner}\r\n0\r\n\r\n"),
        [400],
    ),
    "TE twice": (
        _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n{inner}"),
        [400],
    ),
    "TE unknown": (_post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n{inner}"), [400]),
    "TE chunked not last": (_post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n{inner}"), [400]),
    "TE behind a tab": (_post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n{inner}"), [400]),
    "TE of HTTP/1.0": (
        _request(b"POST /outer HTTP/1.0", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n{inner}"),
        [400],
    ),
    "TE, space before the colon": (_post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n{inner}"), [400]),
    "CL twice, differing": (_post(b"Content-Length: 0\r\nContent-Length: {length}\r\n", b"{inner}"), [400]),
    "CL twice, the same": (
        _post(b"Content-Length: {length}\r\nContent-Length: {length}\r\n", b"{inner}"),
        [400],
    ),
    "CL as a list": (_post(b"Content-Length: {length}, {length}\r\n", b"{inner}"), [400]),
    "CL with a sign": (_post(b"Content-Length: +{length}\r\n", b"{inner}"), [400]),
    "CL below zero": (_post(b"Content-Length: -1\r\n", b"{inner}"), [400]),
    "CL with an underscore": (_post(b"Content-Length: 1_0\r\n", b"{inner}"), [400]),
    "CL in hex": (_post(b"Content-Length: 0x10\r\n", b"{inner}"), [400]),
    "CL of 2^64": (_post(b"Content-Length: 18446744073709551616\r\n", b"{inner}"), [400]),
    "CL of 400 digits": (_post(b"Content-Length: " + b"9" * 400 + b"\r\n", b"{inner}"), [400]),
    "chunk, extension": (_chunked(b"1;a=b\r\nx\r\n0\r\n\r\n"), [403]),
    "chunk, extension with a request": (_chunked(b"1;{inner}x\r\n0\r\n\r\n"), [400]),
    "chunk, extension ends with LF": (_chunked(b"1;\nx\r\n0\r\n\r\n{inner}"), [400]),
    "chunk, extension's quote open": (_chunked(b'1;a="\r\nx\r\n0\r\n\r\n{inner}'), [400]),
    "chunk, 0x": (_chunked(b"0x1\r\nx\r\n0\r\n\r\n{inner}"), [400]),
    "chunk below zero": (_chunked(b"-1\r\nx\r\n0\r\n\r\n{inner}"), [400]),
    "chunk with an underscore": (_chunked(b"1_0\r\nx\r\n0\r\n\r\n{inner}"), [400]),
    "chunk beyond 64 bits": (_chunked(b"ffffffffffffffff1\r\nx\r\n0\r\n\r\n{inner}"), [400]),
    "chunk ends with LF": (_chunked(b"1\nx\n0\n\n{inner}"), [400]),
    "chunk longer than it says": (_chunked(b"1\r\nxyz\r\n0\r\n\r\n{inner}"), [400]),
    "lines end with LF": (b"GET /outer HTTP/1.1\nHost: x\nX-Remote-User: alice\n\n", [400]),
    "one line ends with LF": (_get(b"X-A: b\nX-Remote-Group: system:masters\r\n"), [400]),
    "CR in a value": (_get(b"X-A: b\rX-Remote-Group: system:masters\r\n"), [400]),
    "NUL in a value": (_get(b"X-A: b\0c\r\n"), [400]),
    "NUL in a name": (_get(b"X-\0A: b\r\n"), [400]),
    "NUL in the path": (_request(b"GET /outer\0 HTTP/1.1"), [400]),
    "space before the colon": (_get(b"X-Remote-Group : system:masters\r\n"), [400]),
    "space in a name": (_get(b"X-Remote -Group: system:masters\r\n"), [400]),
    "obs-fold": (_get(b"X-A: b\r\n X-Remote-Group: system:masters\r\n"), [400]),
    "obs-fold, tab": (_get(b"X-A: b\r\n\tX-Remote-Group: system:masters\r\n"), [400]),
    "obs-fold of the request line": (
        b"GET /outer HTTP/1.1\r\n X-Remote-User: root\r\nHost: x\r\n\r\n",
        [400],
    ),
    "no colon": (_get(b"X-Remote-Group\r\n"), [400]),
    "no name": (_get(b": system:masters\r\n"), [400]),
    "no host": (b"GET /outer HTTP/1.1\r\nX-Remote-User: alice\r\n\r\n", [400]),
    "two hosts": (_get(b"Host: y\r\n"), [400]),
    "HTTP/1.2": (_request(b"GET /outer HTTP/1.2"), [400]),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{inner}", [400]),
    "space in the path": (_request(b"GET /outer inner HTTP/1.1"), [400]),
    "tabs in the request line": (_request(b"GET\t/outer\tHTTP/1.1"), [400]),
    # What is whole, and holds what looks like a request.
    "a body": (_post(b"Content-Length: {length}\r\nConnection: close\r\n", b"{inner}"), [403]),
    "a body of GET": (_get(b"Content-Length: {length}\r\n") + b"{inner}", [403]),
    "a body in chunks": (
        _post(b"Transfer-Encoding: chunked\r\nConnection: close\r\n", b"{hex}\r\n{inner}\r\n0\r\n\r\n"),
        [403],
    ),
    "a trailer": (
        _post(
            b"Transfer-Encoding: chunked\r\nTrailer: X-Remote-User\r\nConnection: close\r\n",
            b"0\r\nX-Remote-User: root\r\nX-Remote-Group: system:masters\r\n\r\n",
        ),
        [403],
    ),
    "a header that Connection names": (_get(b"Connection: X-Remote-User\r\n"), [403]),
}


@pytest.mark.parametrize("case", CASES)
def test_no_request_hides_in_another(door: Door, case: str) -> None:
    request, expected = CASES[case]
    unique = str(list(CASES).index(case)).encode()
    inner = _INNER % unique
    words: Mapping[bytes, bytes] = {
        b"{inner}": inner,
        b"{length}": str(len(inner)).encode(),
        b"{hex}": f"{len(inner):x}".encode(),
    }
    request = re.sub(rb"\{(?:inner|length|hex)\}", lambda found: words[found[0]], request)
    request = request.replace(b"/outer", b"/outer/" + unique)
    door.forget()
    with door.connected(door.context("1.3", (RIGHT,))) as connection:
        received = connection.everything(request, timeout_s=0.5)
    assert [int(code) for code in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", received)] == expected
    assert door.reviewed_paths() == ({f"/outer/{unique.decode()}"} if expected == [403] else set())
    assert {spec["user"] for spec in door.access_reviews()} <= {"alice"}


@pytest.mark.parametrize(
    "line", [b"GET /outer/old", b"GET /outer/new HTTP/2.0", b"GET  /outer/blank HTTP/1.1"]
)
def test_a_request_line_that_is_hardly_one_lets_nobody_in(door: Door, line: bytes) -> None:
    with door.connected(door.context("1.3", (RIGHT,))) as connection:
        received = connection.everything(
            line + b"\r\nHost: x\r\nX-Remote-User: alice\r\nConnection: close\r\n\r\n", 0.5
        )
    assert re.match(rb"HTTP/[0-9.]+ (400|401|403|505) ", received)


def test_two_requests_at_once_are_two_requests_of_two_users(door: Door) -> None:
    door.forget()
    with door.connected(door.context("1.3", (RIGHT,))) as connection:
        received = connection.everything(_request(b"GET /outer/two HTTP/1.1") + _INNER % b"two")
    assert len(re.findall(rb"HTTP/1\.1 403 ", received)) == 2
    assert {(s["nonResourceAttributes"]["path"], s["user"]) for s in door.access_reviews()} == {
        ("/outer/two", "alice"),
        ("/smuggled/two", "root"),
    }

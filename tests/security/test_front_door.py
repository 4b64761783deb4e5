"""Certificates x headers x connections at the real door: each combination's outcome is written here, by hand.

A letter of the grid is who kube-apiserver was asked about, or how the request was refused. The server denies
everybody everything, but for system:masters, whom nobody is asked about.
"""

import contextlib
import hashlib
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.certificates import der
from tests.security.door import Connection, Door, RefusedError
from tests.security.people import CHAINS

_LONG = "a" * (64 << 10)

HEADERS: dict[str, bytes] = {
    "none": b"",
    "user": b"X-Remote-User: alice\r\n",
    "group": b"X-Remote-User: alice\r\nX-Remote-Group: a\r\nX-Remote-Group: b, c\r\nX-Remote-Group: \r\n"
    b"X-Remote-Uid: 7\r\nX-Remote-Extra-Foo%2fBar: 1\r\nX-Remote-Extra-foo%2fbar: 2, 3\r\n",
    "master": b"X-Remote-User: alice\r\nX-Remote-Group: system:masters\r\n",
    "twice": b"X-Remote-User: alice\r\nX-Remote-User: root\r\n",
    "empty": b"X-Remote-User: \r\nX-Remote-User: root\r\nX-Remote-Group: system:masters\r\n",
    "case": b"x-rEMOTE-uSER: alice\r\n",
    "under": b"X_Remote_User: root\r\nX_Remote_Group: system:masters\r\nX-Remote_User: root\r\n",
    "fold": b"X-Remote-User: al\r\n ice\r\nX-Remote-Group: system:masters\r\n",
    "bytes": b"X-Remote-User: \xff\xfe\r\nX-Remote-Group: system:masters\r\n",
    "64KiB": b"X-Remote-User: " + _LONG.encode() + b"\r\n",
}

SOMEBODY_ELSE = b"X-Remote-User: root\r\nX-Remote-Group: system:masters\r\nAuthorization: Bearer good\r\n"
CONNECTIONS = ("1.2", "1.3", "1.2 resumed", "1.3 resumed", "1.3 kept alive")

#: T the handshake ends; B 400; 4 401; N anonymous; M a master, let in; A alice; G alice with groups;
#: L the long name; P the client named as the proxy; C carol, a client.
GRID = """
                            none  user  group master twice empty case under fold bytes 64KiB
  none                       N     N     N      N     N     N     N    N     B     N     N
  self-signed                T     T     T      T     T     T     T    T     T     T     T
  expired                    4     4     4      4     4     4     4    4     B     4     4
  not yet valid              4     4     4      4     4     4     4    4     B     4     4
  client CA, proxy's name    P     P     P      P     P     P     P    P     B     P     P
  front CA, another name     4     4     4      4     4     4     4    4     B     4     4
  right                      4     A     G      M     A     4     A    4     B     4     L
  right, for servers only    T     T     T      T     T     T     T    T     T     T     T
  right, over intermediate   4     A     G      M     A     4     A    4     B     4     L
  twin CA's key              T     T     T      T     T     T     T    T     T     T     T
  twin CA and its chain      T     T     T      T     T     T     T    T     T     T     T
  self-signed, right behind  T     T     T      T     T     T     T    T     T     T     T
  issued by a leaf           T     T     T      T     T     T     T    T     T     T     T
  a client's                 C     C     C      C     C     C     C    C     B     C     C
  client's, right behind     C     C     C      C     C     C     C    C     B     C     C
  client CA, no name         4     4     4      4     4     4     4    4     B     4     4
"""
_, *_LINES = [re.split(r" {2,}", line.strip()) for line in GRID.strip("\n").splitlines()]
EXPECTED = {
    (line[0], header): letter for line in _LINES for header, letter in zip(HEADERS, line[1:], strict=True)
}


def _credential(chain: str) -> str:
    return f"X509SHA256={hashlib.sha256(der(*CHAINS[chain])[0]).hexdigest()}"


def _user(name: str, *groups: str, **more: Any) -> dict[str, Any]:
    return {"user": name, "groups": [*groups, "system:authenticated"], **more}


def identity(letter: str, chain: str) -> Mapping[str, Any] | None:
    """What the SubjectAccessReview says of who asks; None where none is to be asked."""
    by_certificate = (
        {"authentication.kubernetes.io/credential-id": [_credential(chain)]} if CHAINS[chain] else {}
    )
    return {
        "N": {"user": "system:anonymous", "groups": ["system:unauthenticated"]},
        "A": _user("alice"),
        "G": _user("alice", "a", "b, c", uid="7", extra={"foo/bar": ["1", "2, 3"]}),
        "L": _user(_LONG),
        "P": _user("front-proxy-client", extra=by_certificate),
        "C": _user("carol", "devs", extra=by_certificate),
    }.get(letter)


STATUS = {"B": 400, "4": 401, "M": 404, **dict.fromkeys("NAGLPC", 403)}


def rows() -> list[tuple[str, str, str]]:
    return [(chain, header, connection) for chain, header in EXPECTED for connection in CONNECTIONS]


@contextmanager
def opened(door: Door, chain: str, connection: str) -> Iterator[Connection]:
    """The connection up to the row's own request. Raises RefusedError."""
    tls, _, how = connection.partition(" ")
    context = door.context(tls, CHAINS[chain])
    session = _session(door, context) if how == "resumed" else None
    with door.connected(context, session) as made:
        assert made.tls.version() == f"TLSv{tls}"
        assert tls == "1.2" or not made.tls.session_reused
        if how == "kept alive":
            assert made.ask("/first", SOMEBODY_ELSE).code in (403, 404)
        yield made


def _session(door: Door, context: ssl.SSLContext) -> ssl.SSLSession | None:
    """Of the same client's connection of before, on which somebody else asked."""
    with door.connected(context) as earlier:
        assert earlier.ask("/first", SOMEBODY_ELSE).code in (403, 404)
        session = earlier.tls.session
        with contextlib.suppress(OSError):
            earlier.tls.unwrap()  # a session that did not end in order is forgotten
    return session


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("chain", CHAINS)
def test_each_combination_has_the_outcome_that_is_written_down(
    door: Door, chain: str, connection: str
) -> None:
    door.forget()
    for number, (header, sent) in enumerate(HEADERS.items()):
        path, letter = f"/{chain}/{connection}/{number}".replace(" ", "-"), EXPECTED[chain, header]
        try:
            with opened(door, chain, connection) as made:
                answer = made.ask(path, sent)
        except RefusedError:
            assert letter == "T", header
            assert door.seen_user(path) is None
            continue
        assert letter != "T", header
        assert answer.code == STATUS[letter], (header, answer)
        assert door.seen_user(path) == identity(letter, chain), header


def test_the_table_is_as_long_as_the_documentation_says() -> None:
    said = re.search(
        r"([0-9,]+) combinations", (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    )
    assert said is not None
    assert len(rows()) == len(CHAINS) * len(HEADERS) * len(CONNECTIONS) == int(said[1].replace(",", ""))
    assert {chain for chain, _ in EXPECTED} == set(CHAINS)


def test_every_test_that_the_documentation_names_is_there() -> None:
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs" / "security.md").read_text()))
    there = {
        name
        for path in (root / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named - there == set()

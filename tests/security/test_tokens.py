"""Bearer tokens beside certificates and headers; and kube-apiserver, asked, that is slow, broken or talks nonsense."""

import threading
from collections.abc import Callable

import pytest

from tests.security.door import BAD_ANSWERS, Answer, Door, RefusedError
from tests.security.people import CHAINS, RIGHT

_CLAIMS = b"X-Remote-User: root\r\nX-Remote-Group: system:masters\r\n"

#: Who the SubjectAccessReview is about; 401; T: the handshake ends.
WITH_A_TOKEN = {
    "none": ("tina", "401"),
    "self-signed": ("T", "T"),
    "expired": ("tina", "401"),
    "not yet valid": ("tina", "401"),
    "client CA, proxy's name": ("front-proxy-client", "front-proxy-client"),
    "front CA, another name": ("tina", "401"),
    "right, for servers only": ("T", "T"),
    "twin CA's key": ("T", "T"),
    "a client's": ("carol", "carol"),
    "client CA, no name": ("tina", "401"),
}


@pytest.mark.parametrize("chain", WITH_A_TOKEN)
@pytest.mark.parametrize("token", ["good", "bad"])
def test_a_token_counts_beside_a_certificate_that_proves_nobody(door: Door, chain: str, token: str) -> None:
    expected = WITH_A_TOKEN[chain][token == "bad"]
    path = f"/token/{token}/{chain}".replace(" ", "-")
    headers = f"Authorization: Bearer {token}\r\n".encode() + _CLAIMS
    try:
        answer = door.ask(path, headers, chain=CHAINS[chain])
    except RefusedError:
        assert expected == "T"
        return
    assert answer.code == (401 if expected == "401" else 403)
    seen = door.seen_user(path)
    assert (seen or {"user": "401"})["user"] == expected


def test_a_front_proxy_that_names_nobody_may_bring_a_token(door: Door) -> None:
    assert door.ask("/token/proxy", b"Authorization: Bearer good\r\n", chain=(RIGHT,)).code == 403
    seen = door.seen_user("/token/proxy")
    assert seen is not None
    assert seen["user"] == "tina"


AUTHORIZATIONS = {
    b"Bearer good": "tina",
    b"bEARER good": "tina",
    b"Bearer good trailing": "tina",  # as Go's: what follows the token is not read
    b"Bearer": "system:anonymous",
    b"Bearer  good": "system:anonymous",
    b"Bearer\tgood": "system:anonymous",
    b"Basic Z29vZDpnb29k": "system:anonymous",
    b"good": "system:anonymous",
    b"Bearer Good": "401",
    b"Bearer good,bad": "401",
    b"Bearer good\xff": "401",
    b"Bearer " + b"x" * 60_000: "401",
    b"Basic x\r\nAuthorization: Bearer good": "system:anonymous",
    b"Bearer bad\r\nAuthorization: Bearer good": "401",
}


@pytest.mark.parametrize("value", AUTHORIZATIONS, ids=lambda value: repr(value[:40]))
def test_what_is_a_bearer_token_and_what_is_none(door: Door, value: bytes) -> None:
    path = f"/authorization/{list(AUTHORIZATIONS).index(value)}"
    answer = door.ask(path, b"Authorization: " + value + b"\r\n")
    expected = AUTHORIZATIONS[value]
    assert answer.code == (401 if expected == "401" else 403)
    assert (door.seen_user(path) or {"user": "401"})["user"] == expected


def test_nobody_becomes_somebody_else_by_asking_to_be_impersonated(door: Door) -> None:
    door.forget()
    impersonation = b"Impersonate-User: root\r\nImpersonate-Group: system:masters\r\n"
    for who in (b"", b"Authorization: Bearer good\r\n"):
        assert door.ask("/impersonated", impersonation + who).code == 403
    assert {spec["user"] for spec in door.access_reviews()} <= {"system:anonymous", "tina"}


#: A TokenReview of the token of that name: none of these says who it is.
TOKEN_OUTCOMES = dict.fromkeys({*BAD_ANSWERS, "slow"} - {"not-utf8"}, 401)
#: A SubjectAccessReview of the user of that name: 403 where it says no, 500 where nobody can say what it says.
ACCESS_OUTCOMES = {
    **dict.fromkeys(["slow", "500", "403", "empty", "html", "list", "null"], 500),
    **dict.fromkeys(["text-for-true", "one-for-true", "both", "cut-off"], 500),
    **dict.fromkeys(["no-status", "null-status", "nobody", "unauthenticated-master", "neither"], 403),
    "not-utf8": 500,
}


def _all_at_once(asks: dict[str, Callable[[], Answer]]) -> dict[str, int]:
    codes: dict[str, int] = {}

    def run(name: str, ask: Callable[[], Answer]) -> None:
        codes[name] = ask().code

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in asks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return codes


def test_reviews_that_fail_let_nobody_in_and_hold_up_nobody_else(door: Door) -> None:
    door.forget()

    def by_token(name: str) -> Callable[[], Answer]:
        return lambda: door.ask(f"/failing/token/{name}", f"Authorization: Bearer {name}\r\n".encode())

    def by_user(name: str) -> Callable[[], Answer]:
        return lambda: door.ask(
            f"/failing/user/{name}", f"X-Remote-User: {name}\r\n".encode(), chain=(RIGHT,)
        )

    asks = {f"token {name}": by_token(name) for name in TOKEN_OUTCOMES}
    asks |= {f"user {name}": by_user(name) for name in ACCESS_OUTCOMES}
    asks |= {"somebody else": lambda: door.ask("/failing/else", b"X-Remote-User: alice\r\n", chain=(RIGHT,))}
    expected = {f"token {name}": code for name, code in TOKEN_OUTCOMES.items()}
    expected |= {f"user {name}": code for name, code in ACCESS_OUTCOMES.items()}
    assert _all_at_once(asks) == expected | {"somebody else": 403}


def test_a_token_review_that_is_no_utf8_is_a_401(door: Door) -> None:
    assert door.ask("/failing/utf8", b"Authorization: Bearer not-utf8\r\n").code == 401

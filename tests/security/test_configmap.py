"""The ConfigMap that says whom to believe: missing, empty, broken, full, and changed under open connections."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pymetrics_server.x509 import Pair, issue, make_ca
from tests.fakes.certificates import CLIENT, authority, certificate
from tests.security.door import Door, RefusedError, trust
from tests.security.people import CHAINS, CLIENTS, NOW_NS, RIGHT, TWIN, unreadable

USER = b"X-Remote-User: alice\r\nX-Remote-Group: a\r\n"
OTHER_NAME = CHAINS["front CA, another name"]
_BROKEN = b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"

Open = Callable[[Mapping[str, str] | None], Door]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    doors: list[Door] = []

    def open_door(data: Mapping[str, str] | None) -> Door:
        doors.append(Door(tmp_path, data))
        return doors[0]

    yield open_door
    for door in doors:
        door.close()


def _seen(door: Door, path: str) -> str:
    spec = door.seen_user(path)
    return "401" if spec is None else str(spec["user"])


@pytest.mark.parametrize("data", [None, {}, trust(_BROKEN, _BROKEN)], ids=["missing", "empty", "broken"])
def test_without_a_ca_every_certificate_is_nobodys_until_there_is_one(
    opened: Open, data: Mapping[str, str] | None
) -> None:
    door = opened(data)
    door.until(lambda: any(r.path.endswith("/configmaps") for r in door.apiserver.requests))
    assert door.ask("/before", USER, chain=(RIGHT,)).code == 403
    assert _seen(door, "/before") == "system:anonymous"
    assert door.ask("/token", b"Authorization: Bearer good\r\n", chain=(RIGHT,)).code == 403
    assert _seen(door, "/token") == "tina"
    door.set_trust(trust())
    door.until_proxy_is_believed()
    assert door.ask("/after", USER, chain=(RIGHT,)).code == 403
    assert _seen(door, "/after") == "alice"


def test_whom_the_configmap_no_longer_names_is_believed_no_longer(opened: Open) -> None:
    door = opened(trust())
    door.until_proxy_is_believed()
    new = certificate("front-proxy-client", NOW_NS, TWIN, usages=[CLIENT])
    with (
        door.connected(door.context("1.3", (RIGHT,))) as kept,
        door.connected(door.context("1.2", (RIGHT,))) as other,
    ):
        for connection in (kept, other):
            assert connection.ask("/early", USER).code == 403
        session = other.tls.session

        door.set_trust(trust(_BROKEN, _BROKEN))
        door.until(lambda: "Keeping the CAs of before" in door.log_text)
        assert kept.ask("/broken", USER).code == 403  # a bundle that cannot be read changes nothing
        assert _seen(door, "/broken") == "alice"

        many = [authority(f"ca-{n}", NOW_NS).cert_pem for n in range(9)]
        door.set_trust(trust(b"\n".join([*many, TWIN.cert_pem]), b"\n".join([*many, CLIENTS.cert_pem])))
        door.until_proxy_is_believed((new,))
        assert kept.ask("/removed", USER).code == 401
        assert other.ask("/removed-too", USER).code == 401
    for tls in ("1.2", "1.3"):
        with pytest.raises(RefusedError):
            door.ask("/removed", USER, chain=(RIGHT,), tls=tls)
    with pytest.raises(RefusedError), door.connected(door.context("1.2", (RIGHT,)), session) as resumed:
        resumed.ask("/removed", USER)
    assert door.seen_user("/removed") is None

    door.set_trust({})  # every key removed: nobody's certificate proves anything
    door.until(lambda: door.log_text.count("Client CAs taken up") == 3)
    assert door.ask("/gone", USER, chain=(new,)).code == 403
    assert _seen(door, "/gone") == "system:anonymous"


def test_while_a_ca_is_replaced_by_one_of_its_name_both_are_believed(opened: Open) -> None:
    """With key identifiers, as kubeadm's CAs and openssl's have: OpenSSL takes the first of that name without."""
    old_ca, new_ca = make_ca("front-proxy-ca", NOW_NS), make_ca("front-proxy-ca", NOW_NS)
    old, new = (issue(ca, "front-proxy-client", NOW_NS, client=True) for ca in (old_ca, new_ca))
    door = opened(trust(old_ca.cert_pem + new_ca.cert_pem))
    door.until_proxy_is_believed((old,))
    for path, pair in (("/old", old), ("/new", new)):
        for tls in ("1.2", "1.3"):
            assert door.ask(path + tls, USER, chain=(pair,), tls=tls).code == 403
            assert _seen(door, path + tls) == "alice"


NAMES: dict[str, str] = {
    '["front-proxy-client"]': "401",
    "[]": "alice",  # every common name of that CA
    '["kubelet"]': "alice",
    '["KUBELET"]': "401",
    '["kubelet "]': "401",
    '["*"]': "401",
    '["kube"]': "401",
}


def test_allowed_names_are_whole_names(opened: Open) -> None:
    door = opened(trust())
    door.until_proxy_is_believed()
    for number, (names, expected) in enumerate(NAMES.items()):
        _set_names(door, names, number)
        door.ask(f"/names/{number}", USER, chain=OTHER_NAME)
        assert _seen(door, f"/names/{number}") == expected, names


@pytest.mark.parametrize(
    "names", ['"front-proxy-client"', "front-proxy-client", "[1]", '{"a":1}', '["front-proxy-client"']
)
def test_allowed_names_that_cannot_be_read_do_not_allow_every_name(opened: Open, names: str) -> None:
    door = opened({**trust(), "requestheader-allowed-names": names})
    door.until(lambda: "Client CAs taken up" in door.log_text)
    with pytest.raises(RefusedError):  # the front proxy's CA is left out: nobody's certificate of it is taken
        door.ask("/unreadable", USER, chain=OTHER_NAME)
    assert "/unreadable" not in door.log_text


def _set_names(door: Door, names: str, number: int) -> None:
    """Taken up once the header that goes with them is."""
    header = f"X-User-{number}"
    door.set_trust(
        {
            **trust(),
            "requestheader-allowed-names": names,
            "requestheader-username-headers": json.dumps(["X-Remote-User"]),
            "requestheader-uid-headers": json.dumps([header]),
        }
    )
    door.until(lambda: f'"{header}"' in door.log_text)


def test_a_ca_whose_name_is_no_text_is_a_bundle_that_cannot_be_read(opened: Open) -> None:
    door = opened(trust())
    door.until_proxy_is_believed()
    door.set_trust(trust(unreadable(TWIN, "front-proxy-ca")))
    door.until(lambda: "Keeping the CAs of before" in door.log_text, timeout_s=3)
    door.set_trust(trust(TWIN.cert_pem))
    door.until_proxy_is_believed((certificate("front-proxy-client", NOW_NS, TWIN, usages=[CLIENT]),))


def test_what_comes_behind_a_certificate_and_cannot_be_read_is_no_panic(door: Door) -> None:
    behind = Pair(unreadable(TWIN, "front-proxy-ca"), b"")
    assert door.ask("/behind", USER, chain=(RIGHT, behind)).code in (401, 403)

"""The outcome for each kind of credentials, and what is remembered of it."""

import asyncio
import contextlib
import hashlib

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.errors import ApiserverError, UnauthorizedError
from pymetrics_server.meta.identity import ANONYMOUS_USER, UserInfo
from tests.fakes.certificates import SERVER, authority, certificate, der
from tests.fakes.clock import FakeClock, settle

CLOCK = FakeClock()
NOW_NS = CLOCK.now_ns()
FRONT, CLIENTS = authority("front-proxy-ca", NOW_NS), authority("client-ca", NOW_NS)
TRUST = Trust(
    requestheader_ca_pem=FRONT.cert_pem,
    client_ca_pem=CLIENTS.cert_pem,
    allowed_names=("front-proxy-client",),
    uid_headers=("X-Remote-Uid",),
)
PROXY = der(certificate("front-proxy-client", NOW_NS, FRONT))
AUTHENTICATED = "system:authenticated"


class Answer:
    def __init__(self, user: UserInfo | None = None, error: str = "") -> None:
        self.authenticated = user is not None
        self.user = user
        self.error = error


class Reviewer:
    """Knows `good`; counts what it is asked, and answers once `open` is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Answer | ApiserverError] = {
            "good": Answer(UserInfo("sa", ("system:serviceaccounts",), "u1")),
            "muttered": Answer(None, "expired"),
            "down": ApiserverError("no route"),
        }
        self.open = asyncio.Event()
        self.open.set()

    async def token_review(self, token: str) -> Answer:
        self.asked.append(token)
        await self.open.wait()
        answer = self.answers.get(token, Answer())
        if isinstance(answer, ApiserverError):
            raise answer
        return answer


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def bearer(token: str) -> CIMultiDictProxy[str]:
    return headers(("Authorization", f"Bearer {token}"))


ALICE = headers(("X-Remote-User", "alice"), ("X-Remote-Group", "dev"), ("X-Remote-Uid", "7"))
NONE = headers()


@pytest.fixture
def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def trust() -> TrustSource:
    return TrustSource(TRUST)


@pytest.fixture
def who(trust: TrustSource, reviewer: Reviewer, clock: FakeClock) -> Authenticator:
    return Authenticator(trust, reviewer, clock)


async def test_who_shows_nothing_is_anonymous(who: Authenticator) -> None:
    assert await who.authenticate(NONE, ()) == ANONYMOUS_USER
    assert await who.authenticate(ALICE, ()) == ANONYMOUS_USER
    assert await who.authenticate(headers(("Authorization", "Basic YTpi")), ()) == ANONYMOUS_USER


async def test_anonymous_requests_can_be_switched_off(trust: TrustSource, reviewer: Reviewer) -> None:
    with pytest.raises(UnauthorizedError):
        await Authenticator(trust, reviewer, FakeClock(), anonymous=False).authenticate(NONE, ())


async def test_a_front_proxy_speaks_for_its_user(who: Authenticator) -> None:
    assert await who.authenticate(ALICE, PROXY) == UserInfo("alice", ("dev", AUTHENTICATED), "7")


async def test_a_front_proxy_that_names_nobody_is_refused(who: Authenticator) -> None:
    with pytest.raises(UnauthorizedError):
        await who.authenticate(NONE, PROXY)


async def test_a_client_certificate_stands_for_itself_even_with_the_name_and_headers_of_a_front_proxy(
    who: Authenticator,
) -> None:
    chain = der(certificate("front-proxy-client", NOW_NS, CLIENTS, organizations=["ops"], uids=["9"]))
    assert await who.authenticate(ALICE, chain) == UserInfo(
        "front-proxy-client",
        ("ops", AUTHENTICATED),
        "9",
        {
            "authentication.kubernetes.io/credential-id": (
                f"X509SHA256={hashlib.sha256(chain[0]).hexdigest()}",
            )
        },
    )


TWIN = authority("front-proxy-ca", NOW_NS)
REFUSED = {
    "wrong name": certificate("kubelet", NOW_NS, FRONT),
    "self-signed": certificate("front-proxy-client", NOW_NS),
    "same issuer name, other key": certificate("front-proxy-client", NOW_NS, TWIN),
    "expired": certificate("front-proxy-client", NOW_NS, FRONT, begins_in_h=-2, ends_in_h=-1),
    "for servers only": certificate("front-proxy-client", NOW_NS, FRONT, usages=[SERVER]),
    "client without a name": certificate("", NOW_NS, CLIENTS, organizations=["system:masters"]),
    "client with two uids": certificate("bob", NOW_NS, CLIENTS, uids=["1", "2"]),
    "client with an expired certificate": certificate("bob", NOW_NS, CLIENTS, begins_in_h=-2, ends_in_h=-1),
}


@pytest.mark.parametrize("chain", [pytest.param(der(p), id=what) for what, p in REFUSED.items()])
async def test_a_certificate_that_proves_nothing_is_refused_unless_a_token_succeeds(
    who: Authenticator, chain: tuple[bytes, ...]
) -> None:
    with pytest.raises(UnauthorizedError):
        await who.authenticate(ALICE, chain)
    user = await who.authenticate(bearer("good"), chain)
    assert user.name == "sa"


async def test_a_chain_over_an_intermediate_is_proven(who: Authenticator) -> None:
    middle = authority("middle", NOW_NS, FRONT)
    leaf = certificate("front-proxy-client", NOW_NS, middle)
    assert (await who.authenticate(ALICE, der(leaf, middle))).name == "alice"
    with pytest.raises(UnauthorizedError):
        await who.authenticate(ALICE, der(leaf))


async def test_a_removed_ca_counts_no_more_on_a_connection_already_proven(
    who: Authenticator, trust: TrustSource
) -> None:
    assert (await who.authenticate(ALICE, PROXY)).name == "alice"
    trust.replace(Trust(requestheader_ca_pem=TWIN.cert_pem, client_ca_pem=CLIENTS.cert_pem))
    with pytest.raises(UnauthorizedError):
        await who.authenticate(ALICE, PROXY)
    trust.replace(TRUST)
    assert (await who.authenticate(ALICE, PROXY)).name == "alice"


async def test_a_certificate_that_expires_meanwhile_counts_no_more(
    who: Authenticator, clock: FakeClock
) -> None:
    assert (await who.authenticate(ALICE, PROXY)).name == "alice"
    await clock.advance(24 * 3600)
    assert (await who.authenticate(ALICE, PROXY)).name == "alice"
    await clock.advance(1)
    with pytest.raises(UnauthorizedError, match="expired"):
        await who.authenticate(ALICE, PROXY)


async def test_a_certificate_becomes_valid_within_seconds_of_its_begin(
    who: Authenticator, clock: FakeClock
) -> None:
    chain = der(certificate("front-proxy-client", NOW_NS, FRONT, begins_in_h=1 / 3600))
    with pytest.raises(UnauthorizedError):
        await who.authenticate(ALICE, chain)
    await clock.advance(10)
    assert (await who.authenticate(ALICE, chain)).name == "alice"


@pytest.mark.parametrize("line", ["Bearer good", "bearer good", "BEARER good more", " Bearer good "])
async def test_a_token_is_who_kube_apiserver_says(who: Authenticator, line: str) -> None:
    user = await who.authenticate(headers(("Authorization", line)), ())
    assert user == UserInfo("sa", ("system:serviceaccounts", AUTHENTICATED), "u1")


@pytest.mark.parametrize("line", ["Bearer", "Bearer ", "Bearer  good", "good", ""])
async def test_what_holds_no_token_is_not_judged(who: Authenticator, reviewer: Reviewer, line: str) -> None:
    assert await who.authenticate(headers(("Authorization", line)), ()) == ANONYMOUS_USER
    assert reviewer.asked == []


@pytest.mark.parametrize("token", ["bad", "muttered", "down"])
async def test_a_token_that_is_not_confirmed_is_refused_and_not_anonymous(
    who: Authenticator, token: str
) -> None:
    with pytest.raises(UnauthorizedError):
        await who.authenticate(bearer(token), ())


@pytest.mark.parametrize(("token", "times"), [("good", 1), ("bad", 1), ("muttered", 3), ("down", 3)])
async def test_clear_answers_are_kept_ten_seconds_and_doubtful_ones_not(
    who: Authenticator, reviewer: Reviewer, clock: FakeClock, token: str, times: int
) -> None:
    async def ask() -> None:
        with contextlib.suppress(UnauthorizedError):
            await who.authenticate(bearer(token), ())

    for _ in range(3):
        await ask()
    assert len(reviewer.asked) == times
    await clock.advance(10)
    await ask()
    assert len(reviewer.asked) == times + 1


async def test_without_a_time_to_live_each_request_asks(trust: TrustSource, reviewer: Reviewer) -> None:
    who = Authenticator(trust, reviewer, FakeClock(), token_ttl_ns=0)
    for _ in range(2):
        await who.authenticate(bearer("good"), ())
    assert len(reviewer.asked) == 2


async def test_the_same_token_at_once_is_asked_about_once_and_outlives_who_asked_first(
    who: Authenticator, reviewer: Reviewer
) -> None:
    reviewer.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(who.authenticate(bearer("good"), ())) for _ in range(3)]
        await settle()
        asking[0].cancel()
        await asyncio.sleep(0)
        reviewer.open.set()
    assert [t.result().name for t in asking[1:]] == ["sa", "sa"]
    assert reviewer.asked == ["good"]


async def test_made_up_tokens_are_reviewed_a_hundred_at_once_and_the_rest_after_them(
    who: Authenticator, reviewer: Reviewer
) -> None:
    reviewer.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_refused(who, f"made-up-{i}")) for i in range(300)]
        await settle()
        assert len(reviewer.asked) == 100
        reviewer.open.set()
    assert all(task.result() for task in asking)
    assert len(reviewer.asked) == 300


async def test_nothing_is_asked_for_those_who_left_before_their_turn(
    who: Authenticator, reviewer: Reviewer
) -> None:
    reviewer.open.clear()
    asking = [asyncio.create_task(_refused(who, f"made-up-{i}")) for i in range(300)]
    await settle()
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    late = asyncio.create_task(_refused(who, "made-up-299"))
    await settle()
    assert len(reviewer.asked) == 100
    reviewer.open.set()
    assert await late
    assert reviewer.asked[100:] == ["made-up-299"]


async def _refused(who: Authenticator, token: str) -> bool:
    try:
        await who.authenticate(bearer(token), ())
    except UnauthorizedError:
        return True
    return False


async def test_tokens_are_not_kept_in_the_clear(who: Authenticator) -> None:
    await who.authenticate(bearer("good"), ())
    assert "good" not in str(vars(who._tokens._reviews._answers))


def test_a_trust_that_did_not_change_keeps_its_generation(trust: TrustSource) -> None:
    before = trust.current.generation
    trust.replace(TRUST)
    assert trust.current.generation == before
    trust.replace(Trust())
    assert trust.current.generation == before + 1


def test_unusual_header_names_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    source = TrustSource(TRUST)
    for name in ("a", "b"):
        source.replace(Trust(username_headers=("X-Custom",), allowed_names=(name,)))
    assert caplog.text.count("Request headers with unusual names are trusted") == 1

"""Who may what: asked of kube-apiserver, remembered for seconds, refused when in doubt."""

import asyncio

import pytest

from pymetrics_server.auth.authorizer import Authorizer
from pymetrics_server.auth.ttlcache import TtlCache
from pymetrics_server.errors import ApiserverError, AuthorizationError, ConfigError
from pymetrics_server.meta.identity import Attributes, Decision, UserInfo
from tests.fakes.clock import FakeClock, settle

BOB = UserInfo("bob", ("dev",), extra={"scopes": ("a",)})
NODES = Attributes("list", "/apis/metrics.k8s.io/v1beta1/nodes", "metrics.k8s.io", "v1beta1", "nodes")


class Answer:
    def __init__(self, allowed: bool = False, denied: bool = False, reason: str = "") -> None:
        self.allowed, self.denied, self.reason, self.evaluation_error = allowed, denied, reason, ""


class Reviewer:
    def __init__(self) -> None:
        self.asked: list[tuple[UserInfo, Attributes]] = []
        self.answer: Answer | ApiserverError = Answer(allowed=True)
        self.open = asyncio.Event()
        self.open.set()

    async def subject_access_review(self, user: UserInfo, attributes: Attributes) -> Answer:
        self.asked.append((user, attributes))
        await self.open.wait()
        if isinstance(self.answer, ApiserverError):
            raise self.answer
        return self.answer


@pytest.fixture
def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def may(reviewer: Reviewer, clock: FakeClock) -> Authorizer:
    return Authorizer(
        reviewer,
        clock,
        allow_ttl_ns=10_000_000_000,
        deny_ttl_ns=5_000_000_000,
        always_allow_paths=["/healthz", "readyz", "/debug/*"],
    )


async def test_system_masters_pass_even_while_kube_apiserver_is_down(
    may: Authorizer, reviewer: Reviewer
) -> None:
    reviewer.answer = ApiserverError("down")
    assert (await may.authorize(UserInfo("aggregator", ("system:masters",)), NODES)).allowed
    assert reviewer.asked == []


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/healthz", False),
        ("/readyz", False),
        ("/debug/", False),
        ("/debug/pprof", False),
        ("/readyz/ping", True),
        ("/healthz/", True),
        ("/debug", True),
        ("/", True),
    ],
)
async def test_always_allowed_paths_are_exact_or_end_in_a_star(
    may: Authorizer, reviewer: Reviewer, path: str, asks: bool
) -> None:
    reviewer.answer = Answer()
    assert (await may.authorize(BOB, Attributes("get", path))).allowed is not asks
    assert bool(reviewer.asked) is asks


async def test_always_allowed_paths_allow_no_resource(reviewer: Reviewer, clock: FakeClock) -> None:
    reviewer.answer = Answer()
    may = Authorizer(reviewer, clock, always_allow_paths=["/*"])
    assert not (await may.authorize(BOB, NODES)).allowed


def test_a_star_inside_an_always_allowed_path_is_a_mistake(reviewer: Reviewer, clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match=r'^only trailing \* allowed in "a\*b"$'):
        Authorizer(reviewer, clock, always_allow_paths=["a*b"])


@pytest.mark.parametrize("answer", [Answer(), Answer(denied=True)])
async def test_no_opinion_and_a_denial_both_deny(may: Authorizer, reviewer: Reviewer, answer: Answer) -> None:
    answer.reason = "explicit"
    reviewer.answer = answer
    assert await may.authorize(BOB, NODES) == Decision(allowed=False, reason="explicit")


async def test_allowed_and_denied_at_once_is_an_error(may: Authorizer, reviewer: Reviewer) -> None:
    reviewer.answer = Answer(allowed=True, denied=True)
    with pytest.raises(AuthorizationError, match="returned both allow and deny response"):
        await may.authorize(BOB, NODES)


async def test_a_failed_review_is_an_error_with_its_words_and_is_asked_anew(
    may: Authorizer, reviewer: Reviewer
) -> None:
    reviewer.answer = ApiserverError("sar boom")
    with pytest.raises(AuthorizationError, match=r"^sar boom$"):
        await may.authorize(BOB, NODES)
    reviewer.answer = Answer(allowed=True)
    assert (await may.authorize(BOB, NODES)).allowed


@pytest.mark.parametrize(("allowed", "kept_s"), [(True, 10), (False, 5)])
async def test_answers_are_kept_as_long_as_their_kind_is(
    may: Authorizer, reviewer: Reviewer, clock: FakeClock, allowed: bool, kept_s: int
) -> None:
    reviewer.answer = Answer(allowed=allowed)
    await may.authorize(BOB, NODES)
    await clock.advance(kept_s - 1)
    await may.authorize(BOB, NODES)
    assert len(reviewer.asked) == 1
    await clock.advance(1)
    await may.authorize(BOB, NODES)
    assert len(reviewer.asked) == 2


async def test_an_answer_holds_for_exactly_the_user_and_the_question_it_was_given_for(
    may: Authorizer, reviewer: Reviewer
) -> None:
    others = [
        (UserInfo("bob", ("dev",), extra={"scopes": ("b",)}), NODES),
        (UserInfo("bob", ("ops",), extra={"scopes": ("a",)}), NODES),
        (UserInfo("bob", ("dev",), "7", {"scopes": ("a",)}), NODES),
        (BOB, Attributes("get", NODES.path, "metrics.k8s.io", "v1beta1", "nodes", name="a")),
        (BOB, Attributes("get", "/metrics")),
    ]
    await may.authorize(BOB, NODES)
    for user, asked in others:
        await may.authorize(user, asked)
    assert len(reviewer.asked) == 1 + len(others)


async def test_overlong_questions_are_not_kept(may: Authorizer, reviewer: Reviewer) -> None:
    overlong = Attributes("get", "/" + "x" * 10_000)
    for _ in range(2):
        await may.authorize(BOB, overlong)
    assert len(reviewer.asked) == 2


async def test_a_user_of_a_thousand_groups_is_remembered_in_no_more_room_than_others(
    may: Authorizer, reviewer: Reviewer
) -> None:
    for _ in range(2):
        await may.authorize(UserInfo("x", tuple(f"group-{i}" for i in range(1000))), NODES)
    assert len(reviewer.asked) == 1
    assert {len(key) for key in may._reviews._answers._entries} == {32}


async def test_the_same_question_at_once_is_asked_once(may: Authorizer, reviewer: Reviewer) -> None:
    reviewer.open.clear()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(may.authorize(BOB, NODES)) for _ in range(5)]
        await settle()
        reviewer.open.set()
    assert all(t.result().allowed for t in asking)
    assert len(reviewer.asked) == 1


async def test_closing_ends_what_is_under_way(may: Authorizer, reviewer: Reviewer) -> None:
    reviewer.open.clear()
    asking = asyncio.create_task(may.authorize(BOB, NODES))
    await settle()
    await may.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_a_full_cache_lets_go_of_what_was_used_least_recently() -> None:
    cache: TtlCache[str, int] = TtlCache(2)
    cache.put("a", 1, 10)
    cache.put("b", 2, 10)
    assert cache.get("a", 0) == 1
    cache.put("c", 3, 10)
    assert (cache.get("a", 9), cache.get("b", 9), cache.get("c", 9)) == (1, None, 3)
    assert cache.get("a", 10) is None
    assert len(cache) == 1

import pytest

from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.reviews import Reviews, SarResult, TokenReviewResult
from pymetrics_server.errors import ApiserverError
from pymetrics_server.meta.identity import Attributes, UserInfo
from tests.cluster.waiting import ImpatientClock
from tests.fakes.apiserver import FakeApiserver, Object

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LIST_PODS = Attributes(
    verb="list", path="/p", group="metrics.k8s.io", version="v1beta1", resource="pods", namespace="default"
)


@pytest.fixture
def reviews(connection: Connection) -> Reviews:
    return Reviews(connection)


async def test_a_token_is_exchanged_for_its_user(server: FakeApiserver, reviews: Reviews) -> None:
    server.token_users["alice"] = {
        "username": "Alice",
        "uid": "7",
        "groups": ["g1", "g2"],
        "extra": {"scopes": ["s"], "odd": None},
    }
    assert await reviews.token_review("alice") == TokenReviewResult(
        True, UserInfo("Alice", ("g1", "g2"), "7", {"scopes": ("s",), "odd": ()})
    )
    assert server.requests[0].body == (
        b'{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},'
        b'"spec":{"token":"alice"},"status":{"user":{}}}'
    )
    assert server.requests[0].headers["Content-Type"] == "application/json"
    assert server.requests[0].headers["Accept"] == "application/json, */*"
    assert await reviews.token_review("mallory") == TokenReviewResult(False)


async def test_the_question_about_a_resource_has_kubernetes_own_shape(
    server: FakeApiserver, reviews: Reviews
) -> None:
    user = UserInfo(
        "proxied", ("g1", "system:authenticated"), "uid-7", {"scopes": ("s",), "foo/bar": ("v1",)}
    )
    assert await reviews.subject_access_review(user, LIST_PODS) == SarResult(allowed=True)
    assert server.requests[0].query == {"timeout": "10s"}
    assert server.requests[0].body == (
        b'{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1",'
        b'"metadata":{"creationTimestamp":null},"spec":{"resourceAttributes":{"namespace":"default",'
        b'"verb":"list","group":"metrics.k8s.io","version":"v1beta1","resource":"pods"},"user":"proxied",'
        b'"groups":["g1","system:authenticated"],"extra":{"foo/bar":["v1"],"scopes":["s"]},"uid":"uid-7"},'
        b'"status":{"allowed":false}}'
    )


async def test_the_question_about_a_path_names_path_and_verb_only(
    server: FakeApiserver, reviews: Reviews
) -> None:
    def access(spec: Object) -> Object:
        assert spec == {
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
            "user": "carol",
            "groups": ["devs"],
        }
        return {"allowed": False, "denied": True, "reason": "explicit", "evaluationError": "odd role"}

    server.access = access
    answer = await reviews.subject_access_review(
        UserInfo("carol", ("devs",)), Attributes(verb="get", path="/metrics")
    )
    assert answer == SarResult(False, True, "explicit", "odd role")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_failure_is_tried_again(
    server: FakeApiserver, reviews: Reviews, clock: ImpatientClock, status: int
) -> None:
    server.refuse(ACCESS, status, "boom", times=4)
    assert (await reviews.subject_access_review(UserInfo("bob"), LIST_PODS)).allowed
    assert len(server.requests) == 5
    for slept, least in zip(clock.slept, (0.5, 0.75, 1.125, 1.6875), strict=True):
        assert least <= slept <= least * 1.2


async def test_a_failure_that_stays_is_raised_in_the_apiservers_words(
    server: FakeApiserver, reviews: Reviews
) -> None:
    server.refuse(ACCESS, 500, "sar boom", times=9)
    with pytest.raises(ApiserverError, match=r"^sar boom$") as raised:
        await reviews.subject_access_review(UserInfo("bob"), LIST_PODS)
    assert raised.value.status == 500
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_a_refusal_is_not_tried_again(server: FakeApiserver, reviews: Reviews, status: int) -> None:
    server.refuse(TOKENS, status, "no", times=9)
    with pytest.raises(ApiserverError) as raised:
        await reviews.token_review("t")
    assert raised.value.status == status
    assert len(server.requests) == 1


async def test_an_apiserver_that_is_away_is_named(
    server: FakeApiserver, reviews: Reviews, clock: ImpatientClock
) -> None:
    await server.stop()
    with pytest.raises(ApiserverError, match=f"^cannot reach {server.url}: connection refused$"):
        await reviews.token_review("t")
    assert len(clock.slept) == 4


async def test_no_more_is_tried_than_ten_seconds_hold(
    server: FakeApiserver, reviews: Reviews, clock: ImpatientClock
) -> None:
    server.refuse(ACCESS, 500, "boom", times=9)
    clock.oversleeps_s = 8.8
    with pytest.raises(ApiserverError, match="boom"):
        await reviews.subject_access_review(UserInfo("bob"), LIST_PODS)
    assert len(clock.slept) == 1

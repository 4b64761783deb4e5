"""TokenReview and SubjectAccessReview: kube-apiserver says who a token is, and what a user may."""

import random
from collections.abc import Mapping

import msgspec

from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.grants import DELEGATOR, Need, Standing
from pymetrics_server.errors import ApiserverError
from pymetrics_server.meta.identity import Attributes, UserInfo

_TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105  a path
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews?timeout=10s"

_DEADLINE_S = 10.0
_SHORTEST_ATTEMPT_S = 0.01  # none at all would be no deadline
_ATTEMPTS = 5
_BACKOFF_FIRST_S, _BACKOFF_FACTOR, _BACKOFF_JITTER = 0.5, 1.5, 0.2


class TokenReviewResult(msgspec.Struct, frozen=True):
    authenticated: bool
    user: UserInfo | None = None
    error: str = ""


class SarResult(msgspec.Struct, frozen=True):
    allowed: bool
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""


class _User(msgspec.Struct):
    username: str | None = None
    uid: str | None = None
    groups: list[str] | None = None
    extra: dict[str, list[str] | None] | None = None


class _TokenStatus(msgspec.Struct):
    authenticated: bool | None = None
    user: _User | None = None
    error: str | None = None


class _TokenReview(msgspec.Struct):
    status: _TokenStatus | None = None


class _AccessStatus(msgspec.Struct):
    allowed: bool | None = None
    denied: bool | None = None
    reason: str | None = None
    evaluation_error: str | None = msgspec.field(name="evaluationError", default=None)


class _AccessReview(msgspec.Struct):
    status: _AccessStatus | None = None


_token_review = msgspec.json.Decoder(_TokenReview)
_access_review = msgspec.json.Decoder(_AccessReview)


class Reviews:
    """Failures raise ApiserverError, at the latest after 10 s."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._clock = connection.clock
        self._tokens, self._access = (
            Standing("create", Need(resource, DELEGATOR), connection.server)
            for resource in (
                "tokenreviews.authentication.k8s.io",
                "subjectaccessreviews.authorization.k8s.io",
            )
        )

    async def token_review(self, token: str) -> TokenReviewResult:
        body = _review("TokenReview", "authentication.k8s.io/v1", {"token": token}, {"user": {}})
        answer = await self._post(_TOKEN_REVIEWS, body, self._tokens)
        try:
            status = _token_review.decode(answer).status or _TokenStatus()
        except (msgspec.MsgspecError, UnicodeDecodeError) as err:
            raise ApiserverError(f"kube-apiserver answered with what is no TokenReview: {err}") from err
        user = status.user if status.authenticated else None
        return TokenReviewResult(
            authenticated=bool(status.authenticated),
            user=None if user is None else _user(user),
            error=status.error or "",
        )

    async def subject_access_review(self, user: UserInfo, attributes: Attributes) -> SarResult:
        body = _review(
            "SubjectAccessReview",
            "authorization.k8s.io/v1",
            _access_spec(user, attributes),
            {"allowed": False},
        )
        answer = await self._post(_ACCESS_REVIEWS, body, self._access)
        try:
            status = _access_review.decode(answer).status or _AccessStatus()
        except (msgspec.MsgspecError, UnicodeDecodeError) as err:
            raise ApiserverError(
                f"kube-apiserver answered with what is no SubjectAccessReview: {err}"
            ) from err
        return SarResult(
            allowed=bool(status.allowed),
            denied=bool(status.denied),
            reason=status.reason or "",
            evaluation_error=status.evaluation_error or "",
        )

    async def _post(self, path: str, body: bytes, standing: Standing) -> bytes:
        ends_ns = self._clock.monotonic_ns() + int(_DEADLINE_S * 1e9)
        wait_s = _BACKOFF_FIRST_S
        attempt = 1
        while True:
            left_s = (ends_ns - self._clock.monotonic_ns()) / 1e9
            try:
                answer = await self._connection.post_json(path, body, max(left_s, _SHORTEST_ATTEMPT_S))
            except ApiserverError as err:
                if err.status in (401, 403):
                    standing.refused(err)
                pause_s = wait_s * (1 + _BACKOFF_JITTER * random.random())  # noqa: S311  no secret comes of it
                left_s = (ends_ns - self._clock.monotonic_ns()) / 1e9
                if not _passing(err) or attempt == _ATTEMPTS or left_s <= pause_s:
                    raise
            else:
                standing.granted()
                return answer
            await self._clock.sleep(pause_s)
            wait_s *= _BACKOFF_FACTOR
            attempt += 1


def _passing(err: ApiserverError) -> bool:
    return err.status in (0, 429) or err.status >= 500


def _review(kind: str, api_version: str, spec: object, status: object) -> bytes:
    return msgspec.json.encode(
        {
            "kind": kind,
            "apiVersion": api_version,
            "metadata": {"creationTimestamp": None},
            "spec": spec,
            "status": status,
        }
    )


def _access_spec(user: UserInfo, asked: Attributes) -> Mapping[str, object]:
    """In the order of Kubernetes' own struct; empty values are left out."""
    if asked.is_resource_request:
        what = {
            "namespace": asked.namespace,
            "verb": asked.verb,
            "group": asked.group,
            "version": asked.version,
            "resource": asked.resource,
            "subresource": asked.subresource,
            "name": asked.name,
        }
        spec: dict[str, object] = {"resourceAttributes": {key: value for key, value in what.items() if value}}
    else:
        spec = {"nonResourceAttributes": {"path": asked.path, "verb": asked.verb}}
    about = {
        "user": user.name,
        "groups": user.groups,
        "extra": {key: user.extra[key] for key in sorted(user.extra)},
        "uid": user.uid,
    }
    return spec | {key: value for key, value in about.items() if value}


def _user(found: _User) -> UserInfo:
    return UserInfo(
        name=found.username or "",
        groups=tuple(found.groups or ()),
        uid=found.uid or "",
        extra={key: tuple(values or ()) for key, values in (found.extra or {}).items()},
    )

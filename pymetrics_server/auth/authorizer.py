"""May they: system:masters always, some paths always, else kube-apiserver says (SubjectAccessReview)."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec

from pymetrics_server.auth.lookups import Lookups
from pymetrics_server.clock import Clock
from pymetrics_server.errors import ApiserverError, AuthorizationError, ConfigError
from pymetrics_server.log import Logger
from pymetrics_server.meta.identity import MASTERS_GROUP, Attributes, Decision, UserInfo

log = Logger(__name__)

_MAX_KEPT = 8192
_MAX_KEPT_ATTRIBUTES = 10_000  # characters; a longer question is asked anew each time


class AccessReviewAnswer(Protocol):
    @property
    def allowed(self) -> bool: ...
    @property
    def denied(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def evaluation_error(self) -> str: ...


class SubjectAccessReviewer(Protocol):
    async def subject_access_review(self, user: UserInfo, attributes: Attributes) -> AccessReviewAnswer:
        """Raises ApiserverError."""
        ...


class Authorizer:
    """always_allow_paths: exact, or with one trailing `*`; anything else in them is a ConfigError."""

    def __init__(
        self,
        reviewer: SubjectAccessReviewer,
        clock: Clock,
        *,
        allow_ttl_ns: int = 10_000_000_000,
        deny_ttl_ns: int = 10_000_000_000,
        always_allow_paths: Sequence[str] = (),
    ) -> None:
        self._reviewer = reviewer
        self._allow_ttl_ns = allow_ttl_ns
        self._deny_ttl_ns = deny_ttl_ns
        self._always_allowed = _Paths(always_allow_paths)
        self._reviews: Lookups[bytes, Decision] = Lookups(
            "subject access review", self._kept_ns, clock, _MAX_KEPT
        )

    async def authorize(self, user: UserInfo, attributes: Attributes) -> Decision:
        """Raises AuthorizationError where nobody can say."""
        if MASTERS_GROUP in user.groups:
            return Decision(allowed=True)
        if not attributes.is_resource_request and attributes.path in self._always_allowed:
            return Decision(allowed=True)
        try:
            if _length(attributes) >= _MAX_KEPT_ATTRIBUTES:
                return await self._reviews.get_anew(lambda: self._review(user, attributes))
            # A hash, so that a user of a thousand groups is remembered, too, and takes no more room than others.
            key = blake2b(msgspec.json.encode((user, attributes), order="deterministic"), digest_size=32)
            return await self._reviews.get(key.digest(), lambda: self._review(user, attributes))
        except ApiserverError as err:
            raise AuthorizationError(str(err)) from err

    async def close(self) -> None:
        await self._reviews.close()

    async def _review(self, user: UserInfo, attributes: Attributes) -> Decision:
        answer = await self._reviewer.subject_access_review(user, attributes)
        if answer.evaluation_error:
            log.info("A SubjectAccessReview had an error", v=2, user=user.name, err=answer.evaluation_error)
        if answer.allowed and answer.denied:
            raise AuthorizationError("webhook subject access review returned both allow and deny response")
        return Decision(answer.allowed, answer.reason)

    def _kept_ns(self, decision: Decision) -> int:
        return self._allow_ttl_ns if decision.allowed else self._deny_ttl_ns


def _length(attributes: Attributes) -> int:
    return sum(map(len, msgspec.structs.astuple(attributes)))


class _Paths:
    def __init__(self, paths: Sequence[str]) -> None:
        self._exact: set[str] = set()
        prefixes: list[str] = []
        for path in (p.removeprefix("/") for p in paths):
            if "*" in path[:-1]:
                raise ConfigError(f'only trailing * allowed in "{path}"')
            if path.endswith("*"):
                prefixes.append(path[:-1])
            else:
                self._exact.add(path)
        self._prefixes = tuple(prefixes)

    def __contains__(self, path: str) -> bool:
        bare = path.removeprefix("/")
        return bare in self._exact or bare.startswith(self._prefixes)

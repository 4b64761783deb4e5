"""Bearer tokens: kube-apiserver says whose they are (TokenReview); what it said is kept for some seconds.

Tokens themselves are not kept: answers are found by a hash of the token under a key made at start.
"""

import hashlib
import secrets
from typing import Protocol

from multidict import CIMultiDictProxy

from pymetrics_server.auth.lookups import Lookups
from pymetrics_server.clock import Clock
from pymetrics_server.errors import ApiserverError, UnauthorizedError
from pymetrics_server.meta.identity import UserInfo

_MAX_KEPT = 4096
_LONGEST_TOKEN = 1 << 16  # ten times what issuers make; a review carries it on


class TokenReviewAnswer(Protocol):
    @property
    def authenticated(self) -> bool: ...
    @property
    def user(self) -> UserInfo | None: ...
    @property
    def error(self) -> str: ...


class TokenReviewer(Protocol):
    async def token_review(self, token: str) -> TokenReviewAnswer:
        """Raises ApiserverError."""
        ...


class BearerTokens:
    """ttl_ns bounds how long a revoked token is still believed; 0 asks anew each time."""

    def __init__(self, reviewer: TokenReviewer, clock: Clock, ttl_ns: int) -> None:
        self._reviewer = reviewer
        self._hash_key = secrets.token_bytes(32)
        self._ttl_ns = ttl_ns
        self._reviews: Lookups[bytes, TokenReviewAnswer] = Lookups(
            "token review", self._kept_ns, clock, _MAX_KEPT
        )

    async def authenticate(self, headers: CIMultiDictProxy[str]) -> UserInfo | None:
        """None is no opinion: there is no bearer token."""
        token = token_in(headers)
        if not token:
            return None
        if len(token) > _LONGEST_TOKEN:
            raise UnauthorizedError("invalid bearer token, longer than any")
        try:
            key = hashlib.blake2b(token.encode(), key=self._hash_key, digest_size=32).digest()
        except UnicodeEncodeError:  # bytes that no TokenReview could carry
            raise UnauthorizedError("invalid bearer token, not UTF-8") from None
        try:
            answer = await self._reviews.get(key, lambda: self._review(token))
        except ApiserverError as err:
            raise UnauthorizedError(f"the token could not be reviewed: {_without(token, str(err))}") from None
        if answer.authenticated and answer.user is not None:
            return answer.user
        said = _without(token, answer.error)
        raise UnauthorizedError(f"invalid bearer token, {said}" if said else "invalid bearer token")

    async def close(self) -> None:
        await self._reviews.close()

    async def _review(self, token: str) -> TokenReviewAnswer:
        return await self._reviewer.token_review(token)

    def _kept_ns(self, answer: TokenReviewAnswer) -> int:
        """A rejection with a message may be a passing failure of whoever judged."""
        return 0 if answer.error and not answer.authenticated else self._ttl_ns


def _without(token: str, said: str) -> str:
    """Whoever judged the token may have quoted it, and what is said is logged."""
    return said.replace(token, "(token)")


def token_in(headers: CIMultiDictProxy[str]) -> str:
    """Empty where there is none; two blanks before the token make it none, as in metrics-server."""
    parts = headers.get("Authorization", "").strip().split(" ", 2)
    return parts[1] if len(parts) > 1 and parts[0].lower() == "bearer" else ""

"""The chain of authenticators: request header, client certificate, bearer token, then nobody in particular.

The first that succeeds wins, even where one before it failed; where none succeeds, any failure is a 401.
Certificates are proven once for each trust, not once for each request.
"""

from typing import NamedTuple

import msgspec
from multidict import CIMultiDictProxy

from pymetrics_server.auth import clientcert, requestheader
from pymetrics_server.auth.bearer import BearerTokens, TokenReviewer
from pymetrics_server.auth.expiry import Expiry
from pymetrics_server.auth.trust import TrustSource
from pymetrics_server.auth.ttlcache import TtlCache
from pymetrics_server.clock import Clock
from pymetrics_server.errors import UnauthorizedError, UntrustedError
from pymetrics_server.meta.identity import (
    ANONYMOUS,
    ANONYMOUS_USER,
    AUTHENTICATED_GROUP,
    UNAUTHENTICATED_GROUP,
    UserInfo,
)
from pymetrics_server.x509 import Proven, prove

_MAX_PROOFS = 256
_READ_OF_CHAIN = 9  # more is not looked at, and would only be kept
_REFUSAL_KEPT_NS = 10_000_000_000


class Authenticator:
    def __init__(
        self,
        trust: TrustSource,
        reviewer: TokenReviewer,
        clock: Clock,
        *,
        token_ttl_ns: int = 10_000_000_000,
        anonymous: bool = True,
        expiry: Expiry | None = None,
    ) -> None:
        self._trust = trust
        self._clock = clock
        self._expiry = expiry
        self._tokens = BearerTokens(reviewer, clock, token_ttl_ns)
        self._proofs = _Proofs(clock)
        self._anonymous = anonymous

    async def authenticate(self, headers: CIMultiDictProxy[str], chain_der: tuple[bytes, ...]) -> UserInfo:
        """chain_der: what the client presented in the handshake, leaf first. Raises UnauthorizedError."""
        refusals: list[str] = []
        user = self._by_certificate(headers, chain_der, refusals)
        if user is None:
            try:
                user = await self._tokens.authenticate(headers)
            except UnauthorizedError as err:
                refusals.append(str(err))
        if user is not None:
            return _with_authenticated(user)
        if refusals:
            raise UnauthorizedError(f"[{', '.join(dict.fromkeys(refusals))}]")
        if not self._anonymous:
            raise UnauthorizedError("no credentials were presented")
        return ANONYMOUS_USER

    async def close(self) -> None:
        await self._tokens.close()

    def _by_certificate(
        self, headers: CIMultiDictProxy[str], chain_der: tuple[bytes, ...], refusals: list[str]
    ) -> UserInfo | None:
        if not chain_der:
            return None
        trust = self._trust.current

        def proven(chain: tuple[bytes, ...], ca_pem: bytes) -> Proven:
            return self._proofs.proven(chain, ca_pem, trust.generation)

        try:
            if (found := requestheader.authenticate(headers, chain_der, trust, proven)) is not None:
                user, proof = found
                if self._expiry is not None:
                    self._expiry.front_proxy(proof, self._clock.now_ns())
                return user
        except UnauthorizedError as err:
            refusals.append(str(err))
        try:
            if (found := clientcert.authenticate(chain_der, trust, proven)) is not None:
                user, proof = found
                if self._expiry is not None:
                    self._expiry.client(proof, self._clock.now_ns())
                return user
        except UnauthorizedError as err:
            refusals.append(str(err))
        return None


class _ProofKey(NamedTuple):
    chain_der: tuple[bytes, ...]
    ca_pem: bytes
    generation: int


class _Proofs:
    """A proof is kept for as long as its chain is valid, a refusal for seconds: clocks and dates move."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: TtlCache[_ProofKey, Proven | UntrustedError] = TtlCache(_MAX_PROOFS)

    def proven(self, chain_der: tuple[bytes, ...], ca_pem: bytes, generation: int) -> Proven:
        now_ns = self._clock.now_ns()
        key = _ProofKey(chain_der[:_READ_OF_CHAIN], ca_pem, generation)
        kept = self._kept.get(key, now_ns)
        if isinstance(kept, Proven) and now_ns < kept.valid_from_ns:
            kept = None
        if kept is None:
            kept = self._prove(key, now_ns)
        if isinstance(kept, UntrustedError):
            raise UntrustedError(str(kept))
        return kept

    def _prove(self, key: _ProofKey, now_ns: int) -> Proven | UntrustedError:
        try:
            proof = prove(key.chain_der, key.ca_pem, now_ns)
        except UntrustedError as err:
            refusal = UntrustedError(str(err))
            self._kept.put(key, refusal, now_ns + _REFUSAL_KEPT_NS)
            return refusal
        self._kept.put(key, proof, proof.valid_until_ns + 1)
        return proof


def _with_authenticated(user: UserInfo) -> UserInfo:
    if user.name == ANONYMOUS or AUTHENTICATED_GROUP in user.groups or UNAUTHENTICATED_GROUP in user.groups:
        return user
    return msgspec.structs.replace(user, groups=(*user.groups, AUTHENTICATED_GROUP))

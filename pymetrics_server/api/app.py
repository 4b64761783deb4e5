"""One request from its line to its last byte: the filters in kube-apiserver's order, then what answers.

Audit-Id, deadline, who asks (401), requests in flight (429), whether they may (403), and only then
whether there is such a path: 403 comes before 404, 405 and 406.
"""

import asyncio
import random
from collections.abc import Sequence
from itertools import count
from traceback import format_exception
from uuid import uuid4

from aiohttp import web

from pymetrics_server.api.cors import compile_origins, cors_headers, hsts_headers, preflight_reply
from pymetrics_server.api.counted import labels_of
from pymetrics_server.api.debugflags import LONGEST_BODY_BYTES
from pymetrics_server.api.draining import Draining, turned_away
from pymetrics_server.api.exchange import Exchange
from pymetrics_server.api.interfaces import AuditTrail, Authenticator, Authorizer, Impersonation, PeerChain
from pymetrics_server.api.pace import DeadlineError, before
from pymetrics_server.api.reply import NOSNIFF, Reply, text_reply
from pymetrics_server.api.request import HEALTH_ENDPOINTS, Route, Target, first, parse_target
from pymetrics_server.api.routes import Routes
from pymetrics_server.api.send import is_small, send, small_response
from pymetrics_server.clock import Clock
from pymetrics_server.errors import PymetricsError, UnauthorizedError
from pymetrics_server.log import Logger, enabled
from pymetrics_server.meta.duration import format_go, parse_go
from pymetrics_server.meta.identity import ANONYMOUS, MASTERS_GROUP, UserInfo
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.meta.status import (
    StatusError,
    bad_request,
    forbidden,
    internal_error,
    request_timeout,
    unauthorized,
)
from pymetrics_server.telemetry import Telemetry

log = Logger(__name__)

_UNGUARDED_PATHS = frozenset(f"/{endpoint}" for endpoint in HEALTH_ENDPOINTS)
_BLANK_TOKEN = (
    '299 - "the provided Authorization header contains extra space before the bearer token, and is ignored"'  # noqa: S105  a warning about tokens
)
#: All but the last twelve digits of an audit id, which count on from anywhere: at a tenth of uuid4's price.
_PROCESS = str(uuid4())[:24]
_AUDIT_NUMBERS = (1 << 48) - 1
_number = count(random.getrandbits(48))
_FAREWELL_S = 1.0  # for an answer that was ready only as its deadline passed
_PANIC = "This request caused apiserver to panic. Look in the logs for details."


class App:
    """The handler of an aiohttp.web.Server; `max_requests_inflight` 0 is no limit.

    `cors_allowed_origins` and `strict_transport_security` are the flags of those names.
    """

    def __init__(
        self,
        *,
        routes: Routes,
        authenticator: Authenticator,
        authorizer: Authorizer,
        impersonation: Impersonation | None = None,
        audit_trail: AuditTrail | None = None,
        peer_chain: PeerChain,
        telemetry: Telemetry,
        clock: Clock,
        max_requests_inflight: int,
        request_timeout_s: float,
        cors_allowed_origins: Sequence[str] = (),
        strict_transport_security: Sequence[str] = (),
    ) -> None:
        self._routes = routes
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._impersonation = impersonation
        self._audit_trail = audit_trail
        self._peer_chain = peer_chain
        self._telemetry = telemetry
        self._clock = clock
        self._max_requests_inflight = max_requests_inflight
        self._request_timeout_s = request_timeout_s
        self._origins = compile_origins(cors_allowed_origins)
        self._always = {"Server": "pymetrics-server", **hsts_headers(strict_transport_security)}
        self._in_flight = 0
        self.draining = Draining()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        draining = self.draining
        if draining.has_begun and draining.turns_away(request.path, request.headers.get("User-Agent", "")):
            audit_id = _audit_id(request)
            target = parse_target(request.method, request.raw_path)
            self._record(request, target, 429, self._clock.monotonic_ns(), audit_id)
            return turned_away(audit_id)
        counts = draining.comes()
        try:
            return draining.parting(await self._answered(request))
        finally:
            if counts:
                draining.goes()

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        started_ns = self._clock.monotonic_ns()
        target = parse_target(request.method, request.raw_path)
        if target.route is Route.MALFORMED:
            refused = web.Response(text="400 Bad Request", status=400, headers=self._always)
            refused.force_close()
            return refused
        exchange = Exchange(request.method, target, request.headers)
        headers = {
            "Audit-Id": _audit_id(request),
            "Cache-Control": "no-cache, private",
            **self._always,
        }
        cors = cors_headers(request.headers.get("Origin", ""), self._origins) if self._origins else None
        headers |= cors or {}
        code = 499  # the client left before there was an answer
        try:
            expires = asyncio.get_running_loop().time()
            try:
                expires += self._timeout_s(exchange.target)
                if cors is not None and request.method == "OPTIONS":
                    reply = preflight_reply()
                else:
                    reply = await self._before(expires, request, exchange)
            except StatusError as status:
                reply = exchange.failed(status)
            code = reply.code
            if exchange.warning:
                headers["Warning"] = exchange.warning
            if is_small(reply):
                return small_response(request.method, reply, headers)
            return await self._sent_before(expires, request, reply, headers)
        finally:
            if exchange.admitted:
                self._in_flight -= 1
                self._telemetry.set_in_flight(self._in_flight)
            self._record(request, exchange.target, code, started_ns, headers["Audit-Id"])

    def _timeout_s(self, target: Target) -> float:
        """`?timeout=` shortens the deadline and never extends it. Raises StatusError 400."""
        if not (text := first(target.query, "timeout")):
            return self._request_timeout_s
        try:
            timeout_ns = parse_go(text)
        except ValueError as err:
            raise bad_request(f"invalid timeout specified in the request URL - {err}") from None
        return min(timeout_ns / 1e9, self._request_timeout_s) if timeout_ns > 0 else self._request_timeout_s

    async def _before(self, expires: float, request: web.BaseRequest, exchange: Exchange) -> Reply:
        try:
            return await before(expires, self._filtered(request, exchange))
        except StatusError as status:
            return exchange.failed(status)
        except DeadlineError:
            return exchange.failed(request_timeout())
        except Exception as err:
            path = exchange.target.attributes.path
            log.error("Request panicked", err, path=path, traceback="".join(format_exception(err)))
            return exchange.failed(internal_error(_PANIC))

    async def _sent_before(
        self, expires: float, request: web.BaseRequest, reply: Reply, headers: dict[str, str]
    ) -> web.StreamResponse:
        """An answer that cannot be delivered in time is cut off: the client sees that it is not whole."""
        expires = max(expires, asyncio.get_running_loop().time() + _FAREWELL_S)
        try:
            async with asyncio.timeout_at(expires):
                return await send(request, reply, headers, request.headers.get("Accept-Encoding", ""))
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=504)

    async def _filtered(self, request: web.BaseRequest, exchange: Exchange) -> Reply:
        """Raises StatusError."""
        attributes = exchange.target.attributes
        try:
            user = await self._authenticator.authenticate(
                request.headers, self._peer_chain(request.transport)
            )
        except UnauthorizedError as err:
            self._refused(request, exchange, 401, f"Unable to authenticate the request: {err}")
            raise unauthorized() from err
        if self._impersonation is not None:
            try:
                user = await self._impersonation.acting(user, request.headers)
            except StatusError as status:
                self._refused(request, exchange, status.code, "may not impersonate", user)
                return exchange.failed(status, NOSNIFF)
            except PymetricsError as err:
                return _undecided(request, err)
        if user.name == ANONYMOUS and _has_blank_token(exchange.header("Authorization")):
            exchange.warning = _BLANK_TOKEN
        if not self._admits(user, exchange):
            text = "Too many requests, please try again later.\n"
            return text_reply(text, 429, {"Retry-After": "1"})
        try:
            decision = await self._authorizer.authorize(user, attributes)
        except PymetricsError as err:
            self._refused(request, exchange, 500, f"cannot be decided: {err}", user)
            return _undecided(request, err)
        if not decision.allowed:
            self._refused(request, exchange, 403, "not allowed", user)
            return exchange.failed(forbidden(attributes, user, decision.reason), NOSNIFF)
        if exchange.target.route is Route.VERBOSITY:
            exchange.body = await _body(request)
        return await self._routes.reply(exchange)

    def _refused(
        self,
        request: web.BaseRequest,
        exchange: Exchange,
        code: int,
        reason: str,
        user: UserInfo | None = None,
    ) -> None:
        if self._audit_trail is None:
            return
        self._audit_trail.refused(
            code,
            reason,
            request.remote or "",
            self._peer_chain(request.transport),
            "" if user is None else user.name,
            f"{exchange.target.attributes.verb} {exchange.target.attributes.path}",
        )

    def _admits(self, user: UserInfo, exchange: Exchange) -> bool:
        """Probes are always let in: a server that is merely busy must not be restarted."""
        path = exchange.target.attributes.path
        if not self._max_requests_inflight or path in _UNGUARDED_PATHS or MASTERS_GROUP in user.groups:
            return True
        if self._in_flight >= self._max_requests_inflight:
            return False
        self._in_flight += 1
        self._telemetry.set_in_flight(self._in_flight)
        exchange.admitted = True
        return True

    def _record(
        self, request: web.BaseRequest, target: Target, code: int, started_ns: int, audit_id: str
    ) -> None:
        latency_ns = self._clock.monotonic_ns() - started_ns
        self._telemetry.observe_request(labels_of(target), code, latency_ns / 1e9)
        if enabled(3):
            values: dict[str, object] = {
                "verb": target.attributes.verb.upper(),
                "URI": request.raw_path,
                "latency": format_go(latency_ns),
                "userAgent": request.headers.get("User-Agent", ""),
                "audit-ID": audit_id,
                "srcIP": request.remote or "",
                "resp": code,
            }
            log.info("HTTP", v=3, **values)


def _audit_id(request: web.BaseRequest) -> str:
    """The client's, or a UUID in the form of version 4: it tells requests apart, and keeps no secret."""
    return request.headers.get("Audit-Id") or f"{_PROCESS}{next(_number) & _AUDIT_NUMBERS:012x}"


async def _body(request: web.BaseRequest) -> bytes:
    """The longest that is of use, and a byte. Raises StatusError 400 where it is not what its headers say."""
    try:
        return await request.content.readexactly(LONGEST_BODY_BYTES + 1)
    except asyncio.IncompleteReadError as err:
        return err.partial
    except (ConnectionError, web.PayloadAccessError, web.RequestPayloadError) as err:
        raise bad_request(f"the body cannot be read: {err}") from None


def _has_blank_token(authorization: str) -> bool:
    scheme, *rest = authorization.strip().split(" ", 2)
    return scheme.lower() == "bearer" and len(rest) == 2 and not rest[0]


def _undecided(request: web.BaseRequest, err: PymetricsError) -> Reply:
    return text_reply(_html_free(f"Internal Server Error: {go_quote(request.raw_path)}: {err}\n"), 500)


def _html_free(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

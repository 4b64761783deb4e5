"""One request from its line to its last byte: the filters in kube-apiserver's order, then what answers.

Audit-Id, deadline, who asks (401), requests in flight (429), whether they may (403), and only then
whether there is such a path: 403 comes before 404, 405 and 406.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from traceback import format_exception

import msgspec
from aiohttp import web

from pymetrics_server.api import discovery
from pymetrics_server.api.health import Check, check_reply, endpoint_reply
from pymetrics_server.api.interfaces import (
    Authenticator,
    Authorizer,
    NodeLister,
    PeerChain,
    PodLister,
    Selector,
    UsageReader,
)
from pymetrics_server.api.metrics import Metrics
from pymetrics_server.api.negotiation import JSON, Representation, check_route, for_error, negotiate
from pymetrics_server.api.nodes import Nodes
from pymetrics_server.api.pods import Pods
from pymetrics_server.api.reply import NOSNIFF, Reply, json_reply, status_reply, text_reply
from pymetrics_server.api.request import HEALTH_ENDPOINTS, VERSIONS, Route, Target, first, parse_target
from pymetrics_server.api.send import send
from pymetrics_server.clock import Clock
from pymetrics_server.errors import PymetricsError, UnauthorizedError
from pymetrics_server.log import Logger, enabled
from pymetrics_server.meta.duration import format_go, parse_go
from pymetrics_server.meta.identity import MASTERS_GROUP, UserInfo
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.meta.status import (
    METRICS_GROUP,
    StatusError,
    bad_request,
    forbidden,
    internal_error,
    method_not_allowed,
    not_found_generic,
    request_timeout,
    unauthorized,
)
from pymetrics_server.telemetry import CONTENT_TYPE, Telemetry

log = Logger(__name__)

_UNGUARDED_PATHS = frozenset(f"/{endpoint}" for endpoint in HEALTH_ENDPOINTS)
_VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
_FAREWELL_S = 1.0  # for an answer that was ready only as its deadline passed
_PANIC = "This request caused apiserver to panic. Look in the logs for details."


class _Exchange(msgspec.Struct):
    """What is known of one request while it is answered."""

    target: Target
    accept: str
    user_agent: str
    admitted: bool = False  # counts among the requests in flight

    def representation(self, *, streamed: bool = False, transforms: bool = False) -> Representation:
        return negotiate(
            self.accept, self.target.query, self.user_agent, streamed=streamed, transforms=transforms
        )

    def failed(self, status: StatusError, headers: Mapping[str, str] | None = None) -> Reply:
        return status_reply(status, for_error(self.accept, self.target.query, self.user_agent), headers)


class App:
    """The handler of an aiohttp.web.Server.

    `checks` maps healthz, livez and readyz to their checks in the order of their lines; `node_selector`
    narrows lists of nodes; `max_requests_inflight` 0 is no limit.
    """

    def __init__(
        self,
        *,
        nodes: NodeLister,
        pods: PodLister,
        usage: UsageReader,
        authenticator: Authenticator,
        authorizer: Authorizer,
        peer_chain: PeerChain,
        telemetry: Telemetry,
        clock: Clock,
        checks: Mapping[str, Sequence[Check]],
        node_selector: Selector,
        max_requests_inflight: int,
        request_timeout_s: float,
        secure_port: int,
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._peer_chain = peer_chain
        self._telemetry = telemetry
        self._clock = clock
        self._checks = checks
        self._max_requests_inflight = max_requests_inflight
        self._request_timeout_s = request_timeout_s
        self._secure_port = secure_port
        self._started_s = clock.now_ns() // 1_000_000_000
        self._in_flight = 0
        self._nodes = Metrics(Nodes(nodes, usage, node_selector), telemetry, clock)
        self._pods = Metrics(Pods(pods, usage), telemetry, clock)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        started_ns = self._clock.monotonic_ns()
        exchange = _Exchange(
            parse_target(request.method, request.raw_path),
            request.headers.get("Accept", ""),
            request.headers.get("User-Agent", ""),
        )
        headers = {
            "Audit-Id": request.headers.get("Audit-Id") or str(uuid.uuid4()),
            "Cache-Control": "no-cache, private",
            "Server": "pymetrics-server",
        }
        code = 499  # the client left before there was an answer
        try:
            expires = asyncio.get_running_loop().time()
            try:
                expires += self._timeout_s(exchange.target)
                reply = await self._before(expires, request, exchange)
            except StatusError as status:
                reply = exchange.failed(status)
            code = reply.code
            return await self._sent_before(expires, request, reply, headers)
        finally:
            self._in_flight -= exchange.admitted
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

    async def _before(self, expires: float, request: web.BaseRequest, exchange: _Exchange) -> Reply:
        deadline = asyncio.timeout_at(expires)
        try:
            async with deadline:
                return await self._filtered(request, exchange)
        except StatusError as status:
            return exchange.failed(status)
        except Exception as err:
            if deadline.expired():
                return exchange.failed(request_timeout())
            path = exchange.target.attributes.path
            log.error("Request panicked", err, path=path, traceback="".join(format_exception(err)))
            return exchange.failed(internal_error(_PANIC))

    async def _sent_before(
        self, expires: float, request: web.BaseRequest, reply: Reply, headers: Mapping[str, str]
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

    async def _filtered(self, request: web.BaseRequest, exchange: _Exchange) -> Reply:
        """Raises StatusError."""
        attributes = exchange.target.attributes
        try:
            user = await self._authenticator.authenticate(
                request.headers, self._peer_chain(request.transport)
            )
        except UnauthorizedError as err:
            log.error("Unable to authenticate the request", err)
            raise unauthorized() from err
        if not self._admits(user, exchange):
            text = "Too many requests, please try again later.\n"
            return text_reply(text, 429, {"Retry-After": "1"})
        try:
            decision = await self._authorizer.authorize(user, attributes)
        except PymetricsError as err:
            log.error("Authorization failed", err, user=user.name, path=attributes.path)
            return text_reply(
                _html_free(f"Internal Server Error: {go_quote(request.raw_path)}: {err}\n"), 500
            )
        if not decision.allowed:
            return exchange.failed(forbidden(attributes, user, decision.reason), NOSNIFF)
        return await self._routed(request.method, exchange)

    def _admits(self, user: UserInfo, exchange: _Exchange) -> bool:
        """Probes are always let in: a server that is merely busy must not be restarted."""
        path = exchange.target.attributes.path
        if not self._max_requests_inflight or path in _UNGUARDED_PATHS or MASTERS_GROUP in user.groups:
            return True
        if self._in_flight >= self._max_requests_inflight:
            return False
        self._in_flight += 1
        exchange.admitted = True
        return True

    async def _routed(self, method: str, exchange: _Exchange) -> Reply:
        """Raises StatusError."""
        target = exchange.target
        match target.route:
            case Route.INDEX:
                return self._index(200)
            case Route.NO_PATH:
                return self._index(404)
            case Route.NO_RESOURCE:
                raise not_found_generic()
            case Route.HEALTH:
                return self._health(target)
            case Route.METRICS:
                started = {"Process-Start-Time-Unix": str(self._started_s)}
                return Reply([self._telemetry.exposition()], 200, CONTENT_TYPE, started)
            case _:
                return await self._documented(method, exchange)

    async def _documented(self, method: str, exchange: _Exchange) -> Reply:
        """Below /apis and /version: GET only, and negotiated. Raises StatusError."""
        target = exchange.target
        if method != "GET":
            raise method_not_allowed()
        match target.route:
            case Route.NODES:
                return await self._nodes.list(target, exchange.representation(streamed=True, transforms=True))
            case Route.NODE:
                return self._nodes.get(target, exchange.representation(transforms=True))
            case Route.PODS:
                return await self._pods.list(target, exchange.representation(streamed=True, transforms=True))
            case Route.POD:
                return self._pods.get(target, exchange.representation(transforms=True))
            case Route.VERSION:
                check_route(exchange.accept, (JSON,))
                return json_reply(discovery.version_info(), pretty=True)
            case Route.RESOURCE_LIST:
                document = discovery.resource_list(target.version)
            case Route.GROUP:
                document = discovery.group()
            case _:
                document = discovery.group_list(self._secure_port)
        return json_reply(document, exchange.representation().pretty)

    def _index(self, code: int) -> Reply:
        return json_reply(discovery.path_index(self._checks), pretty=True, code=code)

    def _health(self, target: Target) -> Reply:
        checks = self._checks.get(target.endpoint, ())
        if not target.name:
            return endpoint_reply(target.endpoint, checks, target.query)
        named = [check for check in checks if check.name == target.name]
        return check_reply(named[0]) if named else self._index(404)

    def _record(
        self, request: web.BaseRequest, target: Target, code: int, started_ns: int, audit_id: str
    ) -> None:
        """Only what is served here becomes a label: anybody may make up paths."""
        attributes = target.attributes
        known = target.route in (Route.NODES, Route.NODE, Route.PODS, Route.POD)
        latency_ns = self._clock.monotonic_ns() - started_ns
        self._telemetry.observe_request(
            attributes.verb.upper() if attributes.verb in _VERBS else "OTHER",
            METRICS_GROUP if known and target.version in VERSIONS else "",
            target.version if known else "",
            attributes.resource if known else "",
            code,
            latency_ns / 1e9,
        )
        if enabled(3):
            values: dict[str, object] = {
                "verb": attributes.verb.upper(),
                "URI": request.raw_path,
                "latency": format_go(latency_ns),
                "userAgent": request.headers.get("User-Agent", ""),
                "audit-ID": audit_id,
                "srcIP": request.remote or "",
                "resp": code,
            }
            log.info("HTTP", v=3, **values)


def _html_free(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""As much of a kube-apiserver as kubectl and a metrics server need, over real TLS.

A client certificate of the cluster's CA or a bearer token says who asks; the policy says whether they may.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from pymetrics_server.clock import Clock
from pymetrics_server.meta.identity import (
    ANONYMOUS_USER,
    AUTHENTICATED_GROUP,
    MASTERS_GROUP,
    Attributes,
    UserInfo,
)
from pymetrics_server.meta.status import (
    StatusError,
    bad_request,
    forbidden,
    method_not_allowed,
    not_found_generic,
    unauthorized,
)
from pymetrics_server.standin import discovery, forms, openapi, protobuf, reviews
from pymetrics_server.standin.aggregator import GROUP, Aggregator
from pymetrics_server.standin.reading import Reader, json_response
from pymetrics_server.standin.resources import SELFSUBJECTACCESSREVIEWS, find_type
from pymetrics_server.standin.revisions import Revisions
from pymetrics_server.standin.subresources import Subresources

_HEALTH_PATHS = ("/healthz", "/livez", "/readyz")
_REMEMBERED_ACCESSES = 10_000
_SHUTDOWN_TIMEOUT_S = 0.5
_LARGEST_REVIEW_BYTES = 1 << 20


class Access(msgspec.Struct, frozen=True):
    method: str
    path: str  # with its query
    user: str


class StandinApiserver:
    """`users` by bearer token and `policy` may be changed while it runs; `accesses` are the last that came."""

    def __init__(
        self,
        revisions: Revisions,
        users: Mapping[str, UserInfo],
        policy: reviews.Policy,
        aggregator: Aggregator,
        subresources: Subresources,
        clock: Clock,
        bookmark_interval_s: float = 30.0,
    ) -> None:
        self.accesses: deque[Access] = deque(maxlen=_REMEMBERED_ACCESSES)
        self._users = users
        self._policy = policy
        self._aggregator = aggregator
        self._subresources = subresources
        self._closing = asyncio.Event()
        self._reader = Reader(revisions, clock, self._closing, bookmark_interval_s)
        self._runner: web.ServerRunner | None = None
        self._address = ""

    async def start(self, ssl_context: ssl.SSLContext, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen there (port 0: any free one) and tell the port."""
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=ssl_context).start()
        bound = int(self._runner.addresses[0][1])
        self._address = f"{host}:{bound}"
        return bound

    async def stop(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            user = self._authenticated(request)
            asked = reviews.attributes_of(request.method, request.path, request.query)
            self.accesses.append(Access(request.method, request.path_qs, user.name))
            if not self._policy.decide(user, asked).allowed:
                raise forbidden(asked, user)
            return await self._answer(request, user, asked)
        except StatusError as err:
            return json_response(err.to_builtin(), err.code)

    async def _answer(
        self, request: web.BaseRequest, user: UserInfo, asked: Attributes
    ) -> web.StreamResponse:
        if request.path.startswith(f"/apis/{GROUP}/"):
            return await self._aggregator.proxy(request, user)
        if request.path.startswith("/openapi/"):
            return await self._openapi(request, user)
        if not asked.is_resource_request:
            return self._nonresource(request)
        resource = find_type(asked.group, asked.version, asked.resource)
        if resource is None:
            raise not_found_generic()
        if asked.subresource:
            if asked.verb != "get":
                raise method_not_allowed()
            return await self._subresources.answer(request, asked)
        if asked.verb not in resource.verbs:
            raise method_not_allowed()
        match asked.verb:
            case "create":
                return await self._review(request, resource.plural, user)
            case "get":
                return self._reader.get(request, resource, asked)
            case "watch":
                return await self._reader.watch(request, resource, asked)
            case _:
                return self._reader.list(request, resource, asked)

    def _nonresource(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if request.path in _HEALTH_PATHS:
            return web.Response(text="ok")
        version = forms.wanted_discovery_version(request.headers.get("Accept", ""))
        if version and request.path in ("/api", "/apis"):
            document = (
                discovery.aggregated_core(version)
                if request.path == "/api"
                else discovery.aggregated_groups(version, self._aggregator.discovery())
            )
            kind = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            return json_response(document, content_type=kind)
        classic = self._classic_discovery([part for part in request.path.split("/") if part])
        if classic is None:
            raise not_found_generic()
        return json_response(classic)

    async def _openapi(self, request: web.BaseRequest, user: UserInfo) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if request.path.startswith(f"/openapi/v3/apis/{GROUP}/"):
            return await self._aggregator.proxy(request, user)
        match request.path:
            case "/openapi/v3":
                return await openapi.index(self._aggregator.ask, GROUP)
            case "/openapi/v2":
                return await openapi.swagger(self._aggregator.ask, request)
            case _:
                raise not_found_generic()

    def _classic_discovery(self, parts: list[str]) -> discovery.Document | None:
        elsewhere = {GROUP: self._aggregator.available_versions()}
        match parts:
            case ["version"]:
                return discovery.version_document()
            case ["api"]:
                return discovery.core_versions(self._address)
            case ["api", version]:
                return discovery.resource_list("", version)
            case ["apis"]:
                return discovery.group_list(elsewhere)
            case ["apis", group]:
                return discovery.group_document(group, elsewhere)
            case ["apis", group, version]:
                return discovery.resource_list(group, version)
            case _:
                return None

    async def _review(self, request: web.BaseRequest, plural: str, user: UserInfo) -> web.Response:
        from_kubectl = (
            request.content_type == protobuf.CONTENT_TYPE and plural == SELFSUBJECTACCESSREVIEWS.plural
        )
        if not from_kubectl and request.content_type not in ("application/json", "application/octet-stream"):
            message = "the body of the request was in an unknown format - accepted media types include: application/json"
            raise StatusError(415, "UnsupportedMediaType", message)
        if (request.content_length or 0) > _LARGEST_REVIEW_BYTES:
            raise bad_request("the review is too large")
        try:
            body = await request.read()
            if from_kubectl:
                review = protobuf.self_subject_access_review(body)
            else:
                review = msgspec.json.decode(body, type=dict[str, Any])
            match plural:
                case "tokenreviews":
                    done = reviews.token_review(self._users, review)
                case "subjectaccessreviews":
                    done = reviews.subject_access_review(self._policy, review)
                case _:
                    done = reviews.self_subject_access_review(self._policy, review, user)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise bad_request(f"the review cannot be read: {err}") from None
        return json_response(done, 201)

    def _authenticated(self, request: web.BaseRequest) -> UserInfo:
        """Who asks; a master may ask as somebody else. Raises StatusError 401 for a token that nobody has."""
        user = reviews.certified_user(request.get_extra_info("peercert"))
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if user is None and scheme.lower() == "bearer":
            user = self._users.get(token.strip())
            if user is None:
                raise unauthorized()
        if user is None:
            return ANONYMOUS_USER
        if other := request.headers.get("Impersonate-User"):
            if MASTERS_GROUP not in user.groups:
                raise forbidden(Attributes("impersonate", "", resource="users", name=other), user)
            groups = request.headers.getall("Impersonate-Group", [])
            return UserInfo(other, (*groups, AUTHENTICATED_GROUP))
        return user

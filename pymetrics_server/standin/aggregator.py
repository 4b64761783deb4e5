"""kube-apiserver's aggregation layer, for one group: is the server behind it available, what has it, and the proxy.

Kubernetes: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from pymetrics_server.clock import Clock
from pymetrics_server.log import Logger
from pymetrics_server.meta.identity import AUTHENTICATED_GROUP, MASTERS_GROUP, UserInfo
from pymetrics_server.meta.status import StatusError, not_found_generic
from pymetrics_server.standin.discovery import Document, discovery_from_resource_list
from pymetrics_server.standin.gowords import go_words
from pymetrics_server.standin.pki import PairFiles, client_context
from pymetrics_server.standin.resources import APISERVICES, available_status
from pymetrics_server.standin.revisions import Revisions
from pymetrics_server.standin.routing import NoRouteError, Route, route_of

log = Logger(__name__)

GROUP = "metrics.k8s.io"
VERSIONS = ("v1beta1", "v1")
PASSED = "Passed"

_AGGREGATOR_USER = UserInfo("system:kube-aggregator", (MASTERS_GROUP, AUTHENTICATED_GROUP))
_CHECK_TIMEOUT_S = 5.0
_UNAVAILABLE_INTERVAL_S = 1.0
_AVAILABLE_INTERVAL_S = 10.0
_REQUEST_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 16

_DISCOVERY_ACCEPT = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={v};as=APIGroupDiscoveryList" for v in ("v2", "v2beta1")
)
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_NOT_PASSED_ON = {"authorization", "host", "content-length", *_HOP_BY_HOP}


class Availability(msgspec.Struct, frozen=True):
    available: bool
    reason: str
    message: str
    since_ns: int


class Aggregator:
    """Where the server is, its APIServices, Service and EndpointSlices say; while they do not, or it does not answer, the
    group is unavailable. Whoever changes them calls `check_now`. `front_proxy` proves to the server who asks it.
    """

    def __init__(
        self,
        revisions: Revisions,
        clock: Clock,
        front_proxy: PairFiles | None,
        check_timeout_s: float = _CHECK_TIMEOUT_S,
    ) -> None:
        self._revisions = revisions
        self._clock = clock
        self._front_proxy = front_proxy
        self._check_timeout_s = check_timeout_s
        self._trusting: dict[bytes | None, ssl.SSLContext] = {}  # by the CAs that an APIService names
        self._known: dict[str, Availability] = {}
        self._group: Document = {}
        self._etag = ""
        self._kick = asyncio.Event()
        self._checking = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._checks: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        for version in VERSIONS:
            self._known[version] = Availability(False, "", "it was not looked at yet", clock.now_ns())

    def check_now(self) -> None:
        """Not only when the next check is due."""
        self._kick.set()

    async def check(self) -> None:
        """Both versions, at once."""
        async with self._checking:
            for version in VERSIONS:
                await self._check(version)

    async def start(self) -> None:
        as_they_are = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.USER_AGENT, hdrs.CONTENT_TYPE)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            skip_auto_headers=as_they_are,
        )
        self._checks = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),  # each shows whom the server believes now
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=self._check_timeout_s),
            skip_auto_headers=as_they_are,
        )
        self._task = asyncio.create_task(self._watch_backend(), name="stand-in availability of the server")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        for session in (self._session, self._checks):
            if session is not None:
                await session.close()
        self._session = self._checks = None

    def availability(self, version: str) -> Availability:
        return self._known[version]

    def available_versions(self) -> list[str]:
        return [version for version in VERSIONS if self._known[version].available]

    async def wait_available(self) -> None:
        """Until every version is."""
        while len(self.available_versions()) < len(VERSIONS):
            await self._revisions.wait_past(self._revisions.revision)

    def discovery(self) -> list[Document]:
        """The group as aggregated discovery shows it: what cannot be asked now is Stale."""
        known = {v["version"]: v for v in self._group.get("versions", ())}
        versions = []
        for version in VERSIONS:
            if self._apiservice(version) is None:
                continue
            entry = known.get(version, {"version": version, "resources": []})
            fresh = "Current" if self._known[version].available else "Stale"
            versions.append({**entry, "freshness": fresh})
        return [{"metadata": {"name": GROUP, "creationTimestamp": None}, "versions": versions}] * bool(
            versions
        )

    async def proxy(self, request: web.BaseRequest, user: UserInfo) -> web.StreamResponse:
        """Raises StatusError: 503 while the version's APIService is not available, 404 where there is none."""
        version = request.path.partition(f"/apis/{GROUP}/")[2].partition("/")[0]
        if version not in VERSIONS or (apiservice := self._apiservice(version)) is None:
            raise not_found_generic()
        if version not in self.available_versions() or self._session is None:
            message = "the server is currently unable to handle the request"
            raise StatusError(503, "ServiceUnavailable", message)
        headers = _passed_on(request)
        headers.extend(_identity(user))
        body = await request.read() if request.can_read_body else None
        try:
            route = route_of(self._revisions, apiservice)
        except NoRouteError as err:
            raise StatusError(503, "ServiceUnavailable", str(err)) from None
        try:
            async with self._session.request(
                request.method,
                URL(route.url + request.raw_path, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                ssl=self._context(route.ca_pem),
                server_hostname=route.server_name,
            ) as answer:
                return await _streamed(request, answer)
        except (aiohttp.ClientError, TimeoutError, ValueError) as err:
            why = f"error trying to reach service: {go_words(err, route.host_port, route.server_name)}"
            raise StatusError(503, "ServiceUnavailable", why) from None

    async def _watch_backend(self) -> None:
        while True:
            self._kick.clear()
            await self.check()
            settled = len(self.available_versions()) == len(VERSIONS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_AVAILABLE_INTERVAL_S if settled else _UNAVAILABLE_INTERVAL_S):
                    await self._kick.wait()

    async def _check(self, version: str) -> None:
        apiservice = self._apiservice(version)
        if apiservice is None:
            self._known[version] = Availability(False, "", "it is not registered", self._clock.now_ns())
            return
        try:
            route = route_of(self._revisions, apiservice)
        except NoRouteError as err:
            self._note(version, False, err.reason, str(err))
            return
        path = f"/apis/{GROUP}/{version}"
        url = route.url + path
        try:
            status, _, body = await self._asked(route, path, {}, _AGGREGATOR_USER)
            if status // 100 == 2:
                await self._learn(route, version, body)
                self._note(version, True, PASSED, "all checks passed")
                return
            why = f"bad status from {url}: {status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as err:
            why = f'Get "{url}": {go_words(err, route.host_port)}'
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError) as err:
            why = f"the discovery document cannot be read: {type(err).__name__}: {err}"
        self._note(version, False, "FailedDiscoveryCheck", f"failing or missing response from {url}: {why}")

    async def _learn(self, route: Route, version: str, body: bytes) -> None:
        """Aggregated discovery where the server has it, else what its classic document tells of this version."""
        headers: dict[str, str] = {hdrs.ACCEPT: _DISCOVERY_ACCEPT}
        if self._etag:
            headers[hdrs.IF_NONE_MATCH] = self._etag
        status, answered, document = await self._asked(route, "/apis", headers, _AGGREGATOR_USER)
        if status == 304:
            return
        if status == 200 and "as=APIGroupDiscoveryList" in answered.get(hdrs.CONTENT_TYPE, ""):
            items = msgspec.json.decode(document)["items"]
            (group,) = (item for item in items if item["metadata"]["name"] == GROUP)
            self._group = _with_kinds(group)
            self._etag = answered.get(hdrs.ETAG, "")
            return
        self._etag = ""
        learnt = discovery_from_resource_list(version, msgspec.json.decode(body))
        others = [v for v in self._group.get("versions", ()) if v["version"] != version]
        self._group = {"versions": [*others, learnt]}

    async def ask(
        self, path: str, headers: Mapping[str, str], user: UserInfo
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers, body of what any version leads to. Raises aiohttp.ClientError, OSError and TimeoutError."""
        known = [found for version in VERSIONS if (found := self._apiservice(version)) is not None]
        if not known:
            raise ConnectionError("no server is registered")
        return await self._asked(route_of(self._revisions, known[0]), path, headers, user)

    async def _asked(
        self, route: Route, path: str, headers: Mapping[str, str], user: UserInfo
    ) -> tuple[int, Mapping[str, str], bytes]:
        """On a connection of its own, and whoever answers is believed: it is who answers that is to be found out."""
        if self._checks is None:
            raise RuntimeError("the aggregator is not started")
        asked = CIMultiDict(headers)
        asked.extend(_identity(user))
        async with self._checks.get(
            route.url + path, headers=asked, allow_redirects=False, ssl=self._context(None)
        ) as answer:
            return answer.status, answer.headers, await answer.read()

    def _context(self, ca_pem: bytes | None) -> ssl.SSLContext:
        """Raises ValueError where those are no certificates."""
        if ca_pem not in self._trusting:
            self._trusting[ca_pem] = client_context(ca_pem, self._front_proxy)
        return self._trusting[ca_pem]

    def _apiservice(self, version: str) -> dict[str, Any] | None:
        stored = self._revisions.get(APISERVICES, "", f"{version}.{GROUP}")
        return None if stored is None else msgspec.json.decode(stored.body, type=dict[str, Any])

    def _note(self, version: str, available: bool, reason: str, message: str) -> None:
        before = self._known[version]
        changed = not before.reason or before.available != available
        since_ns = self._clock.now_ns() if changed else before.since_ns
        self._known[version] = Availability(available, reason, message, since_ns)
        if changed:
            log.info(
                "APIService changed",
                v=2,
                name=f"{version}.{GROUP}",
                available=available,
                reason=reason,
                because=message,
            )
        if (apiservice := self._apiservice(version)) is not None:
            del apiservice["metadata"]["resourceVersion"]
            status = available_status(available=available, reason=reason, message=message, since_ns=since_ns)
            self._revisions.put(APISERVICES, {**apiservice, "status": status})


def _with_kinds(group: Document) -> Document:
    """An aggregated server leaves responseKind's group and version open; kube-apiserver fills them in."""
    versions: list[dict[str, Any]] = []
    for version in group["versions"]:
        resources = [
            {
                **r,
                "responseKind": {
                    **r["responseKind"],
                    "group": r["responseKind"].get("group") or GROUP,
                    "version": r["responseKind"].get("version") or version["version"],
                },
            }
            for r in version["resources"]
        ]
        versions.append({**version, "resources": resources})
    return {**group, "versions": versions}


def _identity(user: UserInfo) -> Sequence[tuple[str, str]]:
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found.extend(("X-Remote-Group", group) for group in user.groups)
    for key, values in user.extra.items():
        found.extend((f"X-Remote-Extra-{quote(key, safe='')}", value) for value in values)
    return found


def _passed_on(request: web.BaseRequest) -> CIMultiDict[str]:
    """The caller's headers, without what only we may say."""
    dropped = _NOT_PASSED_ON | {
        name.strip().lower() for name in request.headers.get(hdrs.CONNECTION, "").split(",")
    }
    headers: CIMultiDict[str] = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in dropped and not name.lower().startswith(("x-remote-", "impersonate-"))
    )
    headers[hdrs.X_FORWARDED_FOR] = request.remote or ""
    headers[hdrs.X_FORWARDED_HOST] = request.host
    headers[hdrs.X_FORWARDED_PROTO] = "https"
    headers["X-Forwarded-Uri"] = request.path
    return headers


async def _streamed(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    response.headers.extend(
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
    )
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()  # half an answer must not look whole
    return response

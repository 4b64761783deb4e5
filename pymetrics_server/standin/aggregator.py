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
from pymetrics_server.meta.status import StatusError
from pymetrics_server.standin.discovery import Document, discovery_from_resource_list
from pymetrics_server.standin.resources import APISERVICES, apiservice_body
from pymetrics_server.standin.revisions import Revisions

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
    """The backend is told by `set_backend`; until then, and while it does not answer, the group is unavailable."""

    def __init__(self, revisions: Revisions, clock: Clock, client_ssl: ssl.SSLContext) -> None:
        self._revisions = revisions
        self._clock = clock
        self._client_ssl = client_ssl
        self._created_ns = clock.now_ns()
        self._port = 0
        self._known: dict[str, Availability] = {}
        self._group: Document = {}
        self._etag = ""
        self._kick = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        for version in VERSIONS:
            self._note(version, False, "MissingEndpoints", "no server was told of yet")

    def set_backend(self, port: int) -> None:
        """Where the server listens on 127.0.0.1; it is checked at once."""
        self._port = port
        self.check_now()

    def check_now(self) -> None:
        """Not only when the next check is due."""
        self._kick.set()

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._client_ssl, limit=0),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            skip_auto_headers=(hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.USER_AGENT, hdrs.CONTENT_TYPE),
        )
        self._task = asyncio.create_task(self._watch_backend(), name="stand-in availability of the server")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._session is not None:
            await self._session.close()
            self._session = None

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
            entry = known.get(version, {"version": version, "resources": []})
            fresh = "Current" if self._known[version].available else "Stale"
            versions.append({**entry, "freshness": fresh})
        return [{"metadata": {"name": GROUP, "creationTimestamp": None}, "versions": versions}]

    async def proxy(self, request: web.BaseRequest, user: UserInfo) -> web.StreamResponse:
        """Raises StatusError 503 while the version's APIService is not available."""
        version = request.path.partition(f"/apis/{GROUP}/")[2].partition("/")[0]
        if version not in self.available_versions() or self._session is None:
            message = "the server is currently unable to handle the request"
            raise StatusError(503, "ServiceUnavailable", message)
        headers = _passed_on(request)
        headers.extend(_identity(user))
        url = URL(f"https://127.0.0.1:{self._port}{request.raw_path}", encoded=True)
        body = await request.read() if request.can_read_body else None
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                return await _streamed(request, answer)
        except (aiohttp.ClientError, TimeoutError) as err:
            raise StatusError(
                503, "ServiceUnavailable", f"error trying to reach service: {_told(err)}"
            ) from None

    async def _watch_backend(self) -> None:
        while True:
            self._kick.clear()
            if self._port:
                for version in VERSIONS:
                    await self._check(version)
            settled = len(self.available_versions()) == len(VERSIONS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_AVAILABLE_INTERVAL_S if settled else _UNAVAILABLE_INTERVAL_S):
                    await self._kick.wait()

    async def _check(self, version: str) -> None:
        path = f"/apis/{GROUP}/{version}"
        url = f"https://127.0.0.1:{self._port}{path}"
        try:
            status, _, body = await self.ask(path, {})
            if status // 100 == 2:
                await self._learn(version, body)
                self._note(version, True, PASSED, "all checks passed")
                return
            why = f"bad status from {url}: {status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as err:
            why = f'Get "{url}": {_told(err)}'
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError) as err:
            why = f"the discovery document cannot be read: {type(err).__name__}: {err}"
        self._note(version, False, "FailedDiscoveryCheck", f"failing or missing response from {url}: {why}")

    async def _learn(self, version: str, body: bytes) -> None:
        """Aggregated discovery where the server has it, else what its classic document tells of this version."""
        headers: dict[str, str] = {hdrs.ACCEPT: _DISCOVERY_ACCEPT}
        if self._etag:
            headers[hdrs.IF_NONE_MATCH] = self._etag
        status, answered, document = await self.ask("/apis", headers)
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
        self, path: str, headers: Mapping[str, str], user: UserInfo = _AGGREGATOR_USER
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers, body. Raises aiohttp.ClientError, OSError and TimeoutError."""
        if self._session is None:
            raise RuntimeError("the aggregator is not started")
        asked = CIMultiDict(headers)
        asked.extend(_identity(user))
        timeout = aiohttp.ClientTimeout(total=_CHECK_TIMEOUT_S)
        url = f"https://127.0.0.1:{self._port}{path}"
        async with self._session.get(url, headers=asked, timeout=timeout, allow_redirects=False) as answer:
            return answer.status, answer.headers, await answer.read()

    def _note(self, version: str, available: bool, reason: str, message: str) -> None:
        before = self._known.get(version)
        changed = before is None or before.available != available
        since_ns = self._clock.now_ns() if before is None or changed else before.since_ns
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
        self._revisions.put(
            APISERVICES,
            apiservice_body(
                GROUP,
                version,
                available=available,
                reason=reason,
                message=message,
                created_ns=self._created_ns,
                since_ns=since_ns,
            ),
        )


def _told(err: Exception) -> str:
    return str(err) or type(err).__name__


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

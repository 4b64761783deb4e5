"""One GET per scrape: a node asked for what it uses, over connections that are kept.

Whatever goes wrong leaves as one KubeletError. Which endpoint a node answers is remembered per node.
"""

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp
from multidict import istr
from yarl import URL

from pymetrics_server.clock import Clock
from pymetrics_server.errors import DecodeError, FailureClass, KubeletError
from pymetrics_server.kubelet.address import address_of, host_port, path_of, port_of
from pymetrics_server.kubelet.failure import of_exception, of_status
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.log import Logger
from pymetrics_server.meta.grants import kubelet_cure
from pymetrics_server.meta.objects import Node
from pymetrics_server.meta.usage import NodeSample

log = Logger(__name__)

Endpoint = Literal["auto", "summary", "resource"]

_SUMMARY = "/stats/summary?only_cpu_and_memory=true"
_RESOURCE = "/metrics/resource"
_FAULTS_OF_A_SUMMARY = 3
_SUMMARY_AGAIN_NS = 600 * 1_000_000_000
_CONNECT_SHARE = 0.9  # of the request's time: a connection not made by then has a name of its own
_KEEPALIVE_S = 300.0  # kubelets close idle connections after 90 s; longer than any resolution in use
_DNS_CACHE_S = 60
_MAX_ERROR_BODY = 4096
_MiB = 1 << 20

Token = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class KubeletSettings:
    preferred_address_types: Sequence[str]
    port: int
    use_node_status_port: bool
    request_timeout_ns: int
    endpoint: Endpoint = "auto"
    completely_insecure: bool = False
    max_body_bytes: int = 64 * _MiB
    user_agent: str = "metrics-server"


@dataclass(frozen=True, slots=True)
class _Target:
    """Where one Node object is asked; made again when the Node changes."""

    node: Node
    summary: URL
    resource: URL
    annotated: bool


class KubeletClient:
    """`scrape` may run for many nodes at once: the bound on that is the caller's."""

    def __init__(
        self, settings: KubeletSettings, ssl_context: ssl.SSLContext | None, token: Token, clock: Clock
    ) -> None:
        self._settings = settings
        self._ssl_context = ssl_context
        self._token = token
        self._clock = clock
        self._timeout_s = settings.request_timeout_ns / 1e9
        self._session: aiohttp.ClientSession | None = None
        self._targets: dict[str, _Target] = {}
        self._resource_until_ns: dict[str, int] = {}  # by node: monotonic time to try the summary again
        self._faults: dict[str, int] = {}  # by node: 5xx of its summary, one after the other
        self._authorization: tuple[str, Mapping[istr, str]] = ("", {})

    async def scrape(self, node: Node) -> NodeSample:
        """Raises KubeletError, and nothing else but cancellation."""
        target = self._target(node)
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        if self.endpoint_in_use(node.name) == "resource":
            try:
                return await self._scrape_resource(target, deadline_s)
            except KubeletError as err:
                if _worth_asking_elsewhere(err) or isinstance(err, DecodeError):
                    self._summary_next(node.name)
                raise
        try:
            body = await self._get(target.summary, deadline_s)
        except KubeletError as err:
            if self._settings.endpoint != "auto" or not self._refuses(node.name, err):
                raise
            return await self._fall_back(target, deadline_s, err)
        sample = decode_summary(body)
        self._faults.pop(node.name, None)
        if self._resource_until_ns.pop(node.name, None) is not None:
            log.info("Kubelet answers with its summary again", node=node.name)
        return sample

    def endpoint_in_use(self, node_name: str) -> Literal["summary", "resource"]:
        """What the next scrape of the node asks first."""
        target = self._targets.get(node_name)
        if target is not None and target.annotated:
            return "resource"
        if self._settings.endpoint != "auto":
            return self._settings.endpoint
        until_ns = self._resource_until_ns.get(node_name, 0)
        return "resource" if self._clock.monotonic_ns() < until_ns else "summary"

    def forget(self, node_name: str) -> None:
        """The node is gone."""
        self._targets.pop(node_name, None)
        self._resource_until_ns.pop(node_name, None)
        self._faults.pop(node_name, None)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _summary_next(self, node_name: str) -> None:
        """What was refused once may have come back; that it was refused stays known until it answers."""
        if node_name in self._resource_until_ns:
            self._resource_until_ns[node_name] = 0

    async def _scrape_resource(self, target: _Target, deadline_s: float) -> NodeSample:
        asked_ns = self._clock.now_ns()
        return decode_resource(await self._get(target.resource, deadline_s), asked_ns)

    def _refuses(self, node_name: str, err: KubeletError) -> bool:
        """A kubelet that fails now and then is one that fails: only from the third time on end is it its summary."""
        if err.status < 500:
            return _worth_asking_elsewhere(err)
        self._faults[node_name] = self._faults.get(node_name, 0) + 1
        return self._faults[node_name] >= _FAULTS_OF_A_SUMMARY

    async def _fall_back(self, target: _Target, deadline_s: float, refused: KubeletError) -> NodeSample:
        name = target.node.name
        try:
            sample = await self._scrape_resource(target, deadline_s)
        except KubeletError as err:
            detail = f"{refused.detail}; {_RESOURCE}: {err.failure.label}"
            if refused.status == err.status == 403:
                detail += ": neither nodes/stats nor nodes/metrics may be read"
            raise KubeletError(refused.failure, detail, status=refused.status, cure=refused.cure) from err
        if name not in self._resource_until_ns:
            log.info(
                "Kubelet refuses its summary, its resource metrics are read instead",
                node=name,
                err=refused.detail,
            )
        self._resource_until_ns[name] = self._clock.monotonic_ns() + _SUMMARY_AGAIN_NS
        return sample

    def _target(self, node: Node) -> _Target:
        target = self._targets.get(node.name)
        if target is None or target.node is not node:
            target = self._targets[node.name] = self._resolve(node)
        return target

    def _resolve(self, node: Node) -> _Target:
        settings = self._settings
        address = address_of(node, settings.preferred_address_types)
        port = port_of(node, settings.port, settings.use_node_status_port)
        base = f"{'http' if settings.completely_insecure else 'https'}://{host_port(address, port)}"
        annotated = path_of(node)
        try:
            summary = URL(base + _SUMMARY, encoded=True)
            resource = URL(base + (annotated or _RESOURCE), encoded=True)
        except ValueError as err:
            raise KubeletError(FailureClass.NO_ADDRESS, f"{base} is no URL: {err}") from err
        return _Target(node, summary, resource, bool(annotated))

    async def _get(self, url: URL, deadline_s: float) -> bytes:
        headers = await self._credentials()
        try:
            async with asyncio.timeout_at(deadline_s):
                response = await self._open_session().get(url, headers=headers, allow_redirects=False)
                try:
                    if response.status != 200:
                        words = await _read_some(response, _MAX_ERROR_BODY)
                        refusal = of_status(response.status, response.reason or "", words)
                        if response.status == 403:
                            refusal.cure = kubelet_cure(words.decode("utf-8", "replace")) or refusal.cure
                        raise refusal
                    return await _read_body(response, self._settings.max_body_bytes)
                finally:
                    response.close()  # a connection whose answer was read whole is back in the pool already
        except TimeoutError as err:
            if isinstance(err, aiohttp.ServerTimeoutError):
                raise of_exception(err) from err
            raise KubeletError(
                FailureClass.SLOW_RESPONSE, f"no whole answer within {self._timeout_s:g}s"
            ) from err
        except Exception as err:
            translated = of_exception(err)
            if translated is err:
                raise
            raise translated from err

    async def _credentials(self) -> Mapping[istr, str] | None:
        if self._settings.completely_insecure:
            return None
        try:
            token = await self._token()
        except Exception as err:
            raise KubeletError(FailureClass.UNAUTHENTICATED, f"no token to show: {err}") from err
        if not token:
            return None
        if self._authorization[0] != token:
            self._authorization = (token, {istr("Authorization"): f"Bearer {token}"})
        return self._authorization[1]

    def _open_session(self) -> aiohttp.ClientSession:
        """Made at the first scrape: aiohttp wants a running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._ssl_context or False,
                limit=0,
                keepalive_timeout=_KEEPALIVE_S,
                ttl_dns_cache=_DNS_CACHE_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._settings.user_agent, "Accept-Encoding": "gzip"},
                skip_auto_headers=("Accept",),
                auto_decompress=False,  # inflated here, where it is bounded
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._timeout_s * _CONNECT_SHARE, ceil_threshold=float("inf")
                ),
            )
        return self._session


def _worth_asking_elsewhere(err: KubeletError) -> bool:
    return err.status in (403, 404, 405) or err.status >= 500


async def _read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    if (response.content_length or 0) > max_bytes:
        raise KubeletError(FailureClass.TOO_LARGE, f"Content-Length: {response.content_length}")
    body = await _read_some(response, max_bytes + 1)
    if len(body) > max_bytes:
        raise KubeletError(FailureClass.TOO_LARGE, f"more than {max_bytes} bytes")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding == "gzip":
        return await _inflate(body, max_bytes)
    if encoding not in ("identity", ""):
        raise KubeletError(FailureClass.PARSE_ERROR, f"Content-Encoding: {encoding[:40]} was not asked for")
    return body


async def _read_some(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body, or its first `max_bytes` or a little more."""
    chunks: list[bytes] = []
    size = 0
    while size < max_bytes and (chunk := await response.content.readany()):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks) if len(chunks) != 1 else chunks[0]


async def _inflate(body: bytes, max_bytes: int) -> bytes:
    """In steps with the loop free between them, and never past `max_bytes`."""
    inflater = zlib.decompressobj(wbits=31)
    inflated: list[bytes] = []
    size = 0
    try:
        while True:
            step = inflater.decompress(body, _MiB)
            body = inflater.unconsumed_tail
            inflated.append(step)
            size += len(step)
            if size > max_bytes:
                raise KubeletError(FailureClass.TOO_LARGE, f"more than {max_bytes} bytes when inflated")
            if inflater.eof:
                return b"".join(inflated)
            if not step and not body:
                raise KubeletError(FailureClass.DISCONNECTED, "the gzip stream is cut short")
            if len(step) == _MiB:
                await asyncio.sleep(0)
    except zlib.error as err:
        raise KubeletError(FailureClass.PARSE_ERROR, f"not gzip: {err}") from err

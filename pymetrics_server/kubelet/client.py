"""One GET per scrape: a node asked for what it uses, over connections that are kept.

Whatever goes wrong leaves as one KubeletError. Which endpoint a node answers is remembered per node.
"""

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pymetrics_server.clock import Clock
from pymetrics_server.errors import DecodeError, FailureClass, KubeletError
from pymetrics_server.kubelet.address import address_of, host_port, path_of, port_of
from pymetrics_server.kubelet.answer import Answer
from pymetrics_server.kubelet.connection import KubeletConnection
from pymetrics_server.kubelet.failure import of_status
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
_KEPT_S = 90.0  # as the original: what lies between may forget a connection that rests
_MiB = 1 << 20

Token = Callable[[], Awaitable[str | None]]
TLS = Callable[[], ssl.SSLContext | None]


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
    address: tuple[str, int]
    summary: bytes  # the request up to where credentials stand
    resource: bytes
    annotated: bool


class KubeletClient:
    """`scrape` may run for many nodes at once: the bound on that is the caller's."""

    def __init__(self, settings: KubeletSettings, tls: TLS, token: Token, clock: Clock) -> None:
        """`tls` is asked at each scrape: a connection made under another context is not used any more."""
        self._settings = settings
        self._tls = tls
        self._token = token
        self._clock = clock
        self._timeout_s = settings.request_timeout_ns / 1e9
        self._kept: dict[str, KubeletConnection] = {}  # by node, while nobody asks over it
        self._targets: dict[str, _Target] = {}
        self._resource_until_ns: dict[str, int] = {}  # by node: monotonic time to try the summary again
        self._faults: dict[str, int] = {}  # by node: 5xx of its summary, one after the other
        self._authorization: tuple[str, bytes] = ("", b"")

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
            body = await self._get(target, target.summary, deadline_s)
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
        if (connection := self._kept.pop(node_name, None)) is not None:
            connection.close()

    def close(self) -> None:
        """For good."""
        for name in tuple(self._targets):
            self.forget(name)

    def _summary_next(self, node_name: str) -> None:
        """What was refused once may have come back; that it was refused stays known until it answers."""
        if node_name in self._resource_until_ns:
            self._resource_until_ns[node_name] = 0

    async def _scrape_resource(self, target: _Target, deadline_s: float) -> NodeSample:
        asked_ns = self._clock.now_ns()
        return decode_resource(await self._get(target, target.resource, deadline_s), asked_ns)

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
        host = address_of(node, settings.preferred_address_types)
        port = port_of(node, settings.port, settings.use_node_status_port)
        annotated = path_of(node)

        def request(path: str) -> bytes:
            return (
                f"GET {path} HTTP/1.1\r\nHost: {host_port(host, port)}\r\nUser-Agent: {settings.user_agent}\r\n"
                "Accept-Encoding: gzip\r\n"
            ).encode()

        return _Target(
            node, (host, port), request(_SUMMARY), request(annotated or _RESOURCE), bool(annotated)
        )

    async def _get(self, target: _Target, request: bytes, deadline_s: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline_s):
                answer = await self._ask(target, request + await self._credentials() + b"\r\n")
                if answer.status == 200:
                    return await _inflated(answer, self._settings.max_body_bytes)
        except TimeoutError as err:
            raise KubeletError(
                FailureClass.SLOW_RESPONSE, f"no whole answer within {self._timeout_s:g}s"
            ) from err
        refusal = of_status(answer.status, answer.reason, answer.body)
        if answer.status == 403:
            refusal.cure = kubelet_cure(answer.body.decode("utf-8", "replace")) or refusal.cure
        raise refusal

    async def _ask(self, target: _Target, request: bytes) -> Answer:
        """Over the connection that is kept, or a new one, which is then kept."""
        name, tls = target.node.name, self._tls()
        connection = self._kept.pop(name, None)
        if connection is not None:
            if (
                connection.address == target.address
                and connection.tls is tls
                and connection.rested_s < _KEPT_S
            ):
                try:
                    answer = await connection.get(request, self._settings.max_body_bytes)
                except KubeletError as err:
                    # The kubelet may have hung up just then: that is no answer.
                    if err.failure is not FailureClass.DISCONNECTED or connection.heard:
                        raise
                else:
                    self._keep(target, connection)
                    return answer
            connection.close()
        connection = await self._connect(target, tls)
        answer = await connection.get(request, self._settings.max_body_bytes)
        self._keep(target, connection)
        return answer

    def _keep(self, target: _Target, connection: KubeletConnection) -> None:
        name = target.node.name
        if self._targets.get(name) is target and name not in self._kept:
            self._kept[name] = connection
        else:  # the node is gone, or another one by now
            connection.close()

    async def _connect(self, target: _Target, tls: ssl.SSLContext | None) -> KubeletConnection:
        within_s = self._timeout_s * _CONNECT_SHARE
        try:
            async with asyncio.timeout(within_s):
                return await KubeletConnection.open(*target.address, tls)
        except TimeoutError as err:
            raise KubeletError(FailureClass.CONNECT_TIMEOUT, f"no connection within {within_s:g}s") from err

    async def _credentials(self) -> bytes:
        """A header's line."""
        if self._settings.completely_insecure:
            return b""
        try:
            token = await self._token()
        except Exception as err:
            raise KubeletError(FailureClass.UNAUTHENTICATED, f"no token to show: {err}") from err
        if not token:
            return b""
        if self._authorization[0] != token:
            if not (token.isascii() and token.isprintable()):
                raise KubeletError(
                    FailureClass.UNAUTHENTICATED, "the token is no text that a header can carry"
                )
            self._authorization = (token, f"Authorization: Bearer {token}\r\n".encode())
        return self._authorization[1]


def _worth_asking_elsewhere(err: KubeletError) -> bool:
    return err.status in (403, 404, 405) or err.status >= 500


async def _inflated(answer: Answer, max_bytes: int) -> bytes:
    """In steps with the loop free between them, and never past `max_bytes`."""
    body = answer.body
    if answer.content_encoding in ("", "identity"):
        return body
    if answer.content_encoding != "gzip":
        raise KubeletError(
            FailureClass.PARSE_ERROR, f"Content-Encoding: {answer.content_encoding[:40]} was not asked for"
        )
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

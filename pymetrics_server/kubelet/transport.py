"""GET from a node: at one of its addresses, over the connection that is kept, with the credentials of now."""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.address import addresses_of, host_port, name_of, port_of
from pymetrics_server.kubelet.answer import Answer
from pymetrics_server.kubelet.connection import KubeletConnection
from pymetrics_server.kubelet.failure import of_status, one_line
from pymetrics_server.kubelet.lookups import Lookups
from pymetrics_server.kubelet.turns import Turns
from pymetrics_server.log import Logger
from pymetrics_server.meta.grants import kubelet_cure
from pymetrics_server.meta.objects import Node

log = Logger(__name__)

_CONNECT_SHARE = 0.9  # of a request's time: a connection not made by then has a name of its own
_KEPT_S = 90.0  # as the original: what lies between may forget a connection that rests
_READ_AT_ONCE = 3  # answers, and so decoded: a millisecond or so
_REST_TURNS = 2  # of the loop, in which a small request is answered
_RENEWED_AT_MOST_EVERY_S = 60.0  # whatever a thousand kubelets say of each token
_NO_TOKEN = b"\r\n"  # what ends the head, where no token is shown in it
_MiB = 1 << 20
#: What another address of the node may not have.
_TRY_ELSEWHERE = frozenset(
    {FailureClass.DNS, FailureClass.CONNECT_TIMEOUT, FailureClass.REFUSED, FailureClass.UNREACHABLE}
)
_CURE_OF_ANOTHER_NAME = (
    "set --kubelet-tls-verify=address if the certificate names the address, else reissue it with the node's name "
    "among its names (serverTLSBootstrap)"
)

TLS = Callable[[], ssl.SSLContext | None]


class Credentials(Protocol):
    async def bearer_token(self) -> str | None: ...

    async def renew(self, refused: str | None) -> bool:
        """After a 401 to the Authorization header `refused`: whether there is another one to show now."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TransportSettings:
    preferred_address_types: Sequence[str]
    port: int
    use_node_status_port: bool
    request_timeout_ns: int
    completely_insecure: bool = False
    verifies_node_name: bool = False  # and not the address that is dialled
    max_body_bytes: int = 8 * _MiB
    user_agent: str = "metrics-server"


class _Target:
    """Where a node is asked; made again when its addresses or its port change."""

    __slots__ = ("hosts", "node", "port", "server_names", "turn")

    def __init__(self, node: Node, hosts: Sequence[str], port: int, server_names: Sequence[str]) -> None:
        self.node = node
        self.hosts = hosts
        self.port = port
        self.server_names = server_names  # one for each of the hosts: what the certificate has to name there
        self.turn = 0  # the host that answered last; the preferred one where none did

    @property
    def address(self) -> tuple[str, int]:
        return self.hosts[self.turn], self.port


class KubeletTransport:
    """For many nodes at once: the bound on that is the caller's."""

    def __init__(self, settings: TransportSettings, tls: TLS, credentials: Credentials) -> None:
        """`tls` is asked at each GET: a connection made under another context is not used any more."""
        self._settings = settings
        self._tls = tls
        self._credentials = credentials
        self._timeout_s = settings.request_timeout_ns / 1e9
        self._targets: dict[str, _Target] = {}
        self._kept: dict[str, KubeletConnection] = {}  # by node, while nobody asks over it
        self._lookups = Lookups()
        self._turns = Turns(_READ_AT_ONCE, _REST_TURNS)
        self._authorization: tuple[str, bytes] = ("", b"")  # a token, and the line that shows it
        self._renewed_s: float | None = None  # when a token that was refused was last renewed
        self._renewing = asyncio.Lock()

    def deadline_s(self) -> float:
        """Of what begins now, by the loop's clock."""
        return asyncio.get_running_loop().time() + self._timeout_s

    async def get(self, node: Node, path: str, deadline_s: float) -> bytes:
        """A 200's body. Raises KubeletError, and nothing else but cancellation."""
        target = self._target(node)
        try:
            async with asyncio.timeout_at(deadline_s):
                answer = await self._authorized(target, path, deadline_s)
                if answer.status == 200:
                    return await _inflated(answer, self._settings.max_body_bytes)
        except TimeoutError as err:
            target.turn = 0
            raise KubeletError(
                FailureClass.SLOW_RESPONSE, f"no whole answer within {self._timeout_s:g}s"
            ) from err
        except KubeletError:
            target.turn = 0  # what answers elsewhere may be no kubelet at all
            raise
        target.turn = 0
        refusal = of_status(answer.status, answer.reason, answer.body)
        if answer.status == 403:
            refusal.cure = kubelet_cure(answer.body.decode("utf-8", "replace")) or refusal.cure
        raise refusal

    def forget(self, node_name: str) -> None:
        """The node is gone."""
        self._targets.pop(node_name, None)
        if (connection := self._kept.pop(node_name, None)) is not None:
            connection.close()

    def close(self) -> None:
        """For good."""
        for name in tuple(self._targets):
            self.forget(name)
        self._lookups.close()

    def _target(self, node: Node) -> _Target:
        target = self._targets.get(node.name)
        if target is None or target.node is not node:
            settings = self._settings
            hosts = addresses_of(node, settings.preferred_address_types)
            if self._is_unverified():
                hosts = hosts[:1]
            port = port_of(node, settings.port, settings.use_node_status_port)
            if target is None or (target.hosts, target.port) != (hosts, port):
                names = (name_of(node),) * len(hosts) if settings.verifies_node_name else hosts
                target = self._targets[node.name] = _Target(node, hosts, port, names)
            target.node = node
        return target

    def _is_unverified(self) -> bool:
        """Whoever answers is believed, or whoever has a certificate of the CA: our token is then shown at the preferred
        address and at no other."""
        tls = self._tls()
        return tls is not None and not tls.check_hostname

    async def _authorized(self, target: _Target, path: str, deadline_s: float) -> Answer:
        line = await self._authorization_line()
        answer = await self._ask(target, path, line, deadline_s)
        if answer.status == 401 and await self._renewed(line):
            answer = await self._ask(target, path, await self._authorization_line(), deadline_s)
        return answer

    async def _ask(self, target: _Target, path: str, authorization: bytes, deadline_s: float) -> Answer:
        """Over the connection that is kept, or a new one, which is then kept."""
        name, tls, most_bytes = target.node.name, self._tls(), self._settings.max_body_bytes
        connection = self._kept.pop(name, None)
        if connection is not None and not (
            connection.is_open
            and connection.address == target.address
            and connection.tls is tls
            and connection.rested_s < _KEPT_S
        ):
            connection.close()
            connection = None
        answer = None
        if connection is not None:
            try:
                answer = await connection.get(self._request(target, path, authorization), most_bytes)
            except KubeletError as err:
                if err.failure is not FailureClass.DISCONNECTED or connection.heard:
                    raise
                # The kubelet hung up just then: that is no answer.
        if connection is None or answer is None:
            connection = await self._dial(target, tls, deadline_s)
            answer = await connection.get(self._request(target, path, authorization), most_bytes)
        if self._targets.get(name) is target and name not in self._kept:
            self._kept[name] = connection
        else:  # the node is gone, or elsewhere by now
            connection.close()
        return answer

    def _request(self, target: _Target, path: str, authorization: bytes) -> bytes:
        return (
            f"GET {path} HTTP/1.1\r\nHost: {host_port(*target.address)}\r\nUser-Agent: {self._settings.user_agent}\r\n"
            "Accept-Encoding: gzip\r\n"
        ).encode() + authorization

    async def _dial(
        self, target: _Target, tls: ssl.SSLContext | None, deadline_s: float
    ) -> KubeletConnection:
        """Where the node answered last, then at its other addresses; time is shared out among them."""
        loop = asyncio.get_running_loop()
        hosts = target.hosts
        failed: list[tuple[str, KubeletError]] = []
        for i in range(len(hosts)):
            turn = (target.turn + i) % len(hosts)
            within_s = (deadline_s - loop.time()) * _CONNECT_SHARE / (len(hosts) - i)
            try:
                connection = await KubeletConnection.open(
                    hosts[turn],
                    target.port,
                    tls,
                    target.server_names[turn],
                    within_s,
                    lookups=self._lookups,
                    turns=self._turns,
                )
            except KubeletError as err:
                if err.failure is FailureClass.TLS_NAME_MISMATCH and self._settings.verifies_node_name:
                    err.cure = _CURE_OF_ANOTHER_NAME
                failed.append((hosts[turn], err))
                if err.failure not in _TRY_ELSEWHERE:
                    break
            else:
                if failed:
                    log.info(
                        "Node is reached elsewhere",
                        v=1,
                        node=target.node.name,
                        address=hosts[turn],
                        err=failed[0][1],
                    )
                target.turn = turn
                return connection
        first = failed[0][1]
        if len(failed) == 1:
            raise first
        raise KubeletError(first.failure, one_line("; ".join(f"{host}: {err}" for host, err in failed)))

    async def _authorization_line(self) -> bytes:
        """And the empty one that ends the head."""
        if self._settings.completely_insecure:
            return _NO_TOKEN
        try:
            token = await self._credentials.bearer_token()
        except Exception as err:
            raise KubeletError(FailureClass.UNAUTHENTICATED, f"no token to show: {err}") from err
        if not token:
            return _NO_TOKEN
        if self._authorization[0] != token:
            if not (token.isascii() and token.isprintable()):
                raise KubeletError(
                    FailureClass.UNAUTHENTICATED, "the token is no text that a header can carry"
                )
            self._authorization = (token, f"Authorization: Bearer {token}\r\n\r\n".encode())
        return self._authorization[1]

    async def _renewed(self, refused_line: bytes) -> bool:
        """Whether there is another token than the refused one: it may have been revoked before its time."""
        if refused_line == _NO_TOKEN:
            return False
        async with self._renewing:  # whoever is refused meanwhile waits for what comes of it
            if (line := await self._authorization_line()) != refused_line:
                return line != _NO_TOKEN
            now_s = asyncio.get_running_loop().time()
            if self._renewed_s is not None and now_s - self._renewed_s < _RENEWED_AT_MOST_EVERY_S:
                return False
            self._renewed_s = now_s
            return await self._credentials.renew(f"Bearer {self._authorization[0]}")


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

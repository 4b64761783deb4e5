"""A listener that answers with the name of who asks, its clients, and the CAs of both."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
from aiohttp import web

from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.clock import SystemClock
from pymetrics_server.errors import UnauthorizedError
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.limits import Limits
from pymetrics_server.serving.listener import SecureListener
from pymetrics_server.serving.peer import peer_chain_der
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.fakes.certificates import authority, certificate

NOW_NS = time.time_ns()
SERVING_CA = make_ca("serving-ca", NOW_NS)
FRONT, CLIENTS = authority("front-proxy-ca", NOW_NS), authority("client-ca", NOW_NS)
TRUST = Trust(
    requestheader_ca_pem=FRONT.cert_pem, client_ca_pem=CLIENTS.cert_pem, allowed_names=("front-proxy-client",)
)
PROXY = certificate("front-proxy-client", NOW_NS, FRONT)
ALICE = {"X-Remote-User": "alice"}

Scenario = Callable[["Serving"], Awaitable[None]]


class Answer:
    def __init__(self, user: UserInfo | None) -> None:
        self.authenticated, self.user, self.error = user is not None, user, ""


class Reviewer:
    async def token_review(self, token: str) -> Answer:
        return Answer(UserInfo("token-user") if token == "good" else None)


class Serving:
    """A listener that answers with the name of who asks, or 401."""

    def __init__(
        self,
        directory: Path,
        trust: Trust = TRUST,
        limits: Limits | None = None,
        sni: Sequence[ServingCertificate] = (),
    ) -> None:
        self.directory = directory
        self.install(issue(SERVING_CA, "one", NOW_NS, hosts=["localhost"], server=True))
        self.listener = SecureListener(
            ServingCertificate.from_files(str(directory / "tls.crt"), str(directory / "tls.key")),
            limits=limits,
            sni=sni,
        )
        self.trust = TrustSource()
        self.set_trust(trust)
        self.who = Authenticator(self.trust, Reviewer(), SystemClock())
        self.entered, self.may_end = asyncio.Event(), asyncio.Event()

    def install(self, pair: Pair) -> None:
        (self.directory / "tls.crt").write_bytes(pair.cert_pem)
        (self.directory / "tls.key").write_bytes(pair.key_pem)

    def set_trust(self, trust: Trust) -> None:
        self.listener.set_trust(trust.requestheader_ca_pem, trust.client_ca_pem)
        self.trust.replace(trust)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            self.entered.set()
            await self.may_end.wait()
        if request.path == "/big":
            return web.Response(body=bytes(200_000))
        try:
            user = await self.who.authenticate(request.headers, peer_chain_der(request.transport))
        except UnauthorizedError as err:
            return web.Response(status=401, text=str(err))
        return web.Response(text=user.name)

    @contextlib.asynccontextmanager
    async def client(self, *chain: Pair) -> AsyncIterator["Client"]:
        """One that shows this chain, and keeps its connection."""
        connector = aiohttp.TCPConnector(ssl=client_context(self.directory, *chain), limit=1)
        async with aiohttp.ClientSession(f"https://localhost:{self.listener.port}", connector=connector) as s:
            yield Client(s)

    @contextlib.asynccontextmanager
    async def dialled(self, *chain: Pair) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection for what no decent client sends."""
        reader, writer = await asyncio.open_connection(
            "localhost", self.listener.port, ssl=client_context(self.directory, *chain)
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


class Client:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str = "/", **headers: str) -> str:
        """The user's name, or the status where that is not 200."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.get(path, headers=sent) as response:
            return await response.text() if response.status == 200 else str(response.status)


def client_context(directory: Path, *chain: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=SERVING_CA.cert_pem.decode())
    if chain:
        shown = directory / "client.pem"
        shown.write_bytes(b"".join(p.cert_pem for p in chain) + chain[0].key_pem)
        context.load_cert_chain(shown)
    return context

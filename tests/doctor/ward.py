"""Kubelets and servers that are ill, each on a port of its own until the ward is closed."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.exposition import summary_json
from pymetrics_server.standin.pki import PairFiles, server_context
from pymetrics_server.standin.views import NodeView
from pymetrics_server.x509 import Pair, issue
from tests.programs import free_port

_ADDRESS = "127.0.0.1"
_NODE = "node-sick"

Answer = Callable[[web.BaseRequest], web.Response]


class Ward:
    def __init__(self, cluster: StandinCluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._runners: list[web.ServerRunner] = []
        self._listeners: list[asyncio.Server] = []
        self._made = 0

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        for listener in self._listeners:
            listener.close()
        self._runners.clear()
        self._listeners.clear()

    def certificate(
        self, *hosts: str, ca: Pair | None = None, age_days: int = 0, days: int = 365
    ) -> PairFiles:
        """A kubelet's, of the cluster's CA where no other is given, issued so long ago."""
        now_ns = SystemClock().now_ns() - age_days * 86_400_000_000_000
        pair = issue(
            ca or self._cluster.pki.cluster_ca,
            f"system:node:{_NODE}",
            now_ns,
            hosts=hosts,
            server=True,
            days=days,
        )
        return self._saved(pair)

    async def https(self, answer: Answer, files: PairFiles | None = None) -> int:
        """Asks for a client certificate, as kubelets and aggregated servers do, and believes whatever CA signed it."""

        async def answered(request: web.BaseRequest) -> web.StreamResponse:
            return answer(request)

        return await self._serving(answered, files or self.certificate(_ADDRESS))

    async def _serving(
        self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], files: PairFiles
    ) -> int:
        context = server_context(files, self._authorities())
        runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, _ADDRESS, 0, ssl_context=context).start()
        return int(runner.addresses[0][1])

    async def kubelet(self, view: Callable[[], NodeView], files: PairFiles | None = None) -> int:
        """One that shows this of its node to anybody."""
        return await self.https(
            lambda _: web.Response(body=summary_json(view()), content_type="application/json"), files
        )

    async def mute(self) -> int:
        """Takes connections and never says anything."""

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1024):
                pass
            writer.close()

        return await self._listening(listen)

    async def without_tls(self) -> int:
        """Answers whatever comes as a web server does that was spoken to in TLS."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        return await self._listening(answer)

    async def slow(self) -> int:
        """Takes the request and keeps the answer for itself."""

        async def think(_: web.BaseRequest) -> web.StreamResponse:
            await asyncio.sleep(3600)
            raise AssertionError

        return await self._serving(think, self.certificate(_ADDRESS))

    async def rude(self) -> int:
        """Hangs up on whoever comes."""

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()

        return await self._listening(hang_up)

    async def without_certificate(self) -> int:
        """A kubelet that waits for its serving certificate: it ends each handshake with an internal error. By hand:
        asyncio hangs up without the alert."""
        context = server_context(self.certificate(_ADDRESS))
        context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

        async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = context.wrap_bio(came, goes, server_side=True)
            with contextlib.suppress(ssl.SSLError):
                while data := await reader.read(1 << 14):
                    came.write(data)
                    with contextlib.suppress(ssl.SSLWantReadError):
                        session.do_handshake()
            writer.write(goes.read())
            writer.close()

        return await self._listening(shake_hands)

    async def _listening(
        self,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> int:
        listener = await asyncio.start_server(serve, _ADDRESS, 0)
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    def _authorities(self) -> bytes:
        pki = self._cluster.pki
        return pki.cluster_ca.cert_pem + pki.front_proxy_ca.cert_pem

    def _saved(self, pair: Pair) -> PairFiles:
        self._directory.mkdir(exist_ok=True)
        self._made += 1
        files = PairFiles(self._directory / f"{self._made}.crt", self._directory / f"{self._made}.key")
        files.cert.write_bytes(pair.cert_pem)
        files.key.write_bytes(pair.key_pem)
        return files


def closed_port() -> int:
    """Where nothing listens."""
    return free_port()


def dated(ca: Pair, *, begins_in_days: int, ends_in_days: int) -> bytes:
    """The same CA, of the same key, for another time: PEM."""
    known = x509.load_pem_x509_certificate(ca.cert_pem)
    key = serialization.load_pem_private_key(ca.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.fromtimestamp(SystemClock().now_ns() // 1_000_000_000, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(known.subject)
        .issuer_name(known.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins_in_days))
        .not_valid_after(now + timedelta(days=ends_in_days))
    )
    for extension in known.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

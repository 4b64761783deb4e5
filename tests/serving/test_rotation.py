"""CAs and certificates that change under continuous load, and what a removed CA leaves behind: nothing."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymetrics_server.auth.trust import Trust
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.contexts import ServingContexts
from pymetrics_server.x509 import Pair, issue
from tests.fakes.certificates import authority, certificate
from tests.serving.door import (
    ALICE,
    CLIENTS,
    FRONT,
    NOW_NS,
    PROXY,
    SERVING_CA,
    TRUST,
    Serving,
    client_context,
)

Run = Callable[..., None]
NEW_FRONT = authority("front-proxy-ca-2", NOW_NS)
NEW_PROXY = certificate("front-proxy-client", NOW_NS, NEW_FRONT)
MIDDLE = authority("middle", NOW_NS, FRONT)
OVER_MIDDLE = certificate("front-proxy-client", NOW_NS, MIDDLE)
NAMES = ("front-proxy-client",)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Kept:
    """A connection kept alive, by blocking calls."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection

    def ask(self) -> str:
        """The user's name, or the status."""
        self.connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nX-Remote-User: alice\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = self.connection.recv(65_536)
            if not received:
                raise ConnectionError("the connection ended")
            answer += received
        head, _, body = answer.partition(b"\r\n\r\n")
        return body.decode() if b" 200 " in head else head.split(b" ")[1].decode()


@contextlib.contextmanager
def kept(serving: Serving, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Iterator[Kept]:
    with (
        socket.create_connection(("127.0.0.1", serving.listener.port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost", session=session) as connection,
    ):
        yield Kept(connection)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("chain", [(PROXY,), (OVER_MIDDLE, MIDDLE)], ids=["leaf", "with an intermediate"])
def test_a_removed_ca_counts_no_longer_on_any_connection_nor_for_any_resumed_session(
    run: Run, version: ssl.TLSVersion, chain: tuple[Pair, ...]
) -> None:
    async def scenario(serving: Serving) -> None:
        def attempts(set_trust: Callable[[Trust], None]) -> None:
            context = client_context(serving.directory, *chain)
            context.minimum_version = context.maximum_version = version
            with kept(serving, context) as before:
                assert before.ask() == "alice"
                session = before.connection.session
                with kept(serving, context, session) as again:
                    assert not (again.connection.session_reused and version is ssl.TLSVersion.TLSv1_3)
                    assert again.ask() == "alice"
                set_trust(Trust(requestheader_ca_pem=NEW_FRONT.cert_pem, allowed_names=NAMES))
                for _ in range(2):
                    assert before.ask() == "401"
                for offered in (None, session, before.connection.session):
                    with pytest.raises(OSError), kept(serving, context, offered) as fresh:  # noqa: PT011
                        fresh.ask()
                set_trust(TRUST)
                assert before.ask() == "alice"

        loop = asyncio.get_running_loop()

        def set_trust(trust: Trust) -> None:
            async def on_loop() -> None:
                serving.set_trust(trust)

            asyncio.run_coroutine_threadsafe(on_loop(), loop).result(5)

        await asyncio.to_thread(attempts, set_trust)

    run(scenario)


def test_nobody_who_belongs_notices_a_rotation(run: Run) -> None:
    """The order of kube-apiserver's: the new CA beside the old one, clients take new certificates, the old CA goes."""

    async def scenario(serving: Serving) -> None:
        both = Trust(
            requestheader_ca_pem=FRONT.cert_pem + NEW_FRONT.cert_pem,
            client_ca_pem=CLIENTS.cert_pem,
            allowed_names=NAMES,
        )
        new = Trust(
            requestheader_ca_pem=NEW_FRONT.cert_pem, client_ca_pem=CLIENTS.cert_pem, allowed_names=NAMES
        )
        proxy = PROXY
        over = asyncio.Event()
        asked = 0

        async def ask_on(fresh: bool) -> None:
            nonlocal asked
            while not over.is_set():
                shown = proxy
                async with serving.client(shown) as client:
                    while not over.is_set() and shown is proxy:
                        assert await client.get(**ALICE) == "alice"
                        asked += 1
                        if fresh:
                            break

        async def some_more() -> None:
            until = asked + 40
            while asked < until:  # noqa: ASYNC110  whoever asks tells nobody
                await asyncio.sleep(0.01)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(ask_on(fresh=number % 2 == 0))
            for number in range(3):
                await some_more()
                serving.install(
                    issue(SERVING_CA, f"serving-{number}", NOW_NS, hosts=["localhost"], server=True)
                )
                assert serving.listener.reload_certificate_if_changed()
                await some_more()
                serving.set_trust(both)
                await some_more()
                proxy = NEW_PROXY
                await asyncio.sleep(0.1)  # requests under way that show the old one
                await some_more()
                serving.set_trust(new)
                await some_more()
                serving.set_trust(both)
                proxy = PROXY
                await asyncio.sleep(0.1)
                await some_more()
                serving.set_trust(TRUST)
            over.set()

    run(scenario)


def test_sessions_of_tls_1_2_are_not_remembered_for_ever(tmp_path: Path) -> None:
    directory = Serving(tmp_path).directory
    contexts = ServingContexts(
        ServingCertificate.from_files(str(directory / "tls.crt"), str(directory / "tls.key")),
        (),
        min_version="",
        cipher_suites=(),
    )
    client = client_context(directory)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    first = contexts.of_address("127.0.0.1")
    for _ in range(999):
        in_memory(client, first)
    assert not contexts.forget_sessions()
    in_memory(client, first)
    assert contexts.forget_sessions()
    assert contexts.of_address("127.0.0.1") is not first


def in_memory(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A handshake, and a farewell: without it the session is forgotten anyway."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    shaking = list(ends)
    while shaking:
        for end in list(shaking):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                shaking.remove(end)
    with contextlib.suppress(ssl.SSLWantReadError):
        ends[1].unwrap()

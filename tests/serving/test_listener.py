"""Clients over real sockets and real TLS: who they are found to be, and what changes under them."""

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from pymetrics_server.auth.trust import Trust
from pymetrics_server.errors import ConfigError, ListenError
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.listener import SecureListener
from pymetrics_server.x509 import Pair, issue
from tests.fakes.certificates import SERVER, authority, certificate
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

TWIN = authority("front-proxy-ca", NOW_NS)
PAYLOADS = Path(os.environ.get("PAYLOADS", Path(__file__).parents[3] / "shared" / "payloads")) / "configmap"
MIDDLE = authority("middle", NOW_NS, FRONT)
OUTCOMES: dict[str, tuple[tuple[Pair, ...], dict[str, str], str]] = {
    "nothing": ((), {}, "system:anonymous"),
    "headers alone": ((), ALICE, "system:anonymous"),
    "a token": ((), {"Authorization": "Bearer good"}, "token-user"),
    "a bad token": ((), {"Authorization": "Bearer bad"}, "401"),
    "a front proxy": ((PROXY,), ALICE, "alice"),
    "a front proxy over an intermediate": (
        (certificate("front-proxy-client", NOW_NS, MIDDLE), MIDDLE),
        ALICE,
        "alice",
    ),
    "a front proxy that names nobody": ((PROXY,), {}, "401"),
    "a front proxy of another name": ((certificate("kubelet", NOW_NS, FRONT),), ALICE, "401"),
    "an expired front proxy": (
        (certificate("front-proxy-client", NOW_NS, FRONT, begins_in_h=-2, ends_in_h=-1),),
        ALICE,
        "401",
    ),
    "an expired front proxy with a token": (
        (certificate("front-proxy-client", NOW_NS, FRONT, begins_in_h=-2, ends_in_h=-1),),
        ALICE | {"Authorization": "Bearer good"},
        "token-user",
    ),
    "a client of the front proxy's name": (
        (certificate("front-proxy-client", NOW_NS, CLIENTS),),
        ALICE,
        "front-proxy-client",
    ),
    "a client without a name": (
        (certificate("", NOW_NS, CLIENTS, organizations=["system:masters"]),),
        ALICE,
        "401",
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_each_kind_of_credentials_has_its_outcome(run: Callable[..., None], case: str) -> None:
    chain, headers, expected = OUTCOMES[case]

    async def scenario(serving: Serving) -> None:
        async with serving.client(*chain) as client:
            assert await client.get(**headers) == expected

    run(scenario)


REFUSED = {
    "self-signed with the right name": certificate("front-proxy-client", NOW_NS),
    "the same issuer name with another key": certificate("front-proxy-client", NOW_NS, TWIN),
    "for servers only": certificate("front-proxy-client", NOW_NS, FRONT, usages=[SERVER]),
    "an intermediate that was not sent": certificate("front-proxy-client", NOW_NS, MIDDLE),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_certificate_of_nobody_known_ends_the_handshake_and_the_log_says_why(
    run: Callable[..., None], case: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(serving: Serving) -> None:
        for _ in range(2):
            async with serving.client(REFUSED[case]) as client:
                with pytest.raises(aiohttp.ClientError):
                    await client.get(**ALICE)

    run(scenario)
    assert caplog.text.count("A client's certificate was refused in the TLS handshake") == 1


def test_a_client_with_a_certificate_is_served_while_no_ca_is_known(run: Callable[..., None]) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.client(PROXY) as client:
            assert await client.get(**ALICE) == "system:anonymous"

    run(scenario, Trust())


def test_cas_are_taken_up_and_dropped_while_serving(run: Callable[..., None]) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.client(PROXY) as early, serving.client(PROXY) as late:
            assert await early.get(**ALICE) == "system:anonymous"
            serving.set_trust(TRUST)
            assert await late.get(**ALICE) == "alice"
            assert await early.get(**ALICE) == "alice"  # was not asked before, and so not kept alive
            serving.set_trust(Trust(requestheader_ca_pem=TWIN.cert_pem))
            assert await late.get(**ALICE) == "401"  # the kept-alive connection too
            async with serving.client(PROXY) as fresh:
                with pytest.raises(aiohttp.ClientError):
                    await fresh.get(**ALICE)
            async with serving.client(certificate("x", NOW_NS, TWIN)) as rotated:
                assert await rotated.get(**ALICE) == "alice"
            serving.set_trust(TRUST)
            assert await late.get(**ALICE) == "alice"

    run(scenario, Trust())


def test_a_connection_whose_client_was_not_asked_by_the_cas_of_now_ends_with_its_next_answer(
    run: Callable[..., None],
) -> None:
    """Kept alive it would stay nobody: kube-apiserver's aggregator, come before its CA was known, for one."""

    async def scenario(serving: Serving) -> None:
        async with serving.client() as nobody:
            for _ in range(2):
                assert await nobody.get() == "system:anonymous"
            serving.set_trust(Trust(requestheader_ca_pem=TWIN.cert_pem))
            assert await nobody.get() == "system:anonymous"
        async with serving.client(certificate("x", NOW_NS, TWIN)) as proxy:
            assert await proxy.get(**ALICE) == "alice"
            serving.set_trust(TRUST)
            assert (
                await proxy.get(**ALICE) == "401"
            )  # it has a certificate: what that is worth is said each time

    run(scenario)


def test_a_bundle_that_cannot_be_read_leaves_the_cas_of_before(run: Callable[..., None]) -> None:
    async def scenario(serving: Serving) -> None:
        serving.listener.set_trust(b"-----BEGIN CERTIFICATE-----\ngarbage", b"")
        async with serving.client(PROXY) as client:
            assert await client.get(**ALICE) == "alice"

    run(scenario)


def serving_name(serving: Serving) -> str:
    """Who the listener says it is in a new handshake."""
    with (
        socket.create_connection(("127.0.0.1", serving.listener.port), timeout=5) as raw,
        client_context(serving.directory).wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        shown = connection.getpeercert()
        assert shown is not None
        subject = shown["subject"]
        assert isinstance(subject, tuple)
        return str(subject[0][0][1])


def test_a_replaced_serving_certificate_shows_in_new_handshakes_and_drops_nobody(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(serving: Serving) -> None:
        listener = serving.listener
        two = issue(SERVING_CA, "two", NOW_NS, hosts=["localhost"], server=True)
        async with serving.client(PROXY) as kept:
            assert await kept.get(**ALICE) == "alice"
            assert not listener.reload_certificate_if_changed()
            (serving.directory / "tls.crt").write_bytes(two.cert_pem)  # the key is yet to come
            assert not listener.reload_certificate_if_changed()
            assert not listener.reload_certificate_if_changed()
            assert await asyncio.to_thread(serving_name, serving) == "one"
            serving.install(two)
            assert listener.reload_certificate_if_changed()
            assert await asyncio.to_thread(serving_name, serving) == "two"
            assert await kept.get(**ALICE) == "alice"
            (serving.directory / "tls.key").unlink()
            assert not listener.reload_certificate_if_changed()
            serving.set_trust(Trust(client_ca_pem=CLIENTS.cert_pem))  # needs no files
            assert await asyncio.to_thread(serving_name, serving) == "two"

    run(scenario)
    assert caplog.text.count("Keeping the serving certificate of before") == 2


def test_stopping_lets_requests_end_and_closes_idle_connections(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def scenario() -> None:
        serving = Serving(tmp_path)
        await serving.listener.start(serving.answer, "127.0.0.1", 0)
        async with serving.client() as idle, serving.client(PROXY) as busy, asyncio.TaskGroup() as group:
            assert await idle.get() == "system:anonymous"
            asking = group.create_task(busy.get("/slow", **ALICE))
            await serving.entered.wait()
            port = serving.listener.port
            stopping = group.create_task(serving.listener.stop(10))
            await asyncio.sleep(0)
            serving.may_end.set()
            assert await asking == "alice"
            await asyncio.wait_for(stopping, 5)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=1)

    runner.run(scenario())


def test_stopping_waits_no_longer_than_it_was_told(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def scenario() -> None:
        serving = Serving(tmp_path)
        await serving.listener.start(serving.answer, "127.0.0.1", 0)
        async with serving.client() as busy, asyncio.TaskGroup() as group:

            async def ask_in_vain() -> None:
                with pytest.raises(aiohttp.ClientError):
                    await busy.get("/slow")

            group.create_task(ask_in_vain())
            await serving.entered.wait()
            await asyncio.wait_for(serving.listener.stop(0.05), 5)

    runner.run(scenario())


def test_a_port_that_is_taken_is_named_with_the_flags_that_move_it(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def scenario() -> None:
        serving = Serving(tmp_path)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ListenError) as caught:
                await serving.listener.start(serving.answer, "127.0.0.1", port)
        assert str(caught.value).startswith(
            f"failed to create listener: failed to listen on 127.0.0.1:{port}: "
            f"listen tcp 127.0.0.1:{port}: bind: address already in use"
        )
        assert "--secure-port" in str(caught.value)

    runner.run(scenario())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("bind_address", "reached_at"),
    [("0.0.0.0", ["127.0.0.1", "::1"]), ("::", ["127.0.0.1", "::1"]), ("::1", ["::1"])],
)
def test_a_wildcard_of_either_family_serves_both(
    runner: asyncio.Runner, tmp_path: Path, bind_address: str, reached_at: list[str]
) -> None:
    async def scenario() -> None:
        serving = Serving(tmp_path)
        await serving.listener.start(serving.answer, bind_address, 0)
        for address in reached_at:
            _, writer = await asyncio.open_connection(
                address, serving.listener.port, ssl=client_context(tmp_path), server_hostname="localhost"
            )
            writer.close()
            await writer.wait_closed()
        await serving.listener.stop(0)

    runner.run(scenario())


def test_users_with_very_many_groups_are_served(run: Callable[..., None]) -> None:
    async def scenario(serving: Serving) -> None:
        reader, writer = await asyncio.open_connection(
            "localhost", serving.listener.port, ssl=client_context(serving.directory)
        )
        groups = "".join(f"X-Remote-Group: group-{n}\r\n" for n in range(2000))
        writer.write(f"GET / HTTP/1.1\r\nHost: h\r\n{groups}X-Long: {'x' * 100_000}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()

    run(scenario)


def test_unknown_names_of_versions_and_ciphers_are_mistakes(tmp_path: Path) -> None:
    files = ServingCertificate.self_signed(str(tmp_path), "0.0.0.0", NOW_NS)
    with pytest.raises(ConfigError, match=r'^unknown tls version "TLS9"$'):
        SecureListener(files, min_version="TLS9")
    with pytest.raises(ConfigError, match=r"^Cipher suite FOO not supported or doesn't exist$"):
        SecureListener(files, cipher_suites=["FOO"])


@pytest.mark.parametrize(
    ("min_version", "speaks_1_2"), [("", True), ("VersionTLS10", True), ("VersionTLS13", False)]
)
def test_the_lowest_version_is_kept_to(
    runner: asyncio.Runner, tmp_path: Path, min_version: str, speaks_1_2: bool
) -> None:
    async def scenario() -> None:
        serving = Serving(tmp_path)
        listener = SecureListener(
            ServingCertificate.from_files(str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")),
            min_version=min_version,
            cipher_suites=["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"],
        )
        await listener.start(serving.answer, "127.0.0.1", 0)
        context = client_context(tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2", "http/1.1"])
        connecting = asyncio.open_connection("localhost", listener.port, ssl=context)
        if speaks_1_2:
            _, writer = await connecting
            connection = writer.get_extra_info("ssl_object")
            assert connection.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
            assert connection.selected_alpn_protocol() == "http/1.1"
            writer.close()
            await writer.wait_closed()
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connecting
        await listener.stop(0)

    runner.run(scenario())


@pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="no recorded ConfigMaps: set PAYLOADS to a folder that has them"
)
def test_the_cas_of_real_clusters_are_taken_up(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(serving: Serving) -> None:
        for path in sorted(PAYLOADS.glob("*.json")):
            data = json.loads(path.read_text())["data"]
            real = data["requestheader-client-ca-file"].encode()
            serving.set_trust(
                Trust(
                    requestheader_ca_pem=real + FRONT.cert_pem, client_ca_pem=data["client-ca-file"].encode()
                )
            )
            async with serving.client(PROXY) as client:
                assert await client.get(**ALICE) == "alice"

    run(scenario)
    assert "Keeping the client CAs of before" not in caplog.text

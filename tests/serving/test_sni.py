"""Several serving certificates: which one a client gets, and how each is replaced."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pymetrics_server.auth.trust import Trust
from pymetrics_server.errors import ConfigError
from pymetrics_server.serving.certificates import ServingCertificate, names_in
from pymetrics_server.x509 import Pair, issue
from tests.fakes.certificates import certificate
from tests.security.people import unreadable
from tests.serving.door import ALICE, NOW_NS, PROXY, SERVING_CA, TRUST, Serving, client_context

Run = Callable[..., None]


def install(directory: Path, name: str, pair: Pair) -> tuple[str, str]:
    (directory / f"{name}.crt").write_bytes(pair.cert_pem)
    (directory / f"{name}.key").write_bytes(pair.key_pem)
    return str(directory / f"{name}.crt"), str(directory / f"{name}.key")


def further(
    directory: Path, name: str, names: Sequence[str] = (), hosts: Sequence[str] = ("localhost",)
) -> ServingCertificate:
    pair = issue(SERVING_CA, name, NOW_NS, hosts=tuple(hosts), server=True)
    return ServingCertificate.for_names(*install(directory, name, pair), names)


def shown(serving: Serving, sni: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
    """The common name of the certificate that this client is shown."""
    context = client_context(serving.directory)
    context.check_hostname = False
    context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", serving.listener.port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=sni) as connection,
    ):
        found = connection.getpeercert()
        assert found is not None
        subject = found["subject"]
        assert isinstance(subject, tuple)
        return str(subject[0][0][1])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_gets_the_certificate_of_the_name_that_it_asks_for(
    run: Run, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    async def scenario(serving: Serving) -> None:
        for sni, expected in {
            "given.example": "given",
            "GIVEN.example": "given",
            "a.wild.example": "given",
            "a.b.wild.example": "one",
            "wild.example": "one",
            "found.example": "found",
            "a.found.example": "found",
            "both.example": "given",
            "twice.example": "given",
            "else.example": "one",
            None: "one",
        }.items():
            assert await asyncio.to_thread(shown, serving, sni, version) == expected, sni

    sni = [
        further(tmp_path, "found", hosts=["found.example", "*.found.example", "both.example", "10.0.0.1"]),
        further(tmp_path, "given", ["given.example", "*.wild.example", "both.example", "twice.example"]),
        further(tmp_path, "later", ["twice.example"]),
    ]
    run(scenario, sni=sni)


def test_a_client_that_asks_for_no_name_gets_what_is_named_by_the_address(run: Run, tmp_path: Path) -> None:
    async def scenario(serving: Serving) -> None:
        assert await asyncio.to_thread(shown, serving, None) == "by-address"
        assert await asyncio.to_thread(shown, serving, "else.example") == "one"

    run(scenario, sni=[further(tmp_path, "by-address", ["127.0.0.1"])])


def test_clients_certificates_count_behind_every_serving_certificate(run: Run, tmp_path: Path) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.client(PROXY) as proxy:
            assert await proxy.get(**ALICE) == "alice"
            serving.set_trust(Trust(client_ca_pem=TRUST.client_ca_pem))
            assert await proxy.get(**ALICE) == "401"
        serving.set_trust(TRUST)
        async with serving.client() as nobody, serving.client(PROXY) as proxy:
            for _ in range(2):
                assert await nobody.get() == "system:anonymous"
            assert await proxy.get(**ALICE) == "alice"

    run(scenario, sni=[further(tmp_path, "found")])


def test_each_certificate_is_reloaded_by_itself(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(serving: Serving) -> None:
        listener = serving.listener
        assert not listener.reload_certificate_if_changed()
        install(tmp_path, "a", issue(SERVING_CA, "newer", NOW_NS, hosts=("c.example",), server=True))
        (tmp_path / "b.crt").write_text("half")
        assert listener.reload_certificate_if_changed()
        assert not listener.reload_certificate_if_changed()
        for sni, expected in {"a.example": "one", "c.example": "newer", "b.example": "b"}.items():
            assert await asyncio.to_thread(shown, serving, sni) == expected

    run(scenario, sni=[further(tmp_path, n, hosts=[f"{n}.example"]) for n in ("a", "b")])
    assert caplog.text.count("Keeping the serving certificate of before") == 1


def test_a_name_that_is_no_text_ends_the_handshake_and_nothing_else(run: Run, tmp_path: Path) -> None:
    async def scenario(serving: Serving) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", serving.listener.port)
        hello = _hello(b"found.example").replace(b"found", b"fo\xffnd")
        writer.write(hello)
        await writer.drain()
        assert await asyncio.to_thread(shown, serving, "found.example") == "found"
        writer.close()

    run(scenario, sni=[further(tmp_path, "found", hosts=["found.example"])])


def _hello(name: bytes) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
        incoming, outgoing, server_hostname=name.decode()
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_names_in_a_certificate_are_its_hosts(tmp_path: Path) -> None:
    assert names_in(issue(SERVING_CA, "cn.example", NOW_NS, hosts=("a.example", "10.0.0.1"))) == [
        "cn.example",
        "a.example",
    ]
    for cn, names in {"*.a.example": ["*.a.example"], "10.0.0.1": [], "Some Body": [], "": []}.items():
        assert names_in(certificate(cn, NOW_NS)) == names


def test_a_certificate_whose_names_cannot_be_read_has_none_and_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = issue(SERVING_CA, "cn.example", NOW_NS, hosts=("a.example",))
    assert names_in(Pair(unreadable(pair, "cn.example"), pair.key_pem)) == []
    assert "its names cannot be read" in caplog.text


def test_files_that_cannot_be_used_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^failed to load SNI cert and key: open /nowhere/a\.crt: no such"):
        ServingCertificate.for_names("/nowhere/a.crt", "/nowhere/a.key", ())
    (tmp_path / "a.crt").write_text("garbage")
    (tmp_path / "a.key").write_text("garbage")
    with pytest.raises(ConfigError, match=r"^failed to load SNI cert and key: .*--tls-sni-cert-key"):
        ServingCertificate.for_names(str(tmp_path / "a.crt"), str(tmp_path / "a.key"), ())

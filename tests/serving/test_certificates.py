"""The serving certificate: found, made or refused with a sentence that says what to do."""

import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from pymetrics_server.errors import ConfigError
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.x509 import Pair, issue, make_ca

NOW_NS = 1_790_000_000_000_000_000


def made(directory: Path, bind_address: str = "0.0.0.0") -> ServingCertificate:
    return ServingCertificate.self_signed(str(directory), bind_address, NOW_NS)


def names(certificate: ServingCertificate) -> x509.SubjectAlternativeName:
    leaf = x509.load_pem_x509_certificate(certificate.cert_file.read_bytes())
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_pair_is_made_with_its_ca_behind_it_and_a_key_for_its_owner_alone(tmp_path: Path) -> None:
    pair = made(tmp_path / "new" / "deep")
    assert pair.cert_file == tmp_path / "new" / "deep" / "apiserver.crt"
    leaf, ca = x509.load_pem_x509_certificates(pair.cert_file.read_bytes())
    assert (leaf.subject.rfc4514_string(), ca.subject.rfc4514_string()) == (
        "CN=localhost@1790000000",
        "CN=localhost-ca@1790000000",
    )
    leaf.verify_directly_issued_by(ca)
    assert pair.cert_file.stat().st_mode & 0o777 == 0o644
    assert pair.key_file.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in pair.cert_file.parent.iterdir()) == ["apiserver.crt", "apiserver.key"]


@pytest.mark.parametrize(
    ("bind_address", "addresses"),
    [
        ("0.0.0.0", ["127.0.0.1"]),
        ("::", ["127.0.0.1"]),
        ("10.0.0.7", ["127.0.0.1", "10.0.0.7"]),
        ("fd00::7", ["127.0.0.1", "fd00::7"]),
    ],
)
def test_it_names_localhost_and_the_address_it_is_bound_to(
    tmp_path: Path, bind_address: str, addresses: list[str]
) -> None:
    found = names(made(tmp_path, bind_address))
    assert found.get_values_for_type(x509.DNSName) == ["localhost"]
    assert found.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(a) for a in addresses]


def test_a_pair_that_is_there_is_used_as_it_is_however_old(tmp_path: Path) -> None:
    before = made(tmp_path).read()
    again = ServingCertificate.self_signed(str(tmp_path), "10.0.0.9", NOW_NS + 10**18)
    assert again.read() == before


@pytest.mark.parametrize("missing", ["apiserver.crt", "apiserver.key"])
def test_half_a_pair_is_a_mistake(tmp_path: Path, missing: str) -> None:
    made(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigError) as caught:
        made(tmp_path)
    assert str(caught.value).startswith(
        f"error creating self-signed certificates: error reading {tmp_path / missing}, "
        "certificate and key must be supplied as a pair: "
    )


@pytest.mark.parametrize("left", [".apiserver.crt.1", ".apiserver.crt.77"])
def test_a_start_that_was_killed_between_the_two_halves_is_finished_by_the_next(
    tmp_path: Path, left: str
) -> None:
    pair = made(tmp_path)
    before = pair.read()
    pair.cert_file.rename(
        tmp_path / left
    )  # what is there once the key has its place and before the certificate
    again = made(tmp_path)
    assert again.read() == before
    assert again.cert_file.stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / left).exists()


def test_a_certificate_that_was_left_is_not_put_beside_a_key_that_is_not_its_own(tmp_path: Path) -> None:
    other, ours = made(tmp_path / "other"), made(tmp_path / "ours")
    for content in (other.cert_file.read_bytes(), b"half a cert"):
        (tmp_path / "ours" / ".apiserver.crt.1").write_bytes(content)
        ours.cert_file.unlink(missing_ok=True)
        with pytest.raises(ConfigError, match="certificate and key must be supplied as a pair"):
            made(tmp_path / "ours")
        assert not ours.cert_file.exists()


def test_garbage_in_place_of_a_pair_is_a_mistake(tmp_path: Path) -> None:
    for name in ("apiserver.crt", "apiserver.key"):
        (tmp_path / name).write_text("garbage")
    with pytest.raises(ConfigError, match="failed to find any PEM data in certificate input"):
        made(tmp_path)


def test_a_directory_that_cannot_be_written_is_named_with_the_ways_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        ConfigError, match=r": file exists: .* cannot be written to; .*--cert-dir .*--tls-cert-file"
    ):
        made(tmp_path / "file")


def write(directory: Path, pair: Pair) -> tuple[str, str]:
    (directory / "tls.crt").write_bytes(pair.cert_pem)
    (directory / "tls.key").write_bytes(pair.key_pem)
    return str(directory / "tls.crt"), str(directory / "tls.key")


def test_given_files_are_used(tmp_path: Path) -> None:
    pair = issue(make_ca("ca", NOW_NS), "metrics", NOW_NS, server=True)
    assert ServingCertificate.from_files(*write(tmp_path, pair)).read() == pair


def test_a_key_of_another_certificate_a_missing_file_and_half_a_pair_are_mistakes(tmp_path: Path) -> None:
    ca = make_ca("ca", NOW_NS)
    one, other = (issue(ca, name, NOW_NS, server=True) for name in ("one", "other"))
    cert_file, key_file = write(tmp_path, Pair(one.cert_pem, other.key_pem))
    for files, words in (
        ((cert_file, key_file), "^tls: private key does not match public key: "),
        ((cert_file, "/nowhere/tls.key"), "^open /nowhere/tls.key: no such file or directory: "),
        ((cert_file, ""), "need both --tls-cert-file and --tls-private-key-file"),
    ):
        with pytest.raises(ConfigError, match=words):
            ServingCertificate.from_files(*files)


def test_a_certificate_and_a_key_in_each_other_s_place_are_a_mistake(tmp_path: Path) -> None:
    pair = issue(make_ca("ca", NOW_NS), "metrics", NOW_NS, server=True)
    cert_file, key_file = write(tmp_path, pair)
    for files, words in (
        (
            (key_file, cert_file),
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may "
            f"have been switched: {key_file} holds",
        ),
        ((cert_file, cert_file), "tls: found a certificate rather than a key in the PEM for the private key"),
    ):
        with pytest.raises(ConfigError) as caught:
            ServingCertificate.from_files(*files)
        assert str(caught.value).startswith(words)
    with pytest.raises(ConfigError, match=r"^failed to load SNI cert and key: tls: .* switched"):
        ServingCertificate.for_names(key_file, cert_file, [])


def test_openssl_verifies_the_self_signed_leaf_for_localhost_strictly(tmp_path: Path) -> None:
    certificate = ServingCertificate.self_signed(str(tmp_path), "0.0.0.0", NOW_NS)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VerifyFlags(0x200000)  # whatever the date
    client.load_verify_locations(certificate.cert_file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.cert_file, certificate.key_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
    assert ends == []

"""What is issued has the key that was asked for, and is believed under CAs that others made."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from pymetrics_server.errors import ConfigError, UntrustedError
from pymetrics_server.x509 import (
    KEY_KINDS,
    KeyKind,
    Pair,
    bundle_der,
    inspect_pem,
    issue,
    make_ca,
    prove,
    signing_pair,
)
from tests.fakes.certificates import authority, certificate

NOW_NS = 1_790_000_000_000_000_000
DAY_NS = 86_400_000_000_000
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "theirs")])

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def pem_of(key: Key, password: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption(),
    )


def their_ca(key: Key, key_id: bytes | None = None) -> Pair:
    """With PKCS #8's key, and a key identifier of its maker's own making."""
    now = datetime.datetime.fromtimestamp(NOW_NS // 10**9, datetime.UTC)
    identifier = x509.SubjectKeyIdentifier(key_id or b"as they like it")
    cert = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Pair(cert.public_bytes(serialization.Encoding.PEM), pem_of(key))


def loaded(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert_pem)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_ca_and_a_leaf_have_the_kind_of_key_that_is_asked_for(kind: KeyKind) -> None:
    ca = make_ca("ca", NOW_NS, key_kind=kind)
    leaf = issue(ca, "front-proxy-client", NOW_NS, client=True, key_kind=kind)
    for pair in (ca, leaf):
        assert [found.key for found in inspect_pem(pair.cert_pem, NOW_NS)] == [kind]
    assert prove(bundle_der(leaf.cert_pem), ca.cert_pem, NOW_NS).subject.common_name == "front-proxy-client"


def test_without_asking_keys_are_ec_p256() -> None:
    ca = make_ca("ca", NOW_NS)
    for pair in (ca, issue(ca, "leaf", NOW_NS)):
        assert [found.key for found in inspect_pem(pair.cert_pem, NOW_NS)] == ["ec:p256"]


def test_an_rsa_leaf_may_encipher_keys_as_old_tls_does_and_an_ec_leaf_need_not() -> None:
    ca = make_ca("ca", NOW_NS)
    usages = [
        loaded(issue(ca, "leaf", NOW_NS, key_kind=kind)).extensions.get_extension_for_class(x509.KeyUsage)
        for kind in ("rsa:2048", "ec:p256")
    ]
    assert [usage.value.key_encipherment for usage in usages] == [True, False]


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
def test_a_ca_of_somebody_elses_making_signs(key: Key) -> None:
    theirs = their_ca(key)
    ca = signing_pair(theirs.cert_pem, theirs.key_pem, NOW_NS)
    leaf = issue(ca, "leaf", NOW_NS, client=True)
    assert prove(bundle_der(leaf.cert_pem), theirs.cert_pem, NOW_NS).subject.common_name == "leaf"


def test_a_leaf_names_its_cas_key_as_the_ca_does_itself() -> None:
    """OpenSSL finds no issuer where the two differ, and there are several ways to make them."""
    ca = their_ca(ec.generate_private_key(ec.SECP256R1()), b"some other hash")
    identifier = loaded(issue(ca, "leaf", NOW_NS)).extensions.get_extension_for_class(
        x509.AuthorityKeyIdentifier
    )
    assert identifier.value.key_identifier == b"some other hash"


def test_of_a_bundle_the_ca_signs_whose_key_is_given() -> None:
    first, second = authority("first", NOW_NS), authority("second", NOW_NS)
    ca = signing_pair(first.cert_pem + second.cert_pem, second.key_pem, NOW_NS)
    assert loaded(ca) == loaded(second)


ED25519 = ed25519.Ed25519PrivateKey.generate()
CA = authority("ca", NOW_NS)


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (
            Pair(CA.cert_pem, authority("other", NOW_NS).key_pem),
            "the key is not that of the CA's certificate",
        ),
        (Pair(b"", CA.key_pem), "the key is not that of the CA's certificate"),
        (Pair(b"no PEM", CA.key_pem), "malformed CA bundle"),
        (Pair(CA.cert_pem, b"no PEM"), "no PEM private key"),
        (Pair(CA.cert_pem, CA.cert_pem), "no PEM private key"),
        (Pair(CA.cert_pem, pem_of(ED25519, b"secret")), "is encrypted.*openssl pkey"),
        (their_ca(ED25519), "neither an RSA nor an EC key"),
        (certificate("leaf", NOW_NS, ca=False), "not authorized to sign"),
        (certificate("no word of it", NOW_NS), "not authorized to sign"),
        (certificate("may not", NOW_NS, ca=True, may_sign=False), "not authorized to sign"),
        (authority("old", NOW_NS - 2 * DAY_NS), "expired or is not yet valid"),
    ],
)
def test_a_ca_whose_signature_would_not_be_believed_signs_nothing(pair: Pair, sentence: str) -> None:
    with pytest.raises((ConfigError, UntrustedError), match=sentence):
        signing_pair(pair.cert_pem, pair.key_pem, NOW_NS)


def test_a_ca_bundle_may_hold_certificates_of_other_kinds_of_keys() -> None:
    bundle = their_ca(ED25519).cert_pem + CA.cert_pem
    assert loaded(signing_pair(bundle, CA.key_pem, NOW_NS)) == loaded(CA)

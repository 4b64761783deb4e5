"""What a certificate is told to be, and that each reason against it names its cure."""

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from pymetrics_server.errors import UntrustedError
from pymetrics_server.x509 import Inspected, Pair, inspect_der, inspect_pem, issue, make_ca
from tests.fakes.certificates import ANY, CLIENT, SERVER, authority, certificate, der

NOW_NS = 1_790_000_000_000_000_000
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
CA = make_ca("ca", NOW_NS)

# `openssl req -x509 -sha1`, and what that CA signed with SHA-1: cryptography makes none any more.
SHA1_CA_AND_LEAF = b"""\
-----BEGIN CERTIFICATE-----
MIIBeTCCASCgAwIBAgIUHnCBEhleWxBKU2LAKlPzsfzdPhUwCQYHKoZIzj0EATAS
MRAwDgYDVQQDDAdzaGExLWNhMCAXDTI2MTEyNDAwMjAyM1oYDzIxMjYxMDMxMDAy
MDIzWjASMRAwDgYDVQQDDAdzaGExLWNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEkWYGZKJnc9L8p6behVVNuiwfeB7HHH7EgCTa8GBIjaQH270KA9S9lWgDIxUt
ieLC9wIYczH5FK7vbq/fa4O8HaNTMFEwHQYDVR0OBBYEFB70KF2IGdiw324TW5ix
mNW8Hsh9MB8GA1UdIwQYMBaAFB70KF2IGdiw324TW5ixmNW8Hsh9MA8GA1UdEwEB
/wQFMAMBAf8wCQYHKoZIzj0EAQNIADBFAiAXw3JFeEjZJp4kNAP5qvqViZGeW10F
i/8PgqNX1mO1ZgIhAN/qs7f5+5DSK+rZZ3/FMSzGqTuCyzMSTDjx9bgxjwWv
-----END CERTIFICATE-----
-----BEGIN CERTIFICATE-----
MIIBDTCBtQIBAjAJBgcqhkjOPQQBMBIxEDAOBgNVBAMMB3NoYTEtY2EwIBcNMjYx
MTI0MDAyMDIzWhgPMjEyNjEwMzEwMDIwMjNaMBQxEjAQBgNVBAMMCXNoYTEtbGVh
ZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFhqBdZkZoAzkrq17U2WkfrC8Jcs
+HHx23SR6ax8LgU5se9nkvl3AXIQvxooYOmU9PjY46nasCICjPLRq0wsWOAwCQYH
KoZIzj0EAQNIADBFAiBmedPJxG/2gPpaJYqJt1eF/dRa/tRJnWMy6ajTe5EkqgIh
ALJJfCOTR1eFogPckEllLNFHnsQrzhKjDl8So/hsSrX+
-----END CERTIFICATE-----
"""


def inspected(pair: Pair, now_ns: int = NOW_NS) -> Inspected:
    (found,) = inspect_pem(pair.cert_pem, now_ns)
    return found


def fit_for(pair: Pair, now_ns: int = NOW_NS) -> set[str]:
    return {f.purpose for f in inspected(pair, now_ns).fitness if f.fits}


def reasons(pair: Pair, purpose: str, now_ns: int = NOW_NS) -> str:
    return "\n".join(r for f in inspected(pair, now_ns).fitness if f.purpose == purpose for r in f.reasons)


def with_usage(**usages: bool) -> tuple[x509.ExtensionType, bool]:
    no = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    return x509.KeyUsage(**(no | usages)), True


def names(*san: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(san), False


def test_what_a_certificate_says_of_itself_is_told() -> None:
    leaf = issue(
        CA,
        "system:node:a",
        NOW_NS,
        organizations=("system:nodes",),
        hosts=("a", "10.0.0.5", "fd00::5"),
        server=True,
        days=3,
    )
    found = inspected(leaf)
    assert (found.common_name, found.organizations) == ("system:node:a", ("system:nodes",))
    assert (found.subject, found.issuer) == ("CN=system:node:a,O=system:nodes", "CN=ca")
    assert (found.dns_names, found.ip_addresses) == (("a",), ("10.0.0.5", "fd00::5"))
    assert (found.is_ca, found.self_signed, found.key, found.signature) == (False, False, "ec:p256", "sha256")
    assert (found.usages, found.extended_usages) == (("digital signature",), ("server auth",))
    assert (found.not_before_ns, found.not_after_ns) == (NOW_NS - HOUR_NS, NOW_NS + 3 * DAY_NS)
    cert = x509.load_pem_x509_certificate(leaf.cert_pem)
    assert found.serial == f"{cert.serial_number:x}"
    assert found.sha256 == cert.fingerprint(hashes.SHA256()).hex()


def test_each_kind_of_certificate_is_fit_for_what_it_was_made_for() -> None:
    def leaf(*hosts: str, client: bool = False, server: bool = False) -> Pair:
        return issue(CA, "leaf", NOW_NS, hosts=hosts, client=client, server=server)

    assert fit_for(CA) == {"CA"}
    assert fit_for(leaf(client=True)) == {"front-proxy client"}
    assert fit_for(leaf("a.b.svc", server=True)) == {"serving"}
    assert fit_for(leaf("10.0.0.5", server=True)) == {"serving", "kubelet serving"}
    assert fit_for(leaf("10.0.0.5", client=True, server=True)) == {
        "front-proxy client",
        "serving",
        "kubelet serving",
    }
    assert fit_for(leaf("10.0.0.5")) == {"front-proxy client", "serving", "kubelet serving"}


def test_pem_and_der_tell_the_same() -> None:
    assert inspect_der(der(CA)[0], NOW_NS) == inspected(CA)


def test_each_certificate_of_a_bundle_is_told_of_in_turn() -> None:
    other = authority("other", NOW_NS)
    assert [c.common_name for c in inspect_pem(CA.cert_pem + other.cert_pem, NOW_NS)] == ["ca", "other"]
    assert inspect_pem(b"", NOW_NS) == ()


@pytest.mark.parametrize("purpose", ["front-proxy client", "serving", "kubelet serving", "CA"])
def test_out_of_date_is_fit_for_nothing(purpose: str) -> None:
    short = certificate("short", NOW_NS, ca=True, begins_in_h=1, ends_in_h=2)
    assert "not valid before 2026-09-21T15:13:20Z: wait" in reasons(short, purpose)
    assert fit_for(short, NOW_NS + HOUR_NS) == fit_for(short, NOW_NS + 2 * HOUR_NS + 999_999_999) == {"CA"}
    late = reasons(short, purpose, NOW_NS + 2 * HOUR_NS + 10**9)
    assert "expired on 2026-09-21T16:13:20Z: issue it anew" in late


def test_a_ca_s_certificate_is_no_leaf() -> None:
    for purpose in ("front-proxy client", "serving", "kubelet serving"):
        assert "issue a leaf with it (--ca, --ca-key)" in reasons(CA, purpose)


@pytest.mark.parametrize(
    ("usages", "client", "server"),
    [((), True, True), ((ANY,), True, True), ((CLIENT,), True, False), ((SERVER,), False, True)],
)
def test_extended_usages_bind_where_there_are_any(
    usages: tuple[x509.ObjectIdentifier, ...], client: bool, server: bool
) -> None:
    address = names(x509.IPAddress(ipaddress.ip_address("10.0.0.5")))
    leaf = certificate("leaf", NOW_NS, usages=usages, extra=[address])
    assert ("front-proxy client" in fit_for(leaf)) is client
    assert (
        "lack client auth: `pymetrics-server certs aggregator`" in reasons(leaf, "front-proxy client")
    ) is not client
    for purpose in ("serving", "kubelet serving"):
        assert (purpose in fit_for(leaf)) is server
        assert ("lack server auth: `pymetrics-server certs serving`" in reasons(leaf, purpose)) is not server


def test_key_usages_bind_where_there_are_any() -> None:
    address = names(x509.IPAddress(ipaddress.ip_address("10.0.0.5")))
    signs_code = certificate("leaf", NOW_NS, extra=[with_usage(content_commitment=True), address])
    for purpose in ("front-proxy client", "serving", "kubelet serving"):
        assert "its key usages (content commitment) lack digital signature" in reasons(signs_code, purpose)
    enciphers = certificate("leaf", NOW_NS, extra=[with_usage(key_encipherment=True), address])
    assert fit_for(enciphers) == {"serving", "kubelet serving"}


def test_a_common_name_is_no_host_name() -> None:
    bare = certificate("10.0.0.5", NOW_NS, usages=[SERVER])
    assert "no peer takes the common name for one; `pymetrics-server certs serving`" in reasons(
        bare, "serving"
    )
    assert "certs kubelet-serving --node NAME=IP` makes one" in reasons(bare, "kubelet serving")


def test_a_certificate_that_names_mailboxes_names_no_host() -> None:
    mail = certificate("mail", NOW_NS, usages=[SERVER], extra=[names(x509.RFC822Name("a@b.example"))])
    assert "it names no host, only RFC822Name a@b.example" in reasons(mail, "serving")
    assert inspected(mail).other_names == ("RFC822Name a@b.example",)


def test_a_kubelet_whose_certificate_names_no_address_has_three_cures() -> None:
    """kubeadm's kubelets serve with such ones."""
    own = certificate("node-1@1700000000", NOW_NS, usages=[SERVER], extra=[names(x509.DNSName("node-1"))])
    assert fit_for(own) == {"serving"}
    said = reasons(own, "kubelet serving")
    assert "it names no IP address (node-1 only)" in said
    for cure in (
        "serverTLSBootstrap: true",
        "certs kubelet-serving",
        "--kubelet-tls-verify=node-name",
    ):
        assert cure in said


def test_a_client_without_a_common_name_is_on_no_list_of_allowed_names() -> None:
    nameless = certificate("", NOW_NS, usages=[CLIENT])
    assert "it has no common name, which --requestheader-allowed-names goes by" in reasons(
        nameless, "front-proxy client"
    )


def test_a_critical_extension_that_nobody_knows_is_fit_for_nothing() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    strange = certificate("strange", NOW_NS, ca=True, extra=[(unknown, True)])
    assert "its extension 1.2.3.4.5 is critical" in reasons(strange, "CA")
    assert fit_for(strange) == set()


def test_what_is_no_ca_may_sign_nobody() -> None:
    assert "it may not sign others" in reasons(certificate("leaf", NOW_NS), "CA")
    assert "it may not sign others" in reasons(certificate("x", NOW_NS, ca=True, may_sign=False), "CA")


def odd(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, *, issuer: str = "odd"
) -> Pair:
    now = datetime.datetime.fromtimestamp(NOW_NS // 10**9, datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Pair(cert.public_bytes(serialization.Encoding.PEM), b"")


def test_a_short_rsa_key_is_named_with_who_refuses_it() -> None:
    shorter = rsa.generate_private_key(65537, 1024)  # noqa: S505  (what others have)
    assert "RSA key of 1024 bits is refused by OpenSSL" in reasons(odd(shorter), "serving")
    assert inspected(odd(shorter)).key == "rsa:1024"


def test_other_kinds_of_keys_are_named() -> None:
    found = inspected(odd(ed25519.Ed25519PrivateKey.generate()))
    assert (found.key, found.signature) == ("ed25519", "none of its own")
    assert inspected(odd(ec.generate_private_key(ec.SECP521R1()))).key == "ec:p521"


def test_self_signed_is_a_matter_of_the_signature_not_of_the_names() -> None:
    assert inspected(CA).self_signed
    assert not inspected(certificate("same", NOW_NS, authority("same", NOW_NS))).self_signed


def test_sha_1_proves_nothing_but_where_nothing_is_proven() -> None:
    """A CA's own signature is nobody's business: it is trusted because it is given."""
    ca, leaf = inspect_pem(SHA1_CA_AND_LEAF, 1_800_000_000_000_000_000)
    assert (ca.signature, ca.self_signed, ca.fits_something) == ("sha1", True, True)
    assert (leaf.signature, leaf.self_signed, leaf.fits_something) == ("sha1", False, False)
    assert all("signed with sha1, which is not believed any more" in f.reasons[0] for f in leaf.fitness)


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_untrusted(garbage: bytes) -> None:
    for attempt in (
        lambda: inspect_der(garbage, NOW_NS),
        lambda: inspect_pem(b"-----BEGIN CERTIFICATE-----\n" + garbage, NOW_NS),
    ):
        with pytest.raises(UntrustedError):
            attempt()


LEAF = der(issue(CA, "leaf", NOW_NS, hosts=("a", "10.0.0.1"), client=True, server=True))[0]
SERIAL = x509.load_der_x509_certificate(LEAF).serial_number.to_bytes(20).lstrip(b"\0")


@given(st.integers(0, len(LEAF) - 1), st.integers(1, 255))
@example(LEAF.index(SERIAL), 0x80)  # a negative number
def test_a_certificate_with_a_changed_byte_is_told_of_or_refused(position: int, change: int) -> None:
    changed = bytearray(LEAF)
    changed[position] ^= change
    try:
        found = inspect_der(bytes(changed), NOW_NS)
    except UntrustedError:
        return
    assert len(found.fitness) == 4

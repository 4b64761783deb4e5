"""Which certificates a CA vouches for, and which it does not."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.errors import UntrustedError
from pymetrics_server.x509 import (
    Pair,
    bundle_der,
    bundle_until_ns,
    describe,
    issue,
    make_ca,
    prove,
    subject_of,
)
from tests.fakes.certificates import ANY, CLIENT, SERVER, authority, certificate, der

NOW_NS = 1_790_000_000_000_000_000
HOUR_NS = 3_600_000_000_000
PAYLOADS = Path(os.environ.get("PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads")) / "configmap"
CONFIGMAPS = sorted(PAYLOADS.glob("*.json"))

# `openssl x509 -req` without extensions: version 1, valid for a hundred years.
OLD_CA = b"""\
-----BEGIN CERTIFICATE-----
MIIBHTCBxQIUWgQPK2AkqPeZ7TNYn21IgAOWpbQwCgYIKoZIzj0EAwIwETEPMA0G
A1UEAwwGb2xkLWNhMCAXDTI2MTEyMzExMjgwOVoYDzIxMjYxMDMwMTEyODA5WjAR
MQ8wDQYDVQQDDAZvbGQtY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASkZhIv
PCyJ0AHl2etOMGFcOHOkv2eovHoCrKMY7Aepv5x/skdylGA5H1cqdHBEKnRjsy8V
mPLRbpDqL2eElLazMAoGCCqGSM49BAMCA0cAMEQCICD4HWWn9M6lFe+9QnFQObuT
lVj1os+vWnGhChxgTGO5AiBARl0oIT+m0Thq1K+5Zk88pd7Ce7+BY+3yfgL+bRFz
Uw==
-----END CERTIFICATE-----
"""
SIGNED_BY_OLD_CA = b"""\
-----BEGIN CERTIFICATE-----
MIIBFzCBvgIBBzAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZvbGQtY2EwIBcNMjYx
MTIzMTEyODA5WhgPMjEyNjEwMzAxMTI4MDlaMB0xGzAZBgNVBAMMEmZyb250LXBy
b3h5LWNsaWVudDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABI9GjcI3AqSvqpGA
tG+wSuDynN6kupDzVjcCaaBdo8fGB4QBKFm8U5nwxjFQ69V7ZTuTKyNjOFrF/I/W
kw7H1R0wCgYIKoZIzj0EAwIDSAAwRQIhAJX7NskoEyL7OD5hyyeHAfFZnvP+LSpd
YpSpyImM/p96AiA1H75TFByd46FKROt6uCQe81eZFun+++dHh4mo24zc6Q==
-----END CERTIFICATE-----
"""

CA = authority("front-proxy-ca", NOW_NS)


def leaf(signer: Pair = CA, **how: object) -> Pair:
    return certificate("front-proxy-client", NOW_NS, signer, **how)  # type: ignore[arg-type]


def proven_name(chain: tuple[bytes, ...], ca_pem: bytes, now_ns: int = NOW_NS) -> str:
    return prove(chain, ca_pem, now_ns).subject.common_name


def test_a_client_certificate_is_proven_by_the_ca_that_signed_it() -> None:
    issued = issue(make_ca("ca", NOW_NS), "never", NOW_NS, client=True)
    with pytest.raises(UntrustedError, match="unknown authority"):
        prove(der(issued), CA.cert_pem, NOW_NS)
    assert proven_name(der(leaf(usages=[CLIENT])), CA.cert_pem) == "front-proxy-client"


def test_an_issuer_of_the_same_name_with_another_key_proves_nothing() -> None:
    twin = authority("front-proxy-ca", NOW_NS)
    with pytest.raises(UntrustedError, match="signed by unknown authority"):
        prove(der(leaf(twin)), CA.cert_pem, NOW_NS)


def test_a_self_signed_certificate_of_the_right_name_proves_nothing() -> None:
    with pytest.raises(UntrustedError, match="signed by unknown authority"):
        prove(der(certificate("front-proxy-client", NOW_NS)), CA.cert_pem, NOW_NS)


def test_an_own_ca_presented_along_with_the_leaf_is_no_anchor() -> None:
    twin = authority("front-proxy-ca", NOW_NS)
    with pytest.raises(UntrustedError):
        prove(der(leaf(twin), twin), CA.cert_pem, NOW_NS)


@pytest.mark.parametrize(
    ("usages", "accepted"),
    [([], True), ([CLIENT], True), ([ANY], True), ([SERVER, CLIENT], True), ([SERVER], False)],
)
def test_only_a_certificate_for_clients_proves_a_client(
    usages: list[x509.ObjectIdentifier], accepted: bool
) -> None:
    chain = der(leaf(usages=usages))
    if accepted:
        assert proven_name(chain, CA.cert_pem)
    else:
        with pytest.raises(UntrustedError, match="incompatible key usage"):
            prove(chain, CA.cert_pem, NOW_NS)


def test_the_usages_of_a_ca_bind_what_it_signs() -> None:
    ca = certificate("ca", NOW_NS, ca=True, usages=[SERVER])
    with pytest.raises(UntrustedError, match="incompatible key usage"):
        prove(der(leaf(ca, usages=[CLIENT])), ca.cert_pem, NOW_NS)


@pytest.mark.parametrize("hours_on", [-2, 25])
def test_a_certificate_counts_from_its_begin_to_its_end(hours_on: int) -> None:
    with pytest.raises(UntrustedError, match="expired or is not yet valid"):
        prove(der(leaf()), CA.cert_pem, NOW_NS + hours_on * HOUR_NS)


def test_an_expired_ca_vouches_for_nobody() -> None:
    ca = certificate("ca", NOW_NS, ca=True, ends_in_h=1)
    with pytest.raises(UntrustedError, match="expired or is not yet valid"):
        prove(der(leaf(ca, ends_in_h=48)), ca.cert_pem, NOW_NS + 2 * HOUR_NS)


def test_a_proof_says_how_long_its_whole_chain_is_valid() -> None:
    ca = certificate("ca", NOW_NS, ca=True, begins_in_h=-0.5, ends_in_h=2)
    proof = prove(der(leaf(ca)), ca.cert_pem, NOW_NS)
    assert proof.valid_from_ns == NOW_NS - HOUR_NS // 2
    assert proof.valid_until_ns == NOW_NS + 2 * HOUR_NS


def test_intermediates_are_taken_from_what_the_client_presents_or_from_the_bundle() -> None:
    middle = authority("middle", NOW_NS, CA)
    low = authority("low", NOW_NS, middle)
    client = leaf(low)
    assert proven_name(der(client, middle, low), CA.cert_pem)
    assert proven_name(der(client), CA.cert_pem + low.cert_pem + middle.cert_pem)
    with pytest.raises(UntrustedError, match="unknown authority"):
        prove(der(client, low), CA.cert_pem, NOW_NS)


def test_a_leaf_cannot_sign_another_leaf() -> None:
    for false_ca in (leaf(ca=False), leaf(), leaf(ca=True, may_sign=False)):
        with pytest.raises(UntrustedError, match="not authorized to sign"):
            prove(der(leaf(false_ca), false_ca), CA.cert_pem, NOW_NS)


def test_a_path_length_is_kept_to() -> None:
    root = authority("root", NOW_NS, path_length=0)
    middle = authority("middle", NOW_NS, root)
    assert proven_name(der(leaf(root)), root.cert_pem)
    with pytest.raises(UntrustedError, match="path length"):
        prove(der(leaf(middle), middle), root.cert_pem, NOW_NS)


def test_an_old_root_of_version_1_counts_as_a_ca_as_it_does_for_go() -> None:
    chain = (x509.load_pem_x509_certificate(SIGNED_BY_OLD_CA).public_bytes(serialization.Encoding.DER),)
    assert proven_name(chain, OLD_CA, 1_800_000_000_000_000_000) == "front-proxy-client"


def test_a_root_of_version_3_must_say_that_it_is_a_ca() -> None:
    root = certificate("root", NOW_NS)
    with pytest.raises(UntrustedError, match="not authorized to sign"):
        prove(der(leaf(root)), root.cert_pem, NOW_NS)


def test_what_is_critical_and_not_understood_refuses() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    with pytest.raises(UntrustedError, match="unhandled critical extension"):
        prove(der(leaf(extra=[(unknown, True)])), CA.cert_pem, NOW_NS)
    assert proven_name(der(leaf(extra=[(unknown, False)])), CA.cert_pem)


def test_a_ca_bound_to_names_does_not_vouch_for_alternative_names() -> None:
    constraint = x509.NameConstraints([x509.DNSName("example.com")], None)
    ca = certificate("ca", NOW_NS, ca=True, extra=[(constraint, True)])
    san = x509.SubjectAlternativeName([x509.DNSName("elsewhere.org")])
    assert proven_name(der(leaf(ca)), ca.cert_pem)
    with pytest.raises(UntrustedError, match="name constraints"):
        prove(der(leaf(ca, extra=[(san, False)])), ca.cert_pem, NOW_NS)


def test_a_maze_of_cas_of_one_name_ends() -> None:
    maze = [authority("same", NOW_NS) for _ in range(7)]
    with pytest.raises(UntrustedError, match="unknown authority"):
        prove(der(leaf(maze[0]), *maze), CA.cert_pem, NOW_NS)


def test_nothing_is_proven_by_an_empty_bundle_or_of_an_empty_chain() -> None:
    with pytest.raises(UntrustedError, match="unknown authority"):
        prove(der(leaf()), b"", NOW_NS)
    with pytest.raises(UntrustedError, match="no certificate"):
        prove((), CA.cert_pem, NOW_NS)


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_untrusted(garbage: bytes) -> None:
    for attempt in (
        lambda: prove((garbage,), CA.cert_pem, NOW_NS),
        lambda: subject_of(garbage),
        lambda: describe(garbage),
        lambda: bundle_der(b"-----BEGIN CERTIFICATE-----\n" + garbage),
    ):
        with pytest.raises(UntrustedError):
            attempt()


FLIPPED = der(leaf(usages=[CLIENT], organizations=["ops"]))[0]


@given(st.integers(0, len(FLIPPED) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_certificate_stays_proven(position: int, change: int) -> None:
    """But for how many bits of the signature do not count, where the last ones are 0: what is signed is the same."""
    changed = bytearray(FLIPPED)
    changed[position] ^= change
    with contextlib.suppress(UntrustedError):
        prove((bytes(changed),), CA.cert_pem, NOW_NS)
        before, after = map(x509.load_der_x509_certificate, (FLIPPED, bytes(changed)))
        assert (after.tbs_certificate_bytes, after.signature) == (
            before.tbs_certificate_bytes,
            before.signature,
        )
        assert position == len(FLIPPED) - len(before.signature) - 1


def test_a_subject_names_user_groups_and_uid() -> None:
    subject = subject_of(der(certificate("bob", NOW_NS, organizations=["a", "b,c"], uids=["7"]))[0])
    assert (subject.common_name, subject.organizations, subject.uids) == ("bob", ("a", "b,c"), ("7",))


def test_a_description_names_subject_issuer_and_end_in_one_line() -> None:
    assert describe(der(leaf())[0]) == (
        "CN=front-proxy-client, issued by CN=front-proxy-ca, valid until 2026-09-22T14:13:20Z"
    )


@pytest.mark.skipif(not CONFIGMAPS, reason="no recorded ConfigMaps: set PAYLOADS to a folder that has them")
@pytest.mark.parametrize("path", CONFIGMAPS, ids=lambda p: p.stem)
def test_the_cas_of_real_clusters_are_read_and_vouch_for_themselves_alone(path: Path) -> None:
    data = json.loads(path.read_text())["data"]
    bundles = [data["client-ca-file"].encode(), data["requestheader-client-ca-file"].encode()]
    for own, other in (bundles, reversed(bundles)):
        (ca_der,) = bundle_der(own)
        assert prove((ca_der,), own, NOW_NS).subject == subject_of(ca_der)
        with pytest.raises(UntrustedError, match="unknown authority"):
            prove((ca_der,), other, NOW_NS)


def test_a_proof_tells_when_the_leaf_itself_ends_and_a_bundle_when_its_last_ca_does() -> None:
    ca = certificate("ca", NOW_NS, ca=True, may_sign=True, ends_in_h=2)
    leaf = certificate("leaf", NOW_NS, ca, ends_in_h=5)
    proof = prove(der(leaf), ca.cert_pem, NOW_NS)
    assert proof.leaf_until_ns - proof.valid_until_ns == 3 * 3600 * 10**9
    longer = certificate("longer", NOW_NS, ca=True, ends_in_h=9)
    assert bundle_until_ns(ca.cert_pem + longer.cert_pem) - proof.valid_until_ns == 7 * 3600 * 10**9
    assert bundle_until_ns(b"") == 0

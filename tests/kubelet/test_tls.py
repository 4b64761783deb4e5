"""Flags and kubeconfig data become an SSLContext, or one sentence about what is wrong."""

import ssl
import time
from pathlib import Path

import pytest

from pymetrics_server.errors import ConfigError
from pymetrics_server.kubelet.tls import FollowedTLS, KubeletTLS, client_context
from pymetrics_server.meta.verification import Verification
from pymetrics_server.x509 import issue, make_ca

CA = make_ca("kubelet-ca", time.time_ns())
CLIENT = issue(CA, "metrics-server", time.time_ns(), client=True)


def context_of(tls: KubeletTLS) -> ssl.SSLContext:
    context = client_context(tls)
    assert context is not None
    return context


def test_verification_is_on_with_the_system_s_trust_where_no_ca_is_given() -> None:
    context = context_of(KubeletTLS())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_given_ca_is_the_only_one_trusted(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(CA.cert_pem)
    other = make_ca("other", time.time_ns())
    for tls in (
        KubeletTLS(ca_pem=CA.cert_pem),
        KubeletTLS(ca_file=str(tmp_path / "ca.crt"), ca_pem=other.cert_pem),
    ):
        (trusted,) = context_of(tls).get_ca_certs()
        assert trusted["subject"] == ((("commonName", "kubelet-ca"),),)


def test_insecure_verifies_nothing_and_forgets_the_ca() -> None:
    context = context_of(KubeletTLS(verify=Verification.INSECURE, ca_pem=CA.cert_pem, ca_file="/nowhere"))
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.get_ca_certs()


@pytest.mark.parametrize(
    ("verify", "by_ca", "by_name"),
    [(Verification.NODE_NAME, True, True), (Verification.CHAIN, True, False)],
)
def test_names_are_verified_unless_the_chain_alone_is_asked_for(
    verify: Verification, by_ca: bool, by_name: bool
) -> None:
    context = context_of(KubeletTLS(verify=verify, ca_pem=CA.cert_pem))
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (by_ca, by_name)
    assert len(context.get_ca_certs()) == 1


def test_completely_insecure_needs_no_context_and_reads_no_file() -> None:
    assert client_context(KubeletTLS(verify=Verification.HTTP, client_cert_file="/nowhere")) is None


def test_a_client_certificate_may_be_data_or_files_or_one_of_each(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(CLIENT.key_pem)
    context_of(KubeletTLS(client_cert_pem=CLIENT.cert_pem, client_key_pem=CLIENT.key_pem))
    context_of(KubeletTLS(client_cert_pem=CLIENT.cert_pem, client_key_file=str(tmp_path / "key")))


@pytest.mark.parametrize(
    ("tls", "sentence"),
    [
        (
            KubeletTLS(ca_file="/no/ca.crt"),
            "open /no/ca.crt: no such file or directory: it is to be the kubelets' certificate authority",
        ),
        (KubeletTLS(ca_pem=b"rubbish"), "certificate authority given as data: it is not usable PEM"),
        (
            KubeletTLS(client_cert_file="/no/c", client_key_pem=CLIENT.key_pem),
            "open /no/c: no such file or directory: it is to be the kubelets' client certificate",
        ),
        (
            KubeletTLS(client_cert_pem=CLIENT.cert_pem),
            "the client certificate given as data for kubelets needs",
        ),
        (
            KubeletTLS(client_cert_pem=CLIENT.cert_pem, client_key_pem=CA.key_pem),
            "the key is not the certificate's",
        ),
    ],
)
def test_what_cannot_be_used_is_named_in_one_sentence(tls: KubeletTLS, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        client_context(tls)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_that_nothing_proves_the_nodes_is_said_once_whenever_it_comes_to_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = KubeletTLS(ca_pem=CA.cert_pem)
    followed = FollowedTLS(lambda: asked)
    for verify in (Verification.ADDRESS, Verification.INSECURE, Verification.INSECURE, Verification.CHAIN):
        asked = KubeletTLS(ca_pem=CA.cert_pem, verify=verify)
        followed.reload_if_changed()
        assert followed.verify is verify
    for verify in Verification:
        FollowedTLS(lambda verify=verify: KubeletTLS(verify=verify))  # type: ignore[misc]  # a default, not an argument
    told = [r.kv["verify"] for r in caplog.records if r.levelname == "WARNING"]  # type: ignore[attr-defined]
    assert told == ["insecure", "chain", "chain", "insecure", "http"]

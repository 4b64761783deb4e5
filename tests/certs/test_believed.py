"""What is made is believed by TLS peers, the strict ones among them, and by openssl."""

import base64
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pymetrics_server.clock import SystemClock
from pymetrics_server.x509 import bundle_der, make_ca, prove
from tests.certs.conftest import Run

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="install openssl (Debian: openssl)")
TIMEOUT_S = 10.0


def openssl(*argv: object) -> str:
    assert OPENSSL is not None
    return subprocess.run(
        [OPENSSL, *map(str, argv)], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    ).stdout


@contextlib.contextmanager
def answering(context: ssl.SSLContext) -> Iterator[tuple[int, list[bytes]]]:
    """Says hello to each who comes; (port, the client certificates that were shown)."""
    shown: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT_S)

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), accepted:
                accepted.settimeout(TIMEOUT_S)
                with context.wrap_socket(accepted, server_side=True) as connection:
                    shown.append(connection.getpeercert(binary_form=True) or b"")
                    connection.sendall(b"hello")

    thread = threading.Thread(target=serve, name="answering", daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], shown
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(TIMEOUT_S)


def context_of(
    side: ssl._SSLMethod, ca: Path, cert: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """One that verifies, as strictly as the standard library can."""
    context = ssl.SSLContext(side)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context


def hello(context: ssl.SSLContext, port: int, host: str) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return secured.recv(5)


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:p256"])
def test_front_proxy_server_and_kubelet_believe_each_other_strictly(
    kind: str, run: Run, tmp_path: Path
) -> None:
    key = ("--key", kind)
    run("aggregator", "--out", tmp_path, *key)
    run("serving", "--out", tmp_path, *key)
    run("kubelet-serving", "--out", tmp_path, "--node", "node-1=127.0.0.1", *key)
    client = (tmp_path / "aggregator.pem", tmp_path / "aggregator-key.pem")
    for stem, ca, host in (
        ("metrics-server", "metrics-server-ca", "metrics-server.kube-system.svc"),
        ("node-1", "kubelet-ca", "127.0.0.1"),
        ("node-1", "kubelet-ca", "node-1"),
    ):
        serving = context_of(
            ssl.PROTOCOL_TLS_SERVER,
            tmp_path / "aggregator-ca.pem",
            tmp_path / f"{stem}.pem",
            tmp_path / f"{stem}-key.pem",
        )
        asking = context_of(ssl.PROTOCOL_TLS_CLIENT, tmp_path / f"{ca}.pem", *client)
        with answering(serving) as (port, shown):
            assert hello(asking, port, host) == b"hello"
            with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
                hello(asking, port, "elsewhere.example")
        ca_pem = (tmp_path / "aggregator-ca.pem").read_bytes()
        assert prove(shown[:1], ca_pem, SystemClock().now_ns()).subject.common_name == "aggregator"


def test_a_stranger_is_not_believed(run: Run, tmp_path: Path) -> None:
    run("serving", "--out", tmp_path / "a")
    run("serving", "--out", tmp_path / "b")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "a" / "metrics-server.pem", tmp_path / "a" / "metrics-server-key.pem")
    asking = context_of(ssl.PROTOCOL_TLS_CLIENT, tmp_path / "b" / "metrics-server-ca.pem")
    with answering(serving) as (port, _), pytest.raises(ssl.SSLCertVerificationError):
        hello(asking, port, "metrics-server")


@needs_openssl
@pytest.mark.parametrize(
    ("kind", "of_ca"),
    [("rsa:2048", "new"), ("ec:p256", "new"), ("ec:p256", "rsa:2048"), ("rsa:2048", "ec:p256")],
)
def test_openssl_verifies_each_for_its_purpose(kind: str, of_ca: str, run: Run, tmp_path: Path) -> None:
    signing: tuple[object, ...] = ()
    if of_ca != "new":
        theirs = make_ca(
            "theirs", SystemClock().now_ns(), key_kind="rsa:2048" if of_ca == "rsa:2048" else "ec:p256"
        )
        (tmp_path / "ca.pem").write_bytes(theirs.cert_pem)
        (tmp_path / "ca.key").write_bytes(theirs.key_pem)
        signing = ("--ca", tmp_path / "ca.pem", "--ca-key", tmp_path / "ca.key")
    out = tmp_path / "out"
    for command in (("aggregator",), ("serving",), ("kubelet-serving", "--node", "node-1=10.0.0.5")):
        run(*command, "--out", out, "--key", kind, *signing)
    for stem, ca, options in (
        ("aggregator", "aggregator-ca", ("-purpose", "sslclient")),
        ("metrics-server", "metrics-server-ca", ("-purpose", "sslserver", "-verify_hostname", "metrics-server.kube-system.svc")),
        ("node-1", "kubelet-ca", ("-purpose", "sslserver", "-verify_ip", "10.0.0.5")),
    ):  # fmt: skip
        trusted = tmp_path / "ca.pem" if signing else out / f"{ca}.pem"
        said = openssl("verify", "-x509_strict", "-CAfile", trusted, *options, out / f"{stem}.pem")
        assert said.strip() == f"{out / stem}.pem: OK"
        public = openssl("pkey", "-in", out / f"{stem}-key.pem", "-pubout")
        assert openssl("x509", "-in", out / f"{stem}.pem", "-noout", "-pubkey") == public


@needs_openssl
def test_openssl_reads_what_stands_in_them(run: Run, tmp_path: Path) -> None:
    run("kubelet-serving", "--out", tmp_path, "--node", "node-1=10.0.0.5,fd00::5", "--key", "rsa:4096")
    text = openssl("x509", "-in", tmp_path / "node-1.pem", "-noout", "-text")
    for expected in (
        "Issuer: CN = kubelet-ca|Issuer: CN=kubelet-ca",
        "Subject: O = system:nodes, CN = system:node:node-1|Subject: O=system:nodes, CN=system:node:node-1",
        "DNS:node-1, IP Address:10.0.0.5, IP Address:FD00:0:0:0:0:0:0:5",
        "TLS Web Server Authentication",
        "Digital Signature, Key Encipherment",
        "(4096 bit",
        "CA:FALSE",
    ):
        assert any(one in text for one in expected.split("|")), expected
    assert "CA:TRUE" in openssl("x509", "-in", tmp_path / "kubelet-ca.pem", "-noout", "-text")


@needs_openssl
def test_a_ca_that_openssl_made_signs_what_openssl_believes(run: Run, tmp_path: Path) -> None:
    """Its key is PKCS #8, its certificate as `req -x509` makes it."""
    ca, key = tmp_path / "ca.pem", tmp_path / "ca.key"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", ca),
        *("-days", "30", "-subj", "/O=Example/CN=by hand"),
    )
    ran = run("aggregator", "--out", tmp_path / "out", "--ca", ca, "--ca-key", key, "--days", "20")
    assert ran.status == 0, ran.err
    leaf = tmp_path / "out" / "aggregator.pem"
    assert openssl("verify", "-purpose", "sslclient", "-CAfile", ca, leaf).strip() == f"{leaf}: OK"
    proof = prove(bundle_der(leaf.read_bytes()), ca.read_bytes(), SystemClock().now_ns())
    assert proof.subject.common_name == "aggregator"


def test_a_bundle_with_a_key_in_it_does_not_hand_the_key_on(run: Run, tmp_path: Path) -> None:
    theirs = make_ca("theirs", SystemClock().now_ns())
    both = tmp_path / "both.pem"
    both.write_bytes(theirs.key_pem + theirs.cert_pem)
    ran = run("serving", "--out", tmp_path / "out", "--ca", both, "--ca-key", both)
    assert ran.status == 0, ran.err
    (bundle,) = {
        line.split('"caBundle":"')[1].split('"')[0] for line in ran.out.splitlines() if 'caBundle":' in line
    }
    decoded = base64.b64decode(bundle)
    assert b"PRIVATE" not in decoded
    cert = x509.load_pem_x509_certificate(decoded)
    assert cert.public_bytes(serialization.Encoding.PEM) == theirs.cert_pem

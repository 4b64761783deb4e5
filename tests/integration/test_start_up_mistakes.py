"""Every mistake in flags and files, told as metrics-server tells it, then what it comes of and what to do: status 2."""

import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil  # noqa: F401  imported late otherwise, where it cannot be read any more
import pytest
from cryptography.hazmat.primitives import serialization

from pymetrics_server.cli import main
from pymetrics_server.clock import SystemClock
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.programs import direct_environment, free_port

KUBECONFIG = (
    "{current-context: %(context)s, contexts: [{name: c, context: {cluster: %(cluster)s, user: %(user)s}}],"
    " users: [{name: u, user: {token: t}}],"
    " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'%(more)s}}]}"
)
_NOT_BASE64 = ", certificate-authority-data: '%%%'"
_NOT_PEM = f", certificate-authority-data: {base64.b64encode(b'no certificate').decode()}"


class Files:
    """What goes right, and all that can be wrong, in one directory; `{name}` in a flag is one of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        now_ns = SystemClock().now_ns()
        ca = make_ca("ca", now_ns)
        one, other = (issue(ca, name, now_ns, server=True) for name in ("one", "other"))
        self._write("one.crt", one.cert_pem)
        self._write("one.key", one.key_pem)
        self._write("other.key", other.key_pem)
        self._write("encrypted.key", _encrypted(one))
        self._write("nonsense", b"nonsense\n")
        self._write("empty", b"")
        for half, content in (("apiserver.crt", one.cert_pem), ("apiserver.key", one.key_pem)):
            (directory / f"only-{half}").mkdir()
            self._write(f"only-{half}/{half}", content)
        for name, changed in {
            "good.kc": {},
            "context.kc": {"context": "x"},
            "cluster.kc": {"cluster": "x"},
            "user.kc": {"user": "x"},
            "none.kc": {"context": '""'},
            "base64.kc": {"more": _NOT_BASE64},
            "pem.kc": {"more": _NOT_PEM},
        }.items():
            values = {"context": "c", "cluster": "c", "user": "u", "more": "", **changed}
            self._write(name, (KUBECONFIG % values).encode())
        self._write("yaml.kc", b"clusters: [\n")

    def _write(self, name: str, content: bytes) -> None:
        (self.directory / name).write_bytes(content)

    def named(self, text: str) -> str:
        return re.sub(r"\{([-\w./]+)\}", lambda m: f"{self.directory}/{m[1]}", text)


def _encrypted(pair: Pair) -> bytes:
    key = serialization.load_pem_private_key(pair.key_pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("mistakes"))


@pytest.fixture(name="outside_of_a_cluster")
def _outside_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


def ordinary(files: Files) -> list[str]:
    """Flags that are right; later ones override them."""
    good = files.named("{good.kc}")
    return [
        *(f"--{p}kubeconfig={good}" for p in ("", "authentication-", "authorization-")),
        f"--cert-dir={files.directory / 'certs'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={free_port()}",
    ]


_PAIR = "--tls-cert-file={%s} --tls-private-key-file={%s}"
_LISTER = "unable to construct lister client config: "
_AUTHN = "failed to get delegated authentication kubeconfig: "
_AUTHZ = "failed to get delegated authorization kubeconfig: "
_TRANSPORT = "unable to construct a client to connect to the kubelets: unable to construct transport: "
_SELF_SIGNED = "error creating self-signed certificates: "
_NO_CERTS = "data does not contain any valid RSA or ECDSA certificates: "

#: flags, how the message begins, what else is in it
MISTAKES = [
    (_PAIR % ("gone", "one.key"), "open {gone}: no such file or directory: ", "--tls-cert-file"),
    (_PAIR % ("one.crt", "gone"), "open {gone}: no such file or directory: ", "--tls-private-key-file"),
    (_PAIR % ("nonsense", "one.key"), "tls: failed to find any PEM data in certificate input: {nonsense}", "--tls"),
    (_PAIR % ("one.crt", "nonsense"), "tls: failed to find any PEM data in key input: {nonsense}", "--tls"),
    (_PAIR % ("one.crt", "other.key"), "tls: private key does not match public key: {other.key}", "{one.crt}"),
    (_PAIR % ("one.crt", "encrypted.key"), "tls: failed to parse private key: {encrypted.key}", "openssl pkey"),
    ("--tls-cert-file={one.crt}", "missing filename for serving cert", ""),
    ("--tls-sni-cert-key={one.crt},{gone}", "failed to load SNI cert and key: open {gone}: no such file", "--tls-sni"),
    ("--tls-sni-cert-key={one.crt},{other.key}", "failed to load SNI cert and key: tls: private key does not", ""),
    ("--cert-dir={only-apiserver.crt}", _SELF_SIGNED + "error reading {only-apiserver.crt/apiserver.key}, "
     "certificate and key must be supplied as a pair: ", "remove its other half"),
    ("--cert-dir={only-apiserver.key}", _SELF_SIGNED + "error reading {only-apiserver.key/apiserver.crt}, ", ""),
    ("--cert-dir={nonsense/below}", _SELF_SIGNED + "mkdir {nonsense/below}: not a directory: ", "emptyDir"),
    ("--client-ca-file={gone}", "unable to load client CA provider: open {gone}: no such file or directory", ""),
    ("--client-ca-file={nonsense}", 'unable to load client CA provider: error loading CA bundle for '
     '"client-ca-bundle::{nonsense}": ' + _NO_CERTS, "--client-ca-file"),
    ("--client-ca-file={one.key}", "unable to load client CA provider: error loading CA bundle for ", _NO_CERTS),
    ("--client-ca-file={empty}", "unable to load client CA provider: missing content for CA bundle ", "--client-ca"),
    ("--requestheader-client-ca-file={nonsense}", "unable to create request header authentication config: error "
     'loading CA bundle for "request-header::{nonsense}": ' + _NO_CERTS, "--requestheader-client-ca-file"),
    ("--kubelet-certificate-authority={gone}", _TRANSPORT + "open {gone}: no such file or directory", ""),
    ("--kubelet-certificate-authority={nonsense}", _TRANSPORT, "kubelets' certificate authority {nonsense}"),
    ("--kubelet-client-certificate={one.crt} --kubelet-client-key={other.key}", _TRANSPORT, "not the certificate's"),
    ("--kubeconfig={gone}", _LISTER + "stat {gone}: no such file or directory", ""),
    ("--authentication-kubeconfig={gone}", _AUTHN + "stat {gone}: no such file or directory", ""),
    ("--authorization-kubeconfig={gone}", _AUTHZ + "stat {gone}: no such file or directory", ""),
    ("--kubeconfig={yaml.kc}", _LISTER + 'error loading config file "{yaml.kc}": ', ""),
    ("--kubeconfig={context.kc}", _LISTER + 'invalid configuration: {context.kc}: context "x" does', '"c"'),
    ("--kubeconfig={cluster.kc}", _LISTER + 'invalid configuration: {cluster.kc}: cluster "x" does', '"c"'),
    ("--authentication-kubeconfig={user.kc}", _AUTHN * 2 + 'invalid configuration: {user.kc}: user "x" does', '"u"'),
    ("--authorization-kubeconfig={none.kc}", _AUTHZ * 2 + "invalid configuration: {none.kc}: no current-context", ""),
    ("--kubeconfig={base64.kc}", _LISTER + 'error loading config file "{base64.kc}": illegal base64 data', "authority"),
    ("--kubeconfig={pem.kc}", _LISTER + "unable to load root certificates: certificate-authority-data", "{pem.kc}"),
    ("--authentication-kubeconfig={pem.kc}", _AUTHN + "unable to load root certificates: ", "PEM"),
    ("--kubeconfig=", _LISTER + "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
     "KUBERNETES_SERVICE_PORT must be defined", "--authentication-kubeconfig"),
    ("--authentication-kubeconfig=", _AUTHN * 2 + "unable to load in-cluster configuration, ", "--kubeconfig"),
    ("--bind-address=203.0.113.9", "failed to create listener: failed to listen on 203.0.113.9:",
     "bind: cannot assign requested address: no interface of this machine has that address"),
]  # fmt: skip


@pytest.mark.usefixtures("outside_of_a_cluster")
@pytest.mark.parametrize(("flags", "begins", "holds"), MISTAKES, ids=lambda text: text[-60:])
def test_a_mistake_is_one_sentence_and_status_2(
    files: Files, capfd: pytest.CaptureFixture[str], flags: str, begins: str, holds: str
) -> None:
    assert main([*ordinary(files), *map(files.named, flags.split())]) == 2
    (line,) = [x for x in capfd.readouterr().err.splitlines() if x.startswith("Error: ")]
    assert line.startswith(f"Error: {files.named(begins)}")
    assert files.named(holds) in line


def test_inside_of_a_cluster_a_token_that_is_not_mounted_is_told_of(
    files: Files, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists():
        pytest.skip("this machine is a pod")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    assert main([*ordinary(files), "--authentication-kubeconfig="]) == 2
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    begins = f"Error: {_AUTHN * 2}open {token}: no such file or directory: no ServiceAccount is mounted"
    assert begins in capfd.readouterr().err


def test_mistakes_end_the_process_itself_with_status_2_and_the_usage(files: Files) -> None:
    done = run(*ordinary(files), *files.named(_PAIR % ("one.crt", "other.key")).split())
    assert done.returncode == 2
    assert done.stderr.startswith("Error: tls: private key does not match public key: ")
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told_with_who_has_it(
    files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([*ordinary(files), f"--secure-port={port}"]) == 2
    said = capfd.readouterr().err
    where = f"127.0.0.1:{port}"
    begins = f"Error: failed to create listener: failed to listen on {where}: listen tcp {where}: bind: address already"
    (line,) = [x for x in said.splitlines() if x.startswith("Error: ")]
    assert line.startswith(begins)
    assert f" (pid {os.getpid()}) listens there; choose another port with --secure-port" in line


def run(*flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pymetrics_server", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env=direct_environment(),
        check=False,
    )


@pytest.fixture(name="nobody")
def _nobody(files: Files) -> Iterator[None]:
    """As a user who may not do much; what is imported late was imported before."""
    main([*ordinary(files), "--bind-address=203.0.113.9"])
    if os.getuid() != 0:
        yield
        return
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture(name="open_to_all")
def _open_to_all(files: Files) -> Iterator[Files]:
    """Files in a directory that others may enter; only `secret.key` is not theirs to read."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        theirs = Files(Path(directory))
        (theirs.directory / "certs").mkdir()
        shutil.copy(theirs.directory / "one.key", theirs.directory / "secret.key")
        (theirs.directory / "secret.key").chmod(0o000)
        yield theirs


def tell(capfd: pytest.CaptureFixture[str]) -> str:
    (*_, line) = [x for x in capfd.readouterr().err.splitlines() if x.startswith("Error: ")]
    return line


@pytest.mark.usefixtures("nobody")
def test_a_key_that_may_not_be_read_is_told_with_who_tried(
    open_to_all: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = open_to_all.named(_PAIR % ("one.crt", "secret.key")).split()
    assert main([*ordinary(open_to_all), *flags]) == 2
    key = open_to_all.named("{secret.key}")
    assert tell(capfd).startswith(
        f"Error: open {key}: permission denied: --tls-cert-file and --tls-private-key"
    )


@pytest.mark.usefixtures("nobody")
def test_a_cert_dir_that_may_not_be_written_is_told_with_the_ways_out(
    open_to_all: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    (open_to_all.directory / "certs").chmod(0o555)
    assert main(ordinary(open_to_all)) == 2
    line = tell(capfd)
    assert line.startswith(f"Error: {_SELF_SIGNED}open {open_to_all.named('{certs}')}: permission denied: ")
    for way in ("emptyDir", "--cert-dir", "--tls-cert-file"):
        assert way in line


@pytest.mark.usefixtures("nobody")
def test_a_low_port_is_told_with_the_capability_that_it_needs(
    open_to_all: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443:
        pytest.skip("anybody may have port 443 here")
    flags = open_to_all.named(_PAIR % ("one.crt", "one.key")).split()
    assert main([*ordinary(open_to_all), *flags, "--secure-port=443"]) == 2
    line = tell(capfd)
    assert "listen tcp 127.0.0.1:443: bind: permission denied: ports below 1024 need the capability" in line
    assert "--secure-port" in line


@pytest.mark.usefixtures("nobody")
def test_a_port_of_somebody_elses_process_is_told_as_such(
    open_to_all: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    """As on a node whose kubelet has it: its process is not to be seen from a container."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    os.seteuid(0)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import socket as s; x = s.create_server(('127.0.0.1', 0));"
         "print(x.getsockname()[1], flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    port = int(holder.stdout.readline())
    os.seteuid(65534)
    try:
        flags = open_to_all.named(_PAIR % ("one.crt", "one.key")).split()
        assert main([*ordinary(open_to_all), *flags, f"--secure-port={port}"]) == 2
        assert "a process of another user or outside of this container listens there" in tell(capfd)
    finally:
        os.seteuid(0)
        holder.communicate("")
        os.seteuid(65534)

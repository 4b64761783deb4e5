"""`certs inspect`: files, whoever listens, ConfigMaps; what is told, and the exit status."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pymetrics_server.certs.looking import Section, sections
from pymetrics_server.certs.report import as_json, as_text, is_well
from pymetrics_server.clock import SystemClock
from pymetrics_server.errors import ConfigError
from pymetrics_server.x509 import Pair, inspect_pem, issue, make_ca
from tests.certs.conftest import Run
from tests.certs.test_printed import GOLDEN, check_golden
from tests.fakes.certificates import SERVER, authority, certificate

NOW_NS = SystemClock().now_ns()
#: Of the golden certificates, made once: they hold from an hour before for a year or ten.
GOLDEN_NOW_NS = 1_790_000_000_000_000_000
AUTHENTICATION = "configmap:kube-system/extension-apiserver-authentication"
CA = make_ca("front-proxy-ca", NOW_NS)
CLIENT_CA = make_ca("kubernetes", NOW_NS)
PROXY = issue(CA, "aggregator", NOW_NS, client=True)
KUBELET = issue(CA, "system:node:a", NOW_NS, hosts=("a", "10.0.0.5"), server=True)
LATE = certificate("late", NOW_NS, CA, ends_in_h=-0.5)


def saved(path: Path, *pairs: Pair) -> Path:
    path.write_bytes(b"".join(pair.cert_pem for pair in pairs))
    return path


def golden_section() -> Section:
    """A CA, a front proxy, a server, a kubelet of kubeadm's making, and one that is fit for nothing."""
    found = inspect_pem((GOLDEN / "bundle.pem").read_bytes(), GOLDEN_NOW_NS)
    return Section("bundle.pem", found, {"allowed-names": '["aggregator"]'}, ("something is amiss: mend it",))


def test_what_was_seen_is_told_in_words_golden() -> None:
    check_golden("inspect.txt", as_text((golden_section(),), GOLDEN_NOW_NS))


def test_what_was_seen_is_told_in_json_golden() -> None:
    check_golden("inspect.json", as_json((golden_section(),), GOLDEN_NOW_NS))


@pytest.mark.parametrize(
    ("pairs", "status"),
    [((CA,), 0), ((PROXY,), 0), ((KUBELET, CA), 0), ((LATE,), 1), ((CA, LATE), 1), ((certificate("x", NOW_NS, usages=[SERVER]),), 1)],
)  # fmt: skip
def test_the_status_is_1_where_one_is_fit_for_nothing_now(
    pairs: tuple[Pair, ...], status: int, run: Run, tmp_path: Path
) -> None:
    ran = run("inspect", saved(tmp_path / "bundle.pem", *pairs))
    assert (ran.status, ran.err) == (status, "")
    assert ran.out.count("fit for ") == len(pairs)


def test_why_it_is_not_fit_is_told_with_the_cure(run: Run, tmp_path: Path) -> None:
    out = run("inspect", saved(tmp_path / "late.pem", LATE)).out
    assert "fit for   nothing" in out
    assert "not as front-proxy client:\n      - it expired on " in out
    assert "issue it anew (with the same CA: --ca, --ca-key, --force)" in out


def test_json_is_for_programs(run: Run, tmp_path: Path) -> None:
    ran = run("inspect", "-o", "json", saved(tmp_path / "bundle.pem", PROXY, LATE))
    document = json.loads(ran.out)
    assert (ran.status, document["ok"]) == (1, False)
    (section,) = document["sections"]
    first, second = section["certificates"]
    assert (first["common_name"], first["issuer"]) == ("aggregator", "CN=front-proxy-ca")
    assert [f["purpose"] for f in first["fitness"] if f["fits"]] == ["front-proxy client"]
    assert not any(f["fits"] for f in second["fitness"])
    assert first["not_after"] > document["now"] > second["not_after"]


def test_what_strangers_wrote_into_a_certificate_moves_no_cursor(run: Run, tmp_path: Path) -> None:
    evil = certificate("a\x1b[2J\nfit for everything", NOW_NS)
    out = run("inspect", saved(tmp_path / "evil.pem", evil)).out
    assert "\x1b" not in out
    assert "\nfit for everything" not in out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no certificate in PEM; `head "),
        (PROXY.key_pem, "it is a key: give its certificate's file"),
        (ssl.PEM_cert_to_DER_cert(CA.cert_pem.decode()), "it may be DER: `openssl x509 -inform der -in "),
        (
            b"clusters:\n- cluster:\n    certificate-authority-data: TFM=\n",
            "it is a kubeconfig: `kubectl config view",
        ),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x509: malformed CA bundle"),
        (b"x" * (2 << 20), "is larger than any certificate or key"),
    ],
)
def test_a_file_without_certificates_is_one_line_that_says_what_to_do(
    content: bytes, sentence: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)
    ran = run("inspect", tmp_path / "file")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert sentence in ran.err


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            "nowhere.pem",
            "there is no file nowhere.pem, and it is no HOST:PORT either, such as 10.0.0.1:10250",
        ),
        ("https://localhost:1", "it is no HOST:PORT either"),
        ("localhost:99999", "it is no HOST:PORT either"),
        ("kube-system/extension-apiserver-authentication", f"a ConfigMap is named as {AUTHENTICATION}"),
        ("configmap:x", f"is no configmap:NAMESPACE/NAME: try {AUTHENTICATION}"),
        ("configmap:a/../b", "is no configmap:NAMESPACE/NAME"),
        ("host.invalid:443", "shows no certificate: the name does not resolve; `getent hosts host.invalid`"),
        (".", "cannot read .: is a directory"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line_that_says_what_to_do(
    target: str, sentence: str, run: Run
) -> None:
    ran = run("inspect", target)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert sentence in ran.err


@contextlib.contextmanager
def listening(host: str, *pairs: Pair, directory: Path, answer: bytes = b"") -> Iterator[str]:
    """HOST:PORT of one that shows that chain, or with an `answer` says that instead of TLS."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if pairs:
        (directory / "key").write_bytes(pairs[0].key_pem)
        context.load_cert_chain(saved(directory / "chain", *pairs), directory / "key")

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), accepted:
                accepted.settimeout(10)
                if answer:
                    accepted.recv(4096)
                    accepted.sendall(answer)
                else:
                    with context.wrap_socket(accepted, server_side=True) as connection:
                        connection.recv(1)

    thread = threading.Thread(target=serve, name="listening", daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_chain_that_a_listener_shows_is_told_of_though_nobody_verifies_it(
    host: str, run: Run, tmp_path: Path
) -> None:
    middle = authority("middle", NOW_NS, CA)
    leaf = issue(middle, "system:node:a", NOW_NS, hosts=("10.0.0.5",), server=True)
    with listening(host, leaf, middle, directory=tmp_path) as address:
        ran = run("inspect", address)
    assert ran.status == 0, ran.err
    assert ran.out.startswith(f"{address}:\n  CN=system:node:a\n    kind      leaf, signed by CN=middle\n")
    assert "  CN=middle\n    kind      CA, signed by CN=front-proxy-ca\n" in ran.out


def test_a_listener_s_certificate_that_is_out_of_date_is_told_of_all_the_same(
    run: Run, tmp_path: Path
) -> None:
    with listening("127.0.0.1", LATE, directory=tmp_path) as address:
        ran = run("inspect", address)
    assert ran.status == 1
    assert "expired" in ran.out


def test_nobody_listens(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    ran = run("inspect", f"127.0.0.1:{port}")
    assert ran.status == 2
    assert f"127.0.0.1:{port} shows no certificate: connection refused; `ss -ltn` on that machine" in ran.err


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "if that port speaks TLS"),
        (b"\x15\x03\x03\x00\x02\x02\x50", "its CSR is pending or denied; `kubectl get csr`"),
    ],
)
def test_a_listener_without_a_certificate_is_one_line(
    answer: bytes, sentence: str, run: Run, tmp_path: Path
) -> None:
    with listening("127.0.0.1", directory=tmp_path, answer=answer) as address:
        ran = run("inspect", address)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert sentence in ran.err


def test_whoever_interrupts_it_does_not_get_a_yes() -> None:
    """Ctrl-C while a listener that never answers is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        asking = subprocess.Popen(
            [sys.executable, "-m", "pymetrics_server", "certs", "inspect", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        accepted, _ = silent.accept()
        with accepted:
            asking.send_signal(signal.SIGINT)
            assert asking.communicate(timeout=30) == (b"", b"")
    assert asking.returncode == 130


GOOD = {
    "client-ca-file": CLIENT_CA.cert_pem.decode(),
    "requestheader-allowed-names": '["aggregator"]',
    "requestheader-client-ca-file": CA.cert_pem.decode(),
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-username-headers": '["X-Remote-User"]',
}


def seen(**changed: str | None) -> tuple[Section, ...]:
    data = GOOD | {key.replace("_", "-"): value for key, value in changed.items()}
    there = {key: value for key, value in data.items() if value is not None}
    return sections("kube-system", "extension-apiserver-authentication", there, NOW_NS)


def problem(**changed: str | None) -> str:
    found = seen(**changed)
    assert not is_well(found)
    return "\n".join(p for section in found for p in section.problems)


def test_a_cluster_whose_front_proxy_is_right_is_well() -> None:
    clients, proxies, settings = seen()
    assert (clients.source, proxies.source) == ("client-ca-file", "requestheader-client-ca-file")
    assert [c.common_name for c in (*clients.certificates, *proxies.certificates)] == [
        "kubernetes",
        "front-proxy-ca",
    ]
    assert settings.settings["requestheader-allowed-names"] == '["aggregator"]'
    assert is_well(seen())
    assert is_well(seen(requestheader_allowed_names="[]"))


def test_without_a_requestheader_ca_nobody_who_is_forwarded_is_believed() -> None:
    said = problem(requestheader_client_ca_file=None)
    assert "API servers answer 401" in said
    assert "`pymetrics-server certs aggregator`" in said


def test_the_clients_ca_as_requestheader_ca_lets_anybody_speak_for_anybody() -> None:
    both = CA.cert_pem.decode()
    said = problem(client_ca_file=CLIENT_CA.cert_pem.decode() + both, requestheader_allowed_names="[]")
    assert "whoever holds a client certificate of it can speak for anybody" in said
    assert is_well(seen(client_ca_file=both))  # a list of allowed names stands between


@pytest.mark.parametrize("names", ["aggregator", "{}", "[1]"])
def test_allowed_names_that_are_no_list_are_told_of(names: str) -> None:
    assert "is no list of names" in problem(requestheader_allowed_names=names)


def test_a_ca_that_cannot_be_read_or_is_out_of_date_is_told_of() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert "it cannot be read: x509: malformed" in problem(requestheader_client_ca_file=broken)
    old = authority("old", NOW_NS - 48 * 3600 * 10**9)
    assert not is_well(seen(requestheader_client_ca_file=old.cert_pem.decode()))


def test_any_configmap_that_holds_certificates_can_be_looked_at() -> None:
    (found,) = sections("default", "kube-root-ca.crt", {"ca.crt": CLIENT_CA.cert_pem.decode()}, NOW_NS)
    assert [c.common_name for c in found.certificates] == ["kubernetes"]
    with pytest.raises(
        ConfigError, match="ConfigMap default/other holds no certificate; see `kubectl -n default get"
    ):
        sections("default", "other", {"a": "b"}, NOW_NS)


class _Cluster(BaseHTTPRequestHandler):
    """Answers a path with what `answers` of its server has for it, or 404."""

    def do_GET(self) -> None:
        status, document = self.server.answers.get(self.path, (404, {"message": "configmaps not found"}))  # type: ignore[attr-defined]
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@contextlib.contextmanager
def cluster(directory: Path, **answers: tuple[int, Any]) -> Iterator[Path]:
    """A kubeconfig for one that holds these ConfigMaps of kube-system."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Cluster) as server:
        path = "/api/v1/namespaces/kube-system/configmaps/"
        server.answers = {path + name.replace("_", "-"): a for name, a in answers.items()}  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, name="cluster", daemon=True)
        thread.start()
        config = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(json.dumps(config))
        try:
            yield kubeconfig
        finally:
            server.shutdown()
            thread.join(10)


def test_a_configmap_is_read_through_a_kubeconfig(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path, extension_apiserver_authentication=(200, {"data": GOOD})) as kubeconfig:
        ran = run("inspect", AUTHENTICATION, "--kubeconfig", kubeconfig)
        monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}{os.pathsep}/elsewhere")
        assert run("inspect", AUTHENTICATION).out == ran.out
    assert ran.status == 0, ran.err
    assert "client-ca-file:\n  CN=kubernetes\n" in ran.out
    assert 'requestheader-allowed-names     ["aggregator"]\n' in ran.out


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((404, {"message": "not found"}), "not found; `kubectl -n kube-system get configmaps` lists"),
        (
            (403, {"message": 'configmaps is forbidden: User "bob" cannot get it'}),
            "create rolebinding system:metrics-server:granted-auth-reader:bob",
        ),
        ((401, {"message": "Unauthorized"}), "kube-apiserver does not accept our credentials"),
        ((500, {"message": "etcd is away"}), "etcd is away; `kubectl cluster-info`"),
        ((200, []), "did not answer with a ConfigMap"),
        ((200, {"data": {"a": 1}}), "did not answer with a ConfigMap"),
    ],
)
def test_a_configmap_that_cannot_be_read_is_one_line_that_says_what_to_do(
    answer: tuple[int, Any], sentence: str, run: Run, tmp_path: Path
) -> None:
    with cluster(tmp_path, extension_apiserver_authentication=answer) as kubeconfig:
        ran = run("inspect", AUTHENTICATION, "--kubeconfig", kubeconfig)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert sentence in ran.err


def test_a_cluster_that_cannot_be_asked_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path) as kubeconfig:
        pass
    ran = run("inspect", AUTHENTICATION, "--kubeconfig", kubeconfig)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "connection refused; `kubectl cluster-info`" in ran.err
    assert "no such file or directory" in run("inspect", AUTHENTICATION, "--kubeconfig", "/nowhere").err
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (
        "no kubeconfig is there: give --kubeconfig FILE, or set KUBECONFIG"
        in run("inspect", AUTHENTICATION).err
    )

"""A real kube-apiserver takes what is printed as it stands: the flags, the pairs, the patches.

KUBEBUILDER_ASSETS=/path/to/binaries python -m pytest tests/certs
"""

import contextlib
import shlex
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pymetrics_server.clock import SystemClock
from pymetrics_server.cluster.configmap import RequestHeaderConfig, read
from pymetrics_server.x509 import prove
from tests.certs.conftest import Run
from tests.cluster.real.assets import NEITHER, find_assets
from tests.cluster.real.control_plane import ControlPlane
from tests.cluster.real.deployed import MANIFESTS
from tests.programs import Program, direct_environment, until

CONFIGMAP = "extension-apiserver-authentication"
VERSIONS = ("v1beta1", "v1")
REPLACED = ("--requestheader-", "--proxy-client-")


class _Shown(BaseHTTPRequestHandler):
    """Any API's server: remembers which certificates were shown, and for whom they speak."""

    def do_GET(self) -> None:
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        leaf = connection.getpeercert(binary_form=True)
        self.server.shown.append((leaf, self.headers.get("X-Remote-User")))  # type: ignore[attr-defined]
        body = b'{"kind":"APIResourceList","apiVersion":"v1","resources":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None: ...  # whom the CA did not convince


@contextlib.contextmanager
def serving(pair: Path, client_ca: Path) -> Iterator[tuple[int, list[tuple[bytes | None, str | None]]]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.with_suffix(".pem"), pair.with_name(f"{pair.name}-key.pem"))
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with _Server(("127.0.0.1", 0), _Shown) as server:
        server.shown = []  # type: ignore[attr-defined]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, name="serving", daemon=True)
        thread.start()
        try:
            yield server.server_port, server.shown  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join(10)


@contextlib.contextmanager
def started(directory: Path, printed: str) -> Iterator[ControlPlane]:
    """kube-apiserver with the flags that were printed instead of the test's own."""
    assets = find_assets()
    if assets is None:
        pytest.skip(NEITHER)
    plane = ControlPlane(msgspec.structs.replace(assets, kube_controller_manager=None), directory)
    own = [argument for argument in plane._apiserver_arguments() if not argument.startswith(REPLACED)]
    flags = shlex.split(printed, comments=True)
    assert flags
    plane.apiserver = Program("kube-apiserver", [*own, *flags], directory)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


def shell(script: str, plane: ControlPlane, directory: Path) -> None:
    kubectl = shutil.which(str(plane.kubectl._start[0])) or ""
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "kubectl").symlink_to(kubectl)
    environment = direct_environment(KUBECONFIG=str(plane.admin_kubeconfig), HOME=str(directory))
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    subprocess.run(["sh", "-eu"], input=script, text=True, env=environment, check=True, timeout=60)


def apiservice(version: str, port: int) -> dict[str, Any]:
    """As the manifests have it, but for the port."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": "metrics-server", "namespace": "kube-system", "port": port},
        },
    }


def deployment() -> dict[str, Any]:
    """The manifests'."""
    objects = yaml.safe_load_all((MANIFESTS / "components.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(each for each in objects if each["kind"] == "Deployment")
    return found


def without_rollout(script: str) -> str:
    """Nobody rolls it out: there is no kube-controller-manager, and the server is a stand-in beside the cluster."""
    lines = script.splitlines(keepends=True)
    assert sum("rollout status" in line for line in lines) == 1
    return "".join(line for line in lines if "rollout status" not in line)


def available(plane: ControlPlane, version: str) -> str:
    found = plane.kubectl.raw(f"/apis/apiregistration.k8s.io/v1/apiservices/{version}.metrics.k8s.io")
    conditions = found.get("status", {}).get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == "Available"), "Unknown")


@pytest.mark.timeout(300)
def test_a_kube_apiserver_takes_what_is_printed_and_each_side_proves_the_other(
    run: Run, tmp_path: Path
) -> None:
    if find_assets() is None:
        pytest.skip(NEITHER)
    out, plane_directory = tmp_path / "out", tmp_path / "plane"
    plane_directory.mkdir()
    flags = run("aggregator", "--out", out, "--key", "rsa:2048").out
    script = run("serving", "--out", out).out
    with started(plane_directory, flags) as plane:
        # What the cluster tells its API servers.
        path = f"/api/v1/namespaces/kube-system/configmaps/{CONFIGMAP}"
        until("the ConfigMap is there", lambda: plane.admin.answers(path))
        data = plane.admin.ask(path).document["data"]
        trust = read(data, RequestHeaderConfig())
        assert trust.requestheader_ca_pem == (out / "aggregator-ca.pem").read_bytes()
        assert trust.allowed_names == ("aggregator",)
        assert (trust.username_headers, trust.group_headers) == (("X-Remote-User",), ("X-Remote-Group",))
        assert trust.extra_headers_prefix == ("X-Remote-Extra-",)
        looked = run(
            "inspect", f"configmap:kube-system/{CONFIGMAP}", "--kubeconfig", str(plane.admin_kubeconfig)
        )
        assert (looked.status, looked.err) == (0, "")
        assert "requestheader-client-ca-file:\n  CN=aggregator-ca\n" in looked.out
        # Its own certificate, as it serves it.
        looked = run("inspect", f"127.0.0.1:{plane.port}")
        assert looked.status == 0
        assert "  CN=kube-apiserver\n" in looked.out
        with serving(out / "metrics-server", out / "aggregator-ca.pem") as (port, shown):
            plane.kubectl(
                *("create", "service", "externalname", "metrics-server", "-n", "kube-system"),
                *("--external-name=localhost", f"--tcp={port}"),
            )
            for version in VERSIONS:
                plane.kubectl(
                    "apply", "-f", "-", stdin=msgspec.json.encode(apiservice(version, port)).decode()
                )
            plane.kubectl("apply", "-f", "-", stdin=msgspec.json.encode(deployment()).decode())
            # The Secret, what mounts it, and the CA by which the server is proven.
            shell(without_rollout(script), plane, tmp_path)
            pod = plane.kubectl.raw("/apis/apps/v1/namespaces/kube-system/deployments/metrics-server")
            pod = pod["spec"]["template"]["spec"]
            assert {"name": "tls", "secret": {"secretName": "metrics-server-tls", "defaultMode": 420}} in pod[
                "volumes"
            ]
            assert pod["containers"][0]["volumeMounts"][-1]["mountPath"] == "/etc/metrics-server/tls"
            assert pod["containers"][0]["args"][-2:] == [
                "--tls-cert-file=/etc/metrics-server/tls/tls.crt",
                "--tls-private-key-file=/etc/metrics-server/tls/tls.key",
            ]
            for version in VERSIONS:
                spec = plane.kubectl.raw(
                    f"/apis/apiregistration.k8s.io/v1/apiservices/{version}.metrics.k8s.io"
                )["spec"]
                assert spec.get("insecureSkipTLSVerify", False) is False
                assert spec["caBundle"]
                until(f"{version} is proven", lambda v=version: available(plane, v) == "True")  # type: ignore[misc]
            assert plane.kubectl.raw("/apis/metrics.k8s.io/v1beta1")["kind"] == "APIResourceList"
        secret = plane.kubectl.raw("/api/v1/namespaces/kube-system/secrets/metrics-server-tls")
        assert set(secret["data"]) == {"tls.crt", "tls.key"}
    # Whom kube-apiserver was, by the trust that it wrote down itself.
    assert {"kubernetes-admin", "system:kube-aggregator"} & {user for _, user in shown}
    for leaf, _ in shown:
        assert leaf is not None
        proof = prove((leaf,), trust.requestheader_ca_pem, SystemClock().now_ns())
        assert proof.subject.common_name in trust.allowed_names

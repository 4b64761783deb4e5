"""The server as manifests/base deploys it: its objects applied to kube-apiserver, its arguments to a process.

What differs stands here: the Service is an ExternalName, since Endpoints on loopback are invalid, and the v1
APIService proves the server's certificate by a CA bundle, where v1beta1 does not, as in the manifests.
"""

import base64
import sys
from pathlib import Path

import yaml

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.kubeconfig import token_user, write_kubeconfig
from pymetrics_server.standin.pki import client_context
from pymetrics_server.x509 import issue, make_ca
from tests.cluster.real.client import Api, Object
from tests.cluster.real.control_plane import ControlPlane
from tests.programs import Program, free_port

MANIFESTS = Path(__file__).parents[3] / "manifests" / "base"
VERSIONS = ("v1", "v1beta1")
GROUP = "metrics.k8s.io"

_HOST = "metrics-server.kube-system.svc"
_ACCOUNT = "/api/v1/namespaces/kube-system/serviceaccounts/metrics-server"


class Deployed:
    """`apply` once, then `start` and `stop` as often as wanted; the port stays."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._directory = control_plane.directory
        self._ca = make_ca("metrics-server", SystemClock().now_ns())
        self.port = free_port()
        self._documents = [
            d for f in sorted(MANIFESTS.glob("*.yaml")) for d in yaml.safe_load_all(f.read_text())
        ]
        self._kubeconfig = self._directory / "metrics-server.kubeconfig"
        self.process = Program("metrics-server", self._arguments(), self._directory)

    def apply(self) -> None:
        """All but the APIServices: who they are for is there first, so that nothing is asked in vain."""
        wanted = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "RoleBinding")
        self._apply([*(d for d in self._documents if d["kind"] in wanted), self._service()])
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        made = self._control_plane.admin.create(f"{_ACCOUNT}/token", request)
        user = token_user(made["status"]["token"])
        plane = self._control_plane
        write_kubeconfig(self._kubeconfig, plane.url, plane.pki.cluster_ca.cert_pem, "metrics-server", user)

    def start(self) -> None:
        self.process.start()
        self.process.until("is ready", lambda: self.asked_as("").answers("/readyz"))

    def register(self) -> None:
        self._apply([self._api_service(d) for d in self._documents if d["kind"] == "APIService"])

    def stop(self) -> None:
        self.process.stop()

    def asked_as(self, token: str) -> Api:
        """Past the aggregator, straight to the port; an empty token is nobody."""
        headers = {"Authorization": f"Bearer {token}"} if token else None
        return Api(self.port, client_context(None), headers)

    def _arguments(self) -> list[str]:
        (deployment,) = (d for d in self._documents if d["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        pair = issue(self._ca, _HOST, SystemClock().now_ns(), hosts=(_HOST,), server=True)
        cert, key = self._directory / "serving.crt", self._directory / "serving.key"
        cert.write_bytes(pair.cert_pem)
        key.write_bytes(pair.key_pem)
        return [
            sys.executable,
            "-m",
            "pymetrics_server",
            *container["args"],
            f"--kubeconfig={self._kubeconfig}",
            f"--authentication-kubeconfig={self._kubeconfig}",
            f"--authorization-kubeconfig={self._kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={cert}",
            f"--tls-private-key-file={key}",
            f"--kubelet-certificate-authority={self._control_plane.pki.cluster_ca_file}",
            "--kubelet-use-node-status-port",
            "--metric-resolution=10s",
            "--kubelet-request-timeout=9s",
        ]

    def _service(self) -> Object:
        (service,) = (d for d in self._documents if d["kind"] == "Service")
        external = {"type": "ExternalName", "externalName": "localhost"}
        return {**service, "spec": {**external, "ports": [{"name": "https", "port": self.port}]}}

    def _api_service(self, document: Object) -> Object:
        spec = document["spec"]
        service = {**spec["service"], "port": self.port}
        if spec["version"] == "v1":
            bundle = base64.b64encode(self._ca.cert_pem).decode()
            proven = {"insecureSkipTLSVerify": False, "caBundle": bundle}
            return {**document, "spec": {**spec, **proven, "service": service}}
        return {**document, "spec": {**spec, "service": service}}

    def _apply(self, documents: list[Object]) -> None:
        self._control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

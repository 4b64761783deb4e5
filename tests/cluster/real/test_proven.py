"""kube-apiserver verifies the server's certificate, where an APIService has a CA for it."""

import base64
import contextlib
from pathlib import Path

from pymetrics_server.clock import SystemClock
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.cluster.real.agent import COMMAND
from tests.cluster.real.conftest import Cluster, available, until_available
from tests.cluster.real.container import kubeconfig_flags, token_of
from tests.cluster.real.deployed import GROUP, v1_apiservice
from tests.programs import Program, free_port, until

_PROVEN = "metrics-server-proven"


def test_a_ca_bundle_proves_the_server(own: Cluster, tmp_path: Path) -> None:
    """v1 asks another server for a while, first with somebody else's CA."""
    plane, kubectl = own.control_plane, own.kubectl
    now_ns = SystemClock().now_ns()
    ca, host, port = make_ca(_PROVEN, now_ns), f"{_PROVEN}.kube-system.svc", free_port()
    pair = issue(ca, host, now_ns, hosts=(host,), server=True)
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    cert.write_bytes(pair.cert_pem)
    key.write_bytes(pair.key_pem)
    flags = (
        *kubeconfig_flags(plane, tmp_path, token_of(plane, "metrics-server")),
        *(f"--tls-cert-file={cert}", f"--tls-private-key-file={key}"),
        *("--bind-address=127.0.0.1", f"--secure-port={port}", "--kubelet-use-node-status-port"),
        *("--kubelet-preferred-address-types=InternalIP", "--metric-resolution=15s"),
    )
    server = Program("proven", [*COMMAND, *flags], tmp_path)

    def ask_there(trusted: Pair) -> None:
        bundle = base64.b64encode(trusted.cert_pem).decode()
        service = {"name": _PROVEN, "namespace": "kube-system", "port": port}
        spec = {"insecureSkipTLSVerify": False, "caBundle": bundle, "service": service}
        plane.admin.patch(f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{GROUP}", {"spec": spec})

    with contextlib.ExitStack() as back:
        back.callback(server.stop)
        server.start()
        kubectl(
            *("create", "service", "externalname", _PROVEN, "-n", "kube-system"),
            *("--external-name=localhost", f"--tcp={port}"),
        )
        back.callback(kubectl, "delete", "service", _PROVEN, "-n", "kube-system")
        back.callback(until_available, kubectl, "v1", "True")
        back.callback(kubectl, "apply", "-f", "-", stdin=v1_apiservice())
        back.callback(kubectl, "delete", "apiservice", f"v1.{GROUP}")
        ask_there(make_ca(_PROVEN, now_ns))
        refusal = "certificate signed by unknown authority"
        until(refusal, lambda: refusal in available(kubectl, "v1").get("message", ""))
        ask_there(ca)
        until_available(kubectl, "v1", "True")
        until("it serves", lambda: kubectl.items(f"/apis/{GROUP}/v1/nodes"))

"""etcd, kube-apiserver and kube-controller-manager, as kubeadm would join them: own CAs, RBAC, a front proxy.

Everything listens on loopback, and writes below one directory.
"""

import json
import secrets
from pathlib import Path

import yaml

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.kubeconfig import admin_user, write_kubeconfig
from pymetrics_server.standin.pki import FRONT_PROXY_NAME, PairFiles, client_context, make_pki
from pymetrics_server.x509 import issue, make_ca
from tests.cluster.real.assets import Assets
from tests.cluster.real.client import Api, Kubectl, Object
from tests.programs import Program, free_port

SERVER_ACCOUNT = "system:serviceaccount:kube-system:metrics-server"

#: What the tests are about. The scheduler's and kubelets' part is the tests' own.
_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "endpointslice-controller",
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "replicaset-controller",
    "horizontal-pod-autoscaler-controller",
)

#: Whatever the server asks of kube-apiserver, with the body.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Request", "users": [SERVER_ACCOUNT]}, {"level": "None"}],
}


def on_loopback(pod_ip: str) -> str:
    """Where a pod's address is found: an EndpointSlice takes none of 127.0.0.0/8."""
    return "127." + pod_ip.removeprefix("10.")


class ControlPlane:
    """`start` comes back when kube-apiserver is ready."""

    def __init__(self, assets: Assets, directory: Path) -> None:
        self.directory = directory
        # Another cluster on this machine, or another run, shall not have the same.
        second, third = 64 + secrets.randbelow(64), secrets.randbelow(256)
        self._services = f"127.{second}.{third}"
        self._pods = f"{second + 128}.{third}"
        self.pki = make_pki(directory / "pki", SystemClock())
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._assets = assets
        self._audit_log = directory / "audit.log"
        self._etcd_port = free_port()
        self._ca_pem = self.pki.cluster_ca.cert_pem
        self.admin_kubeconfig = self._kubeconfig("admin", self.pki.admin)
        self.admin = Api(self.port, client_context(self._ca_pem, self.pki.admin))
        self.kubectl = Kubectl(assets.kubectl, self.admin_kubeconfig, directory)
        self.etcd = Program("etcd", self._etcd_arguments(), directory)
        self.apiserver = Program("kube-apiserver", self._apiserver_arguments(), directory)
        self._log_mark = 0
        self._controllers = Program("kube-controller-manager", self._controller_arguments(), directory)

    def start(self) -> None:
        self.etcd.start()
        self.apiserver.start()
        self.apiserver.until("is ready", lambda: self.admin.answers("/readyz"), 90)
        self.apiserver.until("has kube-system", lambda: self.admin.answers("/api/v1/namespaces/kube-system"))
        if self._assets.kube_controller_manager is not None:
            self._controllers.start()

    def stop(self) -> None:
        for program in (self._controllers, self.apiserver, self.etcd):
            program.stop()

    def mark_log(self) -> None:
        """What kube-apiserver has said until now was about a server that was still to come."""
        self._log_mark = len(self.apiserver.log_lines)

    @property
    def log_since_mark(self) -> list[str]:
        return self.apiserver.log_lines[self._log_mark :]

    @property
    def has_controllers(self) -> bool:
        return self._assets.kube_controller_manager is not None

    def pod_ip(self, number: int) -> str:
        """What the cluster is told; `on_loopback` says where that is."""
        return f"10.{self._pods}.{number}"

    def bearer(self, token: str) -> Api:
        """kube-apiserver, as whoever holds the token."""
        return Api(self.port, client_context(self._ca_pem), {"Authorization": f"Bearer {token}"})

    def user(self, name: str, *groups: str) -> Kubectl:
        """kubectl of somebody with a client certificate."""
        made = issue(self.pki.cluster_ca, name, SystemClock().now_ns(), organizations=groups, client=True)
        home = self.directory / name
        home.mkdir()
        files = PairFiles(home / "user.crt", home / "user.key")
        files.cert.write_bytes(made.cert_pem)
        files.key.write_bytes(made.key_pem)
        return Kubectl(self._assets.kubectl, self._kubeconfig(name, files), home)

    def asked_by_the_server(self) -> list[Object]:
        """Audit events, oldest first; a line that is still being written is left out."""
        lines = self._audit_log.read_text().split("\n")[:-1] if self._audit_log.exists() else []
        return [json.loads(line) for line in lines]

    def _kubeconfig(self, name: str, pair: PairFiles) -> Path:
        path = self.directory / f"{name}.kubeconfig"
        return write_kubeconfig(path, self.url, self._ca_pem, name, admin_user(pair))

    def _etcd_arguments(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{free_port()}"
        return [
            str(self._assets.etcd),
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _apiserver_arguments(self) -> list[str]:
        pki = self.pki
        accounts_key = self.directory / "pki" / "service-accounts.key"
        accounts_key.write_bytes(make_ca("service-accounts", SystemClock().now_ns()).key_pem)
        policy = self.directory / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(_AUDIT_POLICY))
        return [
            str(self._assets.kube_apiserver),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--endpoint-reconciler-type=none",  # Endpoints on loopback are invalid
            f"--service-cluster-ip-range={self._services}.0/24",
            f"--cert-dir={self.directory / 'apiserver'}",
            f"--tls-cert-file={pki.apiserver.cert}",
            f"--tls-private-key-file={pki.apiserver.key}",
            f"--client-ca-file={pki.cluster_ca_file}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts_key}",
            f"--service-account-signing-key-file={accounts_key}",
            "--disable-admission-plugins=ServiceAccount",  # nobody makes the default accounts
            f"--requestheader-client-ca-file={pki.front_proxy_ca_file}",
            f"--requestheader-allowed-names={FRONT_PROXY_NAME}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki.front_proxy_client.cert}",
            f"--proxy-client-key-file={pki.front_proxy_client.key}",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self._audit_log}",
            "--v=1",
        ]

    def _controller_arguments(self) -> list[str]:
        kubeconfig = self.admin_kubeconfig
        return [
            str(self._assets.kube_controller_manager),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(_CONTROLLERS)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--horizontal-pod-autoscaler-sync-period=1s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
            "--v=1",
        ]

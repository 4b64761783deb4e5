"""One pod's container as a process: its own arguments, its account's token at the true path, nothing else writable.

As the Deployment asks, it has no capability, gains no privilege and finds its root read-only; root it stays, since
a checkout is not everybody's to read. That takes mounts of its own, so root: otherwise it gets kubeconfigs.
"""

import functools
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pymetrics_server.standin.kubeconfig import token_user, write_kubeconfig
from pymetrics_server.standin.pki import PairFiles, client_context
from tests.cluster.real.client import Api, Object
from tests.cluster.real.control_plane import ControlPlane, on_loopback
from tests.programs import Program

_TMP = Path("/tmp")  # where the Deployment mounts its volume
_ACCOUNTS = "/api/v1/namespaces/kube-system/serviceaccounts"

#: account, writable folder, where that is mounted, command ...
_ISOLATED = """
set -e
account=$1 writable=$2 place=$3
shift 3
mount -t tmpfs tmpfs "$(readlink -f /var/run)"
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
mount --bind "$account" /var/run/secrets/kubernetes.io/serviceaccount
mount --bind "$writable" "$place"
mount -o remount,bind,ro /
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


class Container:
    """The only container of a pod with that name and `spec`, at `ip`."""

    def __init__(
        self, plane: ControlPlane, command: Sequence[str], name: str, spec: Object, ip: str, token: str
    ) -> None:
        (container,) = spec["containers"]
        self._address = on_loopback(ip)
        (self.port,) = (p["containerPort"] for p in container["ports"] if p["name"] == "https")
        self._probe = container["readinessProbe"]
        self._failures = 0
        self._next_probe_s = time.monotonic() + self._probe.get("initialDelaySeconds", 0)
        self.ready = False
        directory = plane.directory / name
        account, writable = directory / "account", directory / "tmp"
        for made in (account, writable):
            made.mkdir(parents=True, exist_ok=True)
        (account / "token").write_text(token)
        (account / "ca.crt").write_bytes(plane.pki.cluster_ca.cert_pem)
        arguments = [*command, *container["args"], f"--bind-address={self._address}"]
        if can_isolate():
            place = _TMP
            if _TMP in Path(command[0]).parents:  # it would be out of sight
                arguments.append(f"--cert-dir={writable}")
                place = writable
            host = ("KUBERNETES_SERVICE_HOST=127.0.0.1", f"KUBERNETES_SERVICE_PORT={plane.port}")
            arguments = [
                *("env", *host, "unshare", "-m", "sh", "-c", _ISOLATED, "sh"),
                *(str(account), str(writable), str(place), *arguments),
            ]
        else:
            arguments += [f"--cert-dir={writable}", *kubeconfig_flags(plane, directory, token)]
        self.process = Program("server", arguments, directory)

    def asked_as(self, token: str) -> Api:
        """Past Service and aggregator; an empty token is nobody."""
        return self.asked_with({"Authorization": f"Bearer {token}"} if token else {})

    def asked_with(self, headers: Mapping[str, str], pair: PairFiles | None = None) -> Api:
        return Api(self.port, client_context(None, pair), headers, host=self._address)

    def probe(self) -> bool:
        """As the kubelet does when it is time; whether `ready` changed."""
        if time.monotonic() < self._next_probe_s:
            return False
        self._next_probe_s = time.monotonic() + self._probe["periodSeconds"]
        before = self.ready
        asked = Api(
            self.port,
            client_context(None),
            host=self._address,
            timeout_s=self._probe.get("timeoutSeconds", 1),
        )
        if asked.answers(self._probe["httpGet"]["path"]):
            self._failures, self.ready = 0, True
        else:
            self._failures += 1
            self.ready = self.ready and self._failures < self._probe["failureThreshold"]
        return self.ready != before


def kubeconfig_flags(plane: ControlPlane, directory: Path, token: str) -> list[str]:
    """What stands in for in-cluster configuration."""
    path = directory / "server.kubeconfig"
    write_kubeconfig(path, plane.url, plane.pki.cluster_ca.cert_pem, "server", token_user(token))
    flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [f"--{flag}={path}" for flag in flags]


def account_token(plane: ControlPlane, pod: Object) -> str | None:
    """As the kubelet asks for it: valid no longer than the pod is there. None where its account is gone."""
    metadata, account = pod["metadata"], pod["spec"]["serviceAccountName"]
    if plane.admin.find(f"{_ACCOUNTS}/{account}") is None:
        return None
    bound = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
    return token_of(plane, account, {"boundObjectRef": bound})


def token_of(plane: ControlPlane, account: str, spec: Object | None = None) -> str:
    """Of an account in kube-system."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec or {}}
    return str(plane.admin.create(f"{_ACCOUNTS}/{account}/token", request)["status"]["token"])


@functools.cache
def can_isolate() -> bool:
    if os.geteuid() != 0:
        return False
    command = ["unshare", "-m", "sh", "-c", _ISOLATED, "sh", "/mnt", "/mnt", "/mnt", "true"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False

"""The server's own certificate, and what makes kube-apiserver prove it by its CA.

What is printed is a shell script.
"""

import base64
import json
import shlex
from pathlib import Path

import msgspec

from pymetrics_server.certs.authority import Made, Request, authority, comments, host_words, renewal
from pymetrics_server.certs.files import pair_files
from pymetrics_server.x509 import issue

_VERSIONS = ("v1beta1", "v1")
_MOUNTED_AT = "/etc/metrics-server/tls"


class Serving(msgspec.Struct, frozen=True):
    """`name` and `namespace` are the Service's that the APIServices name."""

    request: Request
    name: str = "metrics-server"
    namespace: str = "kube-system"
    hosts: tuple[str, ...] = ()


def make(wanted: Serving, now_ns: int) -> Made:
    """Raises ConfigError."""
    request, name = wanted.request, wanted.name
    service = (f"{name}.{wanted.namespace}.svc", f"{name}.{wanted.namespace}", name)
    ca = authority(request, f"{name}-ca", now_ns)
    pair = issue(
        ca.pair,
        name,
        now_ns,
        hosts=tuple(dict.fromkeys((*service, *wanted.hosts))),
        server=True,
        days=request.days,
        key_kind=request.key_kind,
    )
    return Made(
        (*ca.files, *pair_files(name, pair)),
        printed(wanted, ca.file, ca.bundle_pem),
        renewal(
            request,
            f"{name}-ca",
            *("serving", "--name", name, "--namespace", wanted.namespace, *host_words(wanted.hosts)),
        ),
        ca.warnings,
    )


def printed(wanted: Serving, ca_file: Path, bundle_pem: bytes) -> str:
    name, namespace = wanted.name, wanted.namespace
    cert, key = wanted.request.out / f"{name}.pem", wanted.request.out / f"{name}-key.pem"
    secret = shlex.join(
        [
            *("kubectl", "-n", namespace, "create", "secret", "tls", f"{name}-tls"),
            *(f"--cert={cert}", f"--key={key}", "--dry-run=client", "-o", "yaml"),
        ]
    )
    applied = shlex.join(["kubectl", "-n", namespace, "apply", "-f", "-"])
    mounted = shlex.join(
        [
            *("kubectl", "-n", namespace, "patch", "deployment", name, "--type=json", "-p"),
            json.dumps(_mounting(f"{name}-tls"), separators=(",", ":")),
        ]
    )
    rolled_out = shlex.join(["kubectl", "-n", namespace, "rollout", "status", f"deployment/{name}"])
    spec = {"insecureSkipTLSVerify": False, "caBundle": base64.b64encode(bundle_pem).decode()}
    patch = shlex.quote(json.dumps({"spec": spec}, separators=(",", ":")))
    return (
        comments("The pair, as a Secret; once it is renewed, this again, and nothing else:")
        + f"{secret} | {applied}\n"
        + comments(
            "A Helm release forgets what is patched. It is given, instead of all that follows:",
            f"  --set tls.type=existingSecret --set tls.existingSecret.name={name}-tls "
            f"--set apiService.insecureSkipTLSVerify=false {shlex.quote(f'--set-file=apiService.caBundle={ca_file}')}",
            "A server outside of a pod takes, instead of the next two commands:",
            f"  {shlex.quote(f'--tls-cert-file={cert}')} {shlex.quote(f'--tls-private-key-file={key}')}",
            "Where the manifests are installed, the Secret is mounted, once; a later `kubectl apply` of them takes that "
            "back, see docs/certificates.md:",
        )
        + f"{mounted}\n{rolled_out}\n"
        + comments("Now that the server serves it, kube-apiserver is to prove it by the CA:")
        + "".join(
            f"kubectl patch apiservice {version}.metrics.k8s.io --type=merge -p {patch}\n"
            for version in _VERSIONS
        )
    )


def _mounting(secret: str) -> list[dict[str, object]]:
    """For a Deployment whose pod has volumes and arguments already, as the manifests' has."""
    container = "/spec/template/spec/containers/0"
    return [
        {"op": "add", "path": path, "value": value}
        for path, value in (
            ("/spec/template/spec/volumes/-", {"name": "tls", "secret": {"secretName": secret}}),
            (f"{container}/volumeMounts/-", {"name": "tls", "mountPath": _MOUNTED_AT, "readOnly": True}),
            (f"{container}/args/-", f"--tls-cert-file={_MOUNTED_AT}/tls.crt"),
            (f"{container}/args/-", f"--tls-private-key-file={_MOUNTED_AT}/tls.key"),
        )
    ]

"""kube-apiserver's certificate as a front proxy, and the flags that make it show that certificate.

`--print` chooses where the flags are to be put: what is printed is that file's own format, its comments included.
"""

import shlex
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import yaml

from pymetrics_server.certs.authority import Made, Request, authority, comments, host_words, renewal
from pymetrics_server.certs.files import pair_files
from pymetrics_server.errors import ConfigError, UntrustedError
from pymetrics_server.x509 import bundle_der, issue, prove

Form = Literal["flags", "systemd", "static-pod", "kubeadm"]
FORMS: tuple[Form, ...] = get_args(Form)

_NOTES = (
    "Add --enable-aggregator-routing=true where kube-proxy does not run on the control plane's machine: a Service's "
    "address leads nowhere from there, and kube-apiserver must reach the pods itself.",
    "The requestheader CA must not be the CA of --client-ca-file: its users' certificates would be front proxies too, "
    "and anybody could speak for anybody, held back by --requestheader-allowed-names alone.",
    "Every kube-apiserver gets the same three files, and flags of the same names that are there already are replaced; "
    "the CA's key belongs on none of these machines.",
    "Afterwards `pymetrics-server certs inspect configmap:kube-system/extension-apiserver-authentication` shows what "
    "the cluster tells its API servers.",
)


class Aggregator(msgspec.Struct, frozen=True):
    """`name` is the common name, and what the files are called."""

    request: Request
    name: str = "aggregator"
    hosts: tuple[str, ...] = ()
    form: Form = "flags"


def make(wanted: Aggregator, now_ns: int) -> Made:
    """Raises ConfigError."""
    request = wanted.request
    if wanted.form == "systemd":
        _check_one_word(request)
    ca = authority(request, f"{wanted.name}-ca", now_ns)
    pair = issue(
        ca.pair,
        wanted.name,
        now_ns,
        hosts=wanted.hosts,
        client=True,
        server=bool(wanted.hosts),  # only then there is something to serve as
        days=request.days,
        key_kind=request.key_kind,
    )
    try:
        prove(bundle_der(pair.cert_pem), ca.bundle_pem, now_ns)
    except UntrustedError as err:
        raise ConfigError(
            f"what {ca.file} signs is not believed of a client: {err}; without --ca and --ca-key a new CA is made"
        ) from err
    return Made(
        (*ca.files, *pair_files(wanted.name, pair)),
        printed(wanted, ca.file),
        renewal(request, f"{wanted.name}-ca", "aggregator", "--name", wanted.name, *host_words(wanted.hosts)),
        ca.warnings,
    )


def printed(wanted: Aggregator, ca_file: Path) -> str:
    out = wanted.request.out
    flags = {
        "requestheader-client-ca-file": str(ca_file),
        "requestheader-allowed-names": wanted.name,
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": str(out / f"{wanted.name}.pem"),
        "proxy-client-key-file": str(out / f"{wanted.name}-key.pem"),
    }
    folders = list(dict.fromkeys([str(out), str(ca_file.parent)]))
    match wanted.form:
        case "flags":
            return _plain(flags)
        case "systemd":
            return _drop_in(flags)
        case "static-pod":
            return _static_pod(flags, folders)
        case "kubeadm":
            return _kubeadm(flags, folders)


def _plain(flags: dict[str, str]) -> str:
    lines = (shlex.quote(f"--{name}={value}") for name, value in flags.items())
    head = "Flags for kube-apiserver; --print systemd, static-pod or kubeadm shows them as those want them."
    return comments(head) + "".join(f"{line}\n" for line in lines) + comments(*_NOTES)


def _drop_in(flags: dict[str, str]) -> str:
    """systemd splits the value of a variable that stands alone in ExecStart at its spaces."""
    value = " \\\n  ".join(f"--{name}={value}".replace("%", "%%") for name, value in flags.items())
    return (
        comments(
            "/etc/systemd/system/kube-apiserver.service.d/aggregator.conf",
            "A drop-in cannot add to ExecStart=, so put $AGGREGATOR_FLAGS at its end once (`systemctl edit --full "
            "kube-apiserver`), then `systemctl daemon-reload && systemctl restart kube-apiserver`.",
        )
        + f'[Service]\nEnvironment="AGGREGATOR_FLAGS=\\\n  {value}"\n'
        + comments(*_NOTES)
    )


def _static_pod(flags: dict[str, str], folders: list[str]) -> str:
    mounts = [
        {"name": name, "mountPath": folder, "readOnly": True} for name, folder in _volumes(folders).items()
    ]
    volumes = [
        {"name": name, "hostPath": {"path": folder, "type": "Directory"}}
        for name, folder in _volumes(folders).items()
    ]
    container = {
        "name": "kube-apiserver",
        "command": [f"--{name}={value}" for name, value in flags.items()],
        "volumeMounts": mounts,
    }
    return (
        comments(
            "Lines to add to /etc/kubernetes/manifests/kube-apiserver.yaml on each control plane's machine; the kubelet "
            "starts the Pod anew by itself.",
            "Of a folder that is mounted already, such as /etc/kubernetes/pki, leave the volume and its mount out.",
        )
        + _yaml({"spec": {"containers": [container], "volumes": volumes}})
        + comments(*_NOTES)
    )


def _kubeadm(flags: dict[str, str], folders: list[str]) -> str:
    volumes = [
        {"name": name, "hostPath": folder, "mountPath": folder, "readOnly": True, "pathType": "Directory"}
        for name, folder in _volumes(folders).items()
    ]
    extra = [{"name": name, "value": value} for name, value in flags.items()]
    return (
        comments(
            "kubeadm makes a front proxy's certificates by itself (/etc/kubernetes/pki/front-proxy-*): this is for who "
            "wants others.",
            "Merge it into ClusterConfiguration, of a cluster that is there `kubectl -n kube-system edit configmap "
            "kubeadm-config`, then `kubeadm init phase control-plane apiserver --config FILE` on each control plane's "
            "machine. With kubeadm.k8s.io/v1beta3 extraArgs is a map instead, each flag's name: value.",
            "Of a folder below /etc/kubernetes/pki leave the volume out: kubeadm mounts that itself.",
        )
        + _yaml(
            {
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "kind": "ClusterConfiguration",
                "apiServer": {"extraArgs": extra, "extraVolumes": volumes},
            }
        )
        + comments(*_NOTES)
    )


def _volumes(folders: list[str]) -> dict[str, str]:
    """By name, which is no other volume's of a usual kube-apiserver."""
    return dict(zip(("aggregator", "aggregator-ca"), folders, strict=False))


def _check_one_word(request: Request) -> None:
    for path in (request.out, request.ca or request.out):
        if any(character.isspace() or character in "\"'\\$" for character in str(path)):
            raise ConfigError(
                f"systemd would split {path} or read it in its own way: give a folder without spaces, quotes, $ and \\"
            )


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=10_000)

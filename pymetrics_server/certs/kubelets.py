"""Certificates that kubelets serve with, for clusters whose kubelets do not ask for their own."""

import shlex
from collections import Counter

import msgspec

from pymetrics_server.certs.authority import Made, Request, authority, comments, renewal
from pymetrics_server.certs.files import pair_files
from pymetrics_server.errors import ConfigError
from pymetrics_server.x509 import issue

_CA_STEM = "kubelet-ca"
_ON_NODE = "/var/lib/kubelet/pki"
_LONGEST_NAME = 64  # that a common name may be: X.509's upper bound
_BETTER = """\
# Better than files that somebody has to renew: kubelets that ask the cluster for their certificates. Into each
# kubelet's configuration (/var/lib/kubelet/config.yaml):
#   serverTLSBootstrap: true
# and when it has restarted, as nobody else approves these:
#   kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving
#   kubectl certificate approve NAME
# Then no pair from here is needed.
"""


class Node(msgspec.Struct, frozen=True):
    name: str
    hosts: tuple[str, ...]


class Kubelets(msgspec.Struct, frozen=True):
    request: Request
    nodes: tuple[Node, ...]


def make(wanted: Kubelets, now_ns: int) -> Made:
    """Raises ConfigError."""
    request = wanted.request
    for node in wanted.nodes:
        if len(_user(node)) > _LONGEST_NAME:
            raise ConfigError(
                f"node {node.name}: {_user(node)} is longer than the {_LONGEST_NAME} characters of a common name: set "
                "serverTLSBootstrap: true on its kubelet instead, and approve what `kubectl get csr` shows"
            )
    ca = authority(request, _CA_STEM, now_ns)
    files = [*ca.files]
    for node in wanted.nodes:
        pair = issue(
            ca.pair,
            _user(node),
            now_ns,
            organizations=("system:nodes",),
            hosts=tuple(dict.fromkeys((node.name, *node.hosts))),
            server=True,
            days=request.days,
            key_kind=request.key_kind,
        )
        files += pair_files(node.name, pair)
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise ConfigError(
            f"two of these would be the file {twice[0]}: give each --node once, and that one in a --out of its own"
        )
    nodes = [f"--node={n.name}={','.join(n.hosts)}" for n in wanted.nodes]
    hint = renewal(request, _CA_STEM, "kubelet-serving", *nodes)
    return Made(tuple(files), printed(wanted, str(ca.file)), hint, ca.warnings)


def printed(wanted: Kubelets, ca_file: str) -> str:
    return (
        _BETTER
        + "".join(map(_of_node, wanted.nodes))
        + comments("pymetrics-server then proves every kubelet by their CA:")
        + f"{shlex.quote(f'--kubelet-certificate-authority={ca_file}')}\n"
    )


def _of_node(node: Node) -> str:
    cert, key = f"{node.name}.pem", f"{node.name}-key.pem"
    return (
        comments(
            f"{node.name}: copy {cert} and {key} to {_ON_NODE} of that node, and into its kubelet's configuration:"
        )
        + f"tlsCertFile: {_ON_NODE}/{cert}\ntlsPrivateKeyFile: {_ON_NODE}/{key}\n"
        + comments("then `systemctl restart kubelet` there.")
    )


def _user(node: Node) -> str:
    return f"system:node:{node.name}"

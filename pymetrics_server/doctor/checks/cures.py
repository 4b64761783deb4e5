"""What to type for a node's failure, where more is known than its class: which server, which flag, which account."""

import shlex
from collections.abc import Sequence

from pymetrics_server.cluster.grants import KUBELETS, commands
from pymetrics_server.doctor.checks.arguments import is_pymetrics, with_argument
from pymetrics_server.doctor.checks.presented import made_by_itself, names_node
from pymetrics_server.doctor.checks.troubles import Trouble
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.objects import Node, listed
from pymetrics_server.doctor.subject import options_of
from pymetrics_server.errors import FailureClass

_TYPES = "kubelet-preferred-address-types"
_IP_TYPES = ("InternalIP", "ExternalIP")
_IN_ORDER = (*_IP_TYPES, "Hostname", "InternalDNS", "ExternalDNS")

_REISSUED = (
    "reissue it with the node's IP among its names: serverTLSBootstrap: true in the kubelet's configuration"
)


def cure_of(evidence: Evidence, failure: FailureClass, troubles: Sequence[Trouble]) -> str:
    """ "" where the class's own says it all."""
    match failure:
        case FailureClass.FORBIDDEN:
            return " && ".join(commands(KUBELETS, evidence.subject.account))
        case FailureClass.DNS:
            return _addresses_first(evidence, troubles)
        case FailureClass.NO_ADDRESS:
            return _addresses_too(evidence, troubles)
        case FailureClass.TLS_NAME_MISMATCH:
            return _by_node_name(evidence, troubles)
        case FailureClass.TLS_UNKNOWN_ISSUER:
            return _by_authority(troubles)
        case _:
            return ""


def _addresses_first(evidence: Evidence, troubles: Sequence[Trouble]) -> str:
    """An IP address needs no name; the types of now stay for the nodes that have none."""
    now = options_of(evidence.subject).kubelet_preferred_address_types
    first = [kind for kind in _types_of(evidence, troubles) if kind in _IP_TYPES]
    wanted = list(dict.fromkeys([*first, *now]))
    return with_argument(evidence, _TYPES, ",".join(wanted)) if first and wanted != list(now) else ""


def _addresses_too(evidence: Evidence, troubles: Sequence[Trouble]) -> str:
    """Behind the types of now, by which the other nodes are reached."""
    now = options_of(evidence.subject).kubelet_preferred_address_types
    more = [kind for kind in _types_of(evidence, troubles) if kind not in now]
    return with_argument(evidence, _TYPES, ",".join([*now, *more])) if more else ""


def _types_of(evidence: Evidence, troubles: Sequence[Trouble]) -> Sequence[str]:
    """The types of address that every one of the nodes has, those that depend on least first."""
    failing = {trouble.node for trouble in troubles}
    of_each = [
        {each.type for each in node.status.addresses if each.address}
        for node in listed(evidence.answer(Asked.NODES), Node) or ()
        if node.metadata.name in failing
    ]
    have = set.intersection(*of_each) if of_each else set()
    return [kind for kind in _IN_ORDER if kind in have]


def _by_node_name(evidence: Evidence, troubles: Sequence[Trouble]) -> str:
    """Where each certificate names its node, that is proof enough, and no certificate need be made anew."""
    named = [names_node(trouble.node, trouble.certificate, trouble.words) for trouble in troubles]
    if troubles and not any(named) and all(trouble.certificate is not None for trouble in troubles):
        return _REISSUED
    if not troubles or not all(named):
        return ""
    command = with_argument(evidence, "kubelet-tls-verify", "node-name") if is_pymetrics(evidence) else ""
    return (
        command
        or "run pymetrics-server with --kubelet-tls-verify=node-name: the certificates name their nodes"
    )


def _by_authority(troubles: Sequence[Trouble]) -> str:
    certificates = [trouble.certificate for trouble in troubles]
    issuers = {each.issuer for each in certificates if each is not None and not made_by_itself(each)}
    if len(issuers) != 1 or None in certificates:
        return ""
    return f"give the certificate of the CA {shlex.quote(str(next(iter(issuers))))} with --kubelet-certificate-authority"

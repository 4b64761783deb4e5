"""Where a node's kubelet is asked: address, port and path, read from the Node alone."""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import quote

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.meta.objects import Node

_IP_TYPES = frozenset({"InternalIP", "ExternalIP"})
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")
#: What Go's net/url leaves as it is in a path.
_PATH_SAFE = "/$&+,:;=@-._~"


def addresses_of(node: Node, preferred_types: Sequence[str]) -> Sequence[str]:
    """The first usable address of each preferred type, in their order; KubeletError(NO_ADDRESS) where there is none.

    metrics-server asks at the first of them and nowhere else. Cloud providers write empty addresses, and tools redact
    them ("***HIDDEN***"): those are passed over.
    """
    found: dict[str, None] = {}
    for wanted in preferred_types:
        usable = (e.address for e in node.addresses if e.type == wanted and _usable(wanted, e.address))
        if (address := next(usable, None)) is not None:
            found[address] = None
    if not found:
        raise KubeletError(FailureClass.NO_ADDRESS, f"no address matched types [{' '.join(preferred_types)}]")
    return tuple(found)


def name_of(node: Node) -> str:
    """What a certificate that proves the node names; KubeletError(TLS_NAME_MISMATCH) where none can."""
    if not _usable("Hostname", node.name):
        raise KubeletError(
            FailureClass.TLS_NAME_MISMATCH,
            f"no certificate can name a node {node.name!r}",
            cure="set --kubelet-tls-verify=address",
        )
    return node.name


def port_of(node: Node, default_port: int, use_node_status_port: bool) -> int:
    return node.kubelet_port if use_node_status_port and node.kubelet_port else default_port


def host_port(address: str, port: int) -> str:
    """As it stands in a URL: an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def path_of(node: Node) -> str:
    """The path that the node's annotation names, escaped; "" without one.

    It is a path and not a URL reference, so a `?` in it is a character of the path: no query can be injected.
    """
    path = node.resource_metrics_path
    if not path:
        return ""
    return quote(path if path.startswith("/") else f"/{path}", safe=_PATH_SAFE)


def _usable(address_type: str, address: str) -> bool:
    if address_type not in _IP_TYPES and _HOSTNAME.fullmatch(address):
        return True
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (ip.version == 6 and ip.scope_id)  # names an interface of the node's, and may hold anything

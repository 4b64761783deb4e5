"""What is wrong with the certificate that a kubelet shows, in words, and whether its request for a better one waits."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from pymetrics_server.doctor.evidence import SeenCertificate
from pymetrics_server.doctor.objects import Csr
from pymetrics_server.errors import FailureClass
from pymetrics_server.meta.timestamp import format_rfc3339

_SECOND_NS = 1_000_000_000
_DAY_S = 86_400
_NAMES_SHOWN = 6
_SIGNER = "kubernetes.io/kubelet-serving"
_NODE_USER = "system:node:"
#: How a kubelet calls the CA that it makes for its own certificate alone.
_MADE_BY_ITSELF = re.compile(r"-ca@[0-9]+$")
#: In the words of the server, and of metrics-server.
_NAMES_IN_WORDS = re.compile(r"(?:it names|is valid for) (.+?)(?:, not .*| and [0-9]+ more)?$")
#: Failures that a serving certificate of the cluster's CA mends.
CURED_BY_CSR = frozenset(
    {
        FailureClass.TLS_ALERT_INTERNAL,
        FailureClass.TLS_UNKNOWN_ISSUER,
        FailureClass.TLS_NAME_MISMATCH,
        FailureClass.TLS_EXPIRED,
    }
)


class CsrState(Enum):
    PENDING = "pending"
    DENIED = "denied"
    FAILED = "failed"
    APPROVED = "approved"


class NodeCsr(msgspec.Struct, frozen=True):
    name: str
    state: CsrState


def mismatch(failure: FailureClass, certificate: SeenCertificate | None, dialled: str, now_s: int) -> str:
    """What exactly is wrong with it; "" where that is not known."""
    if certificate is None:
        return ""
    if failure is FailureClass.TLS_NAME_MISMATCH:
        return f"dialled {dialled}, the certificate names {_names(certificate)} only"
    if failure is FailureClass.TLS_UNKNOWN_ISSUER:
        if certificate.is_self_signed or made_by_itself(certificate):
            return f"the kubelet signed its certificate itself, as {certificate.issuer}"
        return f"its issuer {certificate.issuer} is not among the CAs that are trusted"
    if failure is FailureClass.TLS_EXPIRED and now_s < certificate.not_before_s:
        return f"the certificate begins only on {_day(certificate.not_before_s)}"
    if failure is FailureClass.TLS_EXPIRED:
        days = (now_s - certificate.not_after_s) // _DAY_S
        return f"the certificate ended on {_day(certificate.not_after_s)}, {days} days ago"
    return ""


def described(certificate: SeenCertificate) -> str:
    span = f"{_day(certificate.not_before_s)} to {_day(certificate.not_after_s)}"
    return f"certificate of {certificate.issuer} for {_names(certificate)}, {span}"


def made_by_itself(certificate: SeenCertificate) -> bool:
    return certificate.is_self_signed or _MADE_BY_ITSELF.search(certificate.issuer) is not None


def names_node(node: str, certificate: SeenCertificate | None, words: str) -> bool:
    """Whether the certificate is the node's by its name, as far as is known."""
    if certificate is not None:
        names: Sequence[str] = certificate.names
    else:
        found = _NAMES_IN_WORDS.search(words)
        names = found[1].split(", ") if found else ()
    return node.lower() in {name.lower() for name in names}


def csrs_by_node(csrs: Iterable[Csr]) -> Mapping[str, NodeCsr]:
    """Of each node's kubelet the newest request for a serving certificate: it asks anew where one leads nowhere."""
    newest: dict[str, Csr] = {}
    for csr in csrs:
        user = csr.spec.username
        if csr.spec.signer_name != _SIGNER or not user.startswith(_NODE_USER):
            continue
        node = user.removeprefix(_NODE_USER)
        known = newest.get(node)
        if known is None or _made(known) <= _made(csr):
            newest[node] = csr
    return {node: NodeCsr(csr.metadata.name, _state(csr)) for node, csr in newest.items()}


def _state(csr: Csr) -> CsrState:
    types = {condition.type for condition in csr.status.conditions}
    for kind, state in (
        ("Denied", CsrState.DENIED),
        ("Failed", CsrState.FAILED),
        ("Approved", CsrState.APPROVED),
    ):
        if kind in types:
            return state
    return CsrState.PENDING


def _made(csr: Csr) -> str:
    return csr.metadata.creation_timestamp or ""


def _names(certificate: SeenCertificate) -> str:
    names = certificate.names
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{', '.join(names[:_NAMES_SHOWN]) or 'nothing'}{more}"


def _day(time_s: int) -> str:
    return format_rfc3339(time_s * _SECOND_NS)[:10]

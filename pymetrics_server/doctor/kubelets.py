"""Kubelets asked as the server asks them, as far as that can be done from here: its addresses, its trust, its client.

In the server's pod its own credentials are shown, to whom it shows them. Elsewhere the kubeconfig's user is shown to
kubelets that have proven who they are, and to no others.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.objects import ConfigMap
from pymetrics_server.doctor.subject import account_of_token
from pymetrics_server.errors import ConfigError
from pymetrics_server.kubelet.client import KubeletClient
from pymetrics_server.kubelet.connection import KubeletConnection
from pymetrics_server.kubelet.tls import KubeletTLS, client_context
from pymetrics_server.kubelet.transport import TLS, KubeletTransport, TransportSettings
from pymetrics_server.meta.verification import Verification
from pymetrics_server.options import Options
from pymetrics_server.version import GIT_VERSION

_LONGEST_ANSWER_S = 6.0  # the server may wait longer; a thousand nodes that hang must not hold up the rest
_CONNECT_SHARE = 0.9  # what the transport leaves of a deadline to connecting


class _Nobody:
    """Shows nothing."""

    async def bearer_token(self) -> str | None:
        return None

    async def renew(self, refused: str | None) -> bool:
        return False


class _Transport(KubeletTransport):
    """Gives up a node that does not take connections sooner than the server does; tells where one was reached."""

    def __init__(
        self, settings: TransportSettings, tls: TLS, credentials: Credentials | _Nobody, connect_s: float
    ) -> None:
        super().__init__(settings, tls, credentials)
        self.reached: dict[str, str] = {}  # by node
        self._connect_s = connect_s

    async def _dial(self, target: Any, tls: Any, deadline_s: float) -> KubeletConnection:
        soon_s = asyncio.get_running_loop().time() + self._connect_s / _CONNECT_SHARE
        connection = await super()._dial(target, tls, min(deadline_s, soon_s))
        self.reached[target.node.name] = connection.address[0]
        return connection


class Kubelets(msgspec.Struct, frozen=True):
    client: KubeletClient
    transport: _Transport
    shown: str  # "ours", "user" or "none": see NodeProbe
    has_token: bool  # else a client certificate at most, which kubelets need not know the CA of
    caveat: str


async def kubelets(
    evidence: Evidence, options: Options, credentials: Credentials, clock: Clock, connect_s: float
) -> Kubelets:
    tls, caveat = _trust(evidence, options, credentials)
    token = await credentials.bearer_token() or ""
    is_ours = evidence.in_pod and account_of_token(token) == evidence.subject.account
    shown = "ours" if is_ours else "user"
    if not tls.verify.proves_the_node and (tls.verify is Verification.HTTP or shown != "ours"):
        shown = "none"
    if shown == "none":
        tls = KubeletTLS(verify=tls.verify, ca_file=tls.ca_file, ca_pem=tls.ca_pem)
    try:
        context = client_context(tls)
    except ConfigError as err:
        caveat = f"{err}; this machine's CAs were used"
        shown = "none"
        context = client_context(KubeletTLS())
    settings = TransportSettings(
        preferred_address_types=options.kubelet_preferred_address_types,
        port=options.kubelet_port,
        use_node_status_port=options.kubelet_use_node_status_port,
        request_timeout_ns=min(options.kubelet_request_timeout_ns, int(_LONGEST_ANSWER_S * 1e9)),
        completely_insecure=options.deprecated_kubelet_completely_insecure,
        verifies_node_name=options.kubelet_verification is Verification.NODE_NAME,
        user_agent=f"pymetrics-server-doctor/{GIT_VERSION}",
    )
    shows = credentials if shown != "none" else _Nobody()
    transport = _Transport(settings, lambda: context, shows, connect_s)
    client = KubeletClient(transport, options.kubelet_endpoint, clock)
    return Kubelets(client, transport, shown, bool(token) and shown != "none", caveat)


def _trust(evidence: Evidence, options: Options, credentials: Credentials) -> tuple[KubeletTLS, str]:
    """And in what it differs from the server's."""
    authority = options.kubelet_certificate_authority
    certificate, key = options.kubelet_client_certificate, options.kubelet_client_key
    unread = [path for path in (authority, certificate, key) if path and not _is_here(path, evidence)]
    root_ca = "" if evidence.in_pod else _root_ca(evidence)
    ca_file = authority if authority and authority not in unread else ""
    if not root_ca:
        ca_file = ca_file or credentials.ca_file or ""
    caveat = ""
    if unread:
        caveat = f"the server has {', '.join(unread)} for kubelets, which cannot be read here"
    elif not (root_ca or ca_file):
        caveat = "the cluster's CA is not known here: kubelets were proven with this machine's CAs"
    has_pair = bool(certificate) and not unread
    tls = KubeletTLS(
        verify=options.kubelet_verification,
        ca_file=ca_file,
        ca_pem=root_ca.encode(),
        client_cert_file=certificate if has_pair else credentials.client_cert_file or "",
        client_key_file=key if has_pair else credentials.client_key_file or "",
    )
    return tls, caveat


def _root_ca(evidence: Evidence) -> str:
    """What pods are given to prove kube-apiserver with, and the server kubelets; a kubeconfig may hold a proxy's."""
    found = evidence.answer(Asked.ROOT_CA).read(ConfigMap)
    return "" if found is None else found.data.get("ca.crt", "")


def _is_here(path: str, evidence: Evidence) -> bool:
    """A path of the server's pod means nothing elsewhere."""
    return evidence.in_pod and Path(path).is_file()

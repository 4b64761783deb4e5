"""A client certificate's own word: the common name is the user, each organization a group.

metrics-server: `k8s.io/apiserver/pkg/authentication/request/x509`. Plain functions, no I/O.
"""

import hashlib

from pymetrics_server.auth.requestheader import Prove
from pymetrics_server.auth.trust import Trust
from pymetrics_server.errors import UnauthorizedError, UntrustedError
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.x509 import Proven

_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


def authenticate(chain_der: tuple[bytes, ...], trust: Trust, prove: Prove) -> tuple[UserInfo, Proven] | None:
    """None is no opinion: no certificate, no CA to prove it by, or a certificate that names nobody."""
    if not chain_der or not trust.client_ca_pem:
        return None
    try:
        proof = prove(chain_der, trust.client_ca_pem)
    except UntrustedError as err:
        raise UnauthorizedError(str(err)) from err
    subject = proof.subject
    if not subject.common_name:
        return None
    if len(subject.uids) > 1 or "" in subject.uids:
        raise UnauthorizedError("unable to parse UID from certificate: expected one that is not empty")
    fingerprint = hashlib.sha256(chain_der[0]).hexdigest()
    user = UserInfo(
        name=subject.common_name,
        groups=subject.organizations,
        uid="".join(subject.uids),
        extra={_CREDENTIAL_ID: (f"X509SHA256={fingerprint}",)},
    )
    return user, proof

"""The kubectl commands that grant a user what it lacks.

What they create is called as nothing in the manifests is, so that they work whether or not those were applied.
No command grants more than is asked for: neither cluster-admin nor nodes/proxy is ever the cure.
"""

import re
import shlex
from collections.abc import Sequence

from pymetrics_server.errors import FailureClass

NOBODY = "system:anonymous"

_ACCOUNT = re.compile(r"system:serviceaccount:([a-z0-9.-]+:[a-z0-9.-]+)")
_NO_NAME = re.compile(r"[/%]")  # what RBAC's objects may not have in their names
#: Older kubelets name one subresource, newer ones a list. The user is whatever the kubelet says: no quote of ours, and
#: nothing that is not printed.
_REFUSED_BY_KUBELET = re.compile(
    r"Forbidden \(user=([^`\x00-\x1f\x7f]{1,253}), verb=get, resource=nodes, subresource(?:\(s\))?=\[?[a-z ]*\b(?:stats|metrics)\b"
)


def granted_name(what: str, user: str) -> str:
    """Of the role and the binding that let `user` do `what`."""
    return f"system:metrics-server:granted-{what}:{_NO_NAME.sub(':', _account(user) or user)}"


def create_role(name: str, verbs: Sequence[str], resources: Sequence[str]) -> str:
    of = f"--verb={','.join(verbs)} --resource={','.join(resources)}"
    return f"kubectl create clusterrole {shlex.quote(name)} {of}"


def create_binding(name: str, role: str, user: str, namespace: str = "") -> str:
    """With a namespace a RoleBinding there, to a Role."""
    account = _account(user)
    subject = shlex.quote(f"--serviceaccount={account}" if account else f"--user={user}")
    if namespace:
        return f"kubectl -n {namespace} create rolebinding {shlex.quote(name)} --role={shlex.quote(role)} {subject}"
    return (
        f"kubectl create clusterrolebinding {shlex.quote(name)} --clusterrole={shlex.quote(role)} {subject}"
    )


def kubelet_cure(said: str) -> str:
    """What to do about a kubelet's 403 with that body; "" where it does not tell whom it took us for."""
    found = _REFUSED_BY_KUBELET.search(said)
    if found is None or not (user := found.group(1)).isprintable():
        return ""
    if user == NOBODY:
        return FailureClass.UNAUTHENTICATED.cure
    name = granted_name("kubelets", user)
    role = create_role(name, ["get"], ["nodes/stats", "nodes/metrics"])
    return f"grant it with `{role}` and `{create_binding(name, name, user)}`"


def _account(user: str) -> str:
    """NAMESPACE:NAME; "" of whoever is no ServiceAccount."""
    found = _ACCOUNT.fullmatch(user)
    return found.group(1) if found else ""

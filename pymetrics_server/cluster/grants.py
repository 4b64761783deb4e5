"""What kube-apiserver must let us do, and the words and kubectl commands for when it does not.

No command grants more than is asked for: neither cluster-admin nor nodes/proxy is ever the cure.
"""

import re
import shlex

import msgspec

from pymetrics_server.errors import ApiserverError
from pymetrics_server.log import Logger

log = Logger(__name__)

_WHO = re.compile(r'User "([^"]+)"')
_NOBODY = "system:anonymous"
_ACCOUNTS = "system:serviceaccount:"
_ACCOUNT = "kube-system:metrics-server"
_NO_NAME = re.compile(r"[/%]")  # what RBAC's objects may not have in their names
_UNKNOWN_CREDENTIALS = (
    "kube-apiserver does not accept our credentials: the token or client certificate is out of date, revoked, or "
    "another cluster's; look at the user of the kubeconfig, or restart the pod to get another ServiceAccount token"
)


class Role(msgspec.Struct, frozen=True):
    """Where RBAC has it. With a `namespace` it is a Role there, else a ClusterRole; without `verbs` and `resources`
    every cluster has it already."""

    name: str
    binding: str
    namespace: str = ""
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


READER = Role(
    "system:metrics-server", "system:metrics-server", verbs=("list", "watch"), resources=("nodes", "pods")
)
DELEGATOR = Role("system:auth-delegator", "metrics-server:system:auth-delegator")
AUTHENTICATION_READER = Role(
    "extension-apiserver-authentication-reader", "metrics-server-auth-reader", "kube-system"
)


class Need(msgspec.Struct, frozen=True):
    """Something that we ask kube-apiserver for, but for the verb; `role` grants it, where `name` is given of that
    one object only."""

    resource: str
    role: Role
    name: str = ""


def who(err: ApiserverError) -> str:
    """Whom kube-apiserver takes us for, as it says itself in a refusal; "" where it does not."""
    found = _WHO.search(str(err))
    return found.group(1) if found else ""


def hint(err: ApiserverError, verb: str, need: Need) -> str:
    """What to do about a 401 or a 403."""
    if err.status == 401:
        return _UNKNOWN_CREDENTIALS
    us = who(err) or _ACCOUNTS + _ACCOUNT
    if us == _NOBODY:
        return "no credentials were shown to kube-apiserver: the kubeconfig's user has neither token nor certificate"
    where = f" -n {need.role.namespace}" if need.role.namespace else ""
    kind = "Role" if need.role.namespace else "ClusterRole"
    what = f"{need.resource}/{need.name}" if need.name else need.resource
    told = f"`kubectl auth can-i {verb} {what}{where} --as={shlex.quote(us)}` tells whether it is granted"
    role = create_role(need.role)
    if role and f'"{need.role.name}" not found' in str(err):
        return f"the {kind} {need.role.name} that is bound does not exist; grant it: `{role}`; {told}"
    lacking = f"; where that {kind} does not exist, first `{role}`" if role else ""
    return f"grant it: `{create_binding(need.role, us)}`{lacking}; {told}"


def create_role(role: Role) -> str:
    """ "" where it is built in."""
    if not role.verbs:
        return ""
    verbs, resources = ",".join(role.verbs), ",".join(role.resources)
    return f"kubectl create clusterrole {role.name} --verb={verbs} --resource={resources}"


def create_binding(role: Role, us: str) -> str:
    if role.namespace:
        start = f"kubectl -n {role.namespace} create rolebinding"
        kind = "role"
    else:
        start = "kubectl create clusterrolebinding"
        kind = "clusterrole"
    account = us.removeprefix(_ACCOUNTS)
    subject = f"--user={us}" if account == us else f"--serviceaccount={account}"
    # Where the manifests were applied their name is taken, by a binding to their own account.
    name = role.binding if account == _ACCOUNT else f"{role.binding}:{_NO_NAME.sub(':', account)}"
    return f"{start} {shlex.quote(name)} --{kind}={role.name} {shlex.quote(subject)}"


class Standing:
    """Whether kube-apiserver lets us do one thing: tells when that changes."""

    def __init__(self, verb: str, need: Need, server: str) -> None:
        self._verb = verb
        self._need = need
        self._server = server
        self._refused = ""

    def refused(self, err: ApiserverError) -> None:
        """To be told of every 401 and 403."""
        said = str(err)
        if said != self._refused:
            log.error(
                "kube-apiserver refuses what is needed to tell who asks and what they may",
                said,
                verb=self._verb,
                resource=self._need.resource,
                user=who(err),
                server=self._server,
                hint=hint(err, self._verb, self._need),
            )
        self._refused = said

    def granted(self) -> None:
        """To be told of every answer that was none."""
        if self._refused:
            log.info("Granted again", verb=self._verb, resource=self._need.resource, server=self._server)
        self._refused = ""

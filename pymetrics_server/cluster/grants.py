"""What kube-apiserver must let us do, and the words and kubectl commands for when it does not."""

import re
import shlex

import msgspec

from pymetrics_server.errors import ApiserverError
from pymetrics_server.log import Logger
from pymetrics_server.meta.grants import NOBODY, create_binding, create_role, granted_name

log = Logger(__name__)

_WHO = re.compile(r'User "([^"]+)"')
_US = (
    "system:serviceaccount:kube-system:metrics-server"  # by the manifests, where kube-apiserver does not say
)
_UNKNOWN_CREDENTIALS = (
    "kube-apiserver does not accept our credentials: the token or client certificate is out of date, revoked, or "
    "another cluster's; look at the user of the kubeconfig, or restart the pod to get another ServiceAccount token"
)


class Role(msgspec.Struct, frozen=True):
    """As the manifests call it. With a `namespace` it is a Role there, else a ClusterRole; without `verbs` and
    `resources` every cluster has it already. `what` is for the names of what is created instead."""

    name: str
    what: str
    namespace: str = ""
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


READER = Role("system:metrics-server", "reader", verbs=("list", "watch"), resources=("nodes", "pods"))
KUBELETS = Role(
    "system:metrics-server", "kubelets", verbs=("get",), resources=("nodes/stats", "nodes/metrics")
)
DELEGATOR = Role("system:auth-delegator", "delegator")
AUTHENTICATION_READER = Role("extension-apiserver-authentication-reader", "auth-reader", "kube-system")


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
    us = who(err) or _US
    if us == NOBODY:
        return "no credentials were shown to kube-apiserver: the kubeconfig's user has neither token nor certificate"
    role = need.role
    where = f" -n {role.namespace}" if role.namespace else ""
    what = f"{need.resource}/{need.name}" if need.name else need.resource
    told = f"`kubectl auth can-i {verb} {what}{where} --as={shlex.quote(us)}` tells whether it is granted"
    if role.verbs and f'"{role.name}" not found' in str(err):
        missing = create_role(role.name, role.verbs, role.resources)
        return f"the ClusterRole {role.name} that is bound does not exist; grant it: `{missing}`; {told}"
    return f"grant it: {' and '.join(f'`{command}`' for command in commands(role, us))}; {told}"


def commands(role: Role, us: str) -> list[str]:
    """That let `us` do what the role allows. One that is not built in is made anew: what bears its name already may
    lack rules."""
    name = granted_name(role.what, us)
    if not role.verbs:
        return [create_binding(name, role.name, us, role.namespace)]
    return [create_role(name, role.verbs, role.resources), create_binding(name, name, us)]


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

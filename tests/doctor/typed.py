"""A cure as somebody types it: kubectl's commands, done to the stand-in's objects and rules as kubectl would."""

import argparse
import json
import shlex
from collections.abc import Sequence
from typing import Any

from pymetrics_server.standin.resources import APISERVICES, DEPLOYMENTS, SERVICES
from pymetrics_server.standin.reviews import Rule
from tests.doctor.installation import Installation
from tests.doctor.roles import Object, rules_of

_GROUPS = {"tokenreviews": "authentication.k8s.io", "subjectaccessreviews": "authorization.k8s.io"}


def kubectl(installation: Installation, cure: str) -> None:
    """Each command of it, joined with &&. Raises SystemExit or KeyError for one that is none."""
    roles: dict[str, list[Object]] = {}
    for command in cure.split(" && "):
        match shlex.split(command):
            case ["kubectl", "apply", "-f", "components.yaml"]:
                installation.apply()
            case ["kubectl", "delete", "apiservice", name]:
                installation.delete(APISERVICES, name)
            case ["kubectl", "-n", namespace, "patch", "deployment", name, "--type=json", "-p", patch]:
                deployment = installation.get(DEPLOYMENTS, name, namespace)
                for change in json.loads(patch):
                    _patch(deployment, **change)
                installation.put(DEPLOYMENTS, deployment)
            case ["kubectl", "-n", namespace, "patch", "service", name, "--type=merge", "-p", patch]:
                service = installation.get(SERVICES, name, namespace)
                wanted = json.loads(patch)["spec"]["selector"]
                service["spec"]["selector"] = {
                    label: value for label, value in wanted.items() if value is not None
                }
                installation.put(SERVICES, service)
                installation.select_endpoints()
            case ["kubectl", *words]:
                installation.cluster.policy.rules += _created(words, roles)
            case _:
                raise KeyError(f"it is no command: {cure}")


def _created(words: Sequence[str], roles: dict[str, list[Object]]) -> list[Rule]:
    """What a binding grants; a role by itself grants nobody anything, and is put among `roles`."""
    typed = _parser().parse_args(words)
    if typed.kind == "clusterrole":
        roles[typed.name] = [
            {"apiGroups": [_GROUPS.get(what, "")], "resources": [what], "verbs": typed.verb.split(",")}
            for what in typed.resource.split(",")
        ]
        return []
    namespace, account = typed.serviceaccount.split(":")
    role = (
        {"kind": "Role", "name": typed.role}
        if typed.role
        else {"kind": "ClusterRole", "name": typed.clusterrole}
    )
    binding: Object = {
        "kind": "RoleBinding" if typed.kind == "rolebinding" else "ClusterRoleBinding",
        "metadata": {"name": typed.name, "namespace": typed.namespace},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
    }
    made = [
        {"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules} for name, rules in roles.items()
    ]
    return rules_of([*made, binding])


def _patch(found: Any, op: str, path: str, value: Any) -> None:
    """RFC 6902, as far as `add` and `replace`."""
    *way, last = path.strip("/").split("/")
    for step in way:
        found = found[int(step)] if isinstance(found, list) else found[step]
    if not isinstance(found, list):
        found[last] = value
    elif last == "-":
        found.append(value)
    elif op == "replace":
        found[int(last)] = value
    else:
        found.insert(int(last), value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("kubectl")
    parser.add_argument("-n", dest="namespace", default="")
    parser.add_argument("create", choices=["create"])
    parser.add_argument("kind", choices=["clusterrole", "clusterrolebinding", "rolebinding"])
    parser.add_argument("name")
    for name in ("verb", "resource", "role", "clusterrole", "serviceaccount"):
        parser.add_argument(f"--{name}", default="")
    return parser

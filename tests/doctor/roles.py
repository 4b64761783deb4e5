"""RBAC's objects as the stand-in's rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymetrics_server.standin.reviews import Rule

Object = dict[str, Any]

#: Kubernetes has them in every cluster.
_BUILT_IN: Mapping[tuple[str, str], Sequence[Object]] = {
    ("ClusterRole", "system:auth-delegator"): [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ],
    ("Role", "extension-apiserver-authentication-reader"): [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["extension-apiserver-authentication"],
            "verbs": ["get", "list", "watch"],
        },
    ],
}


def rules_of(manifests: Sequence[Object]) -> list[Rule]:
    """What the roles grant to whom they are bound to; a role of every cluster is not among the manifests."""
    granting: dict[tuple[str, str], Sequence[Object]] = dict(_BUILT_IN)
    for found in manifests:
        if found["kind"] in ("ClusterRole", "Role"):
            granting[found["kind"], found["metadata"]["name"]] = found["rules"]
    return [
        Rule(
            f"system:serviceaccount:{subject['namespace']}:{subject['name']}",
            tuple(rule["verbs"]),
            group,
            tuple(rule["resources"]),
            namespace=found["metadata"].get("namespace", ""),
            names=tuple(rule.get("resourceNames", ())),
        )
        for found in manifests
        if found["kind"] in ("ClusterRoleBinding", "RoleBinding")
        for rule in granting[found["roleRef"]["kind"], found["roleRef"]["name"]]
        for group in rule["apiGroups"]
        for subject in found["subjects"]
    ]

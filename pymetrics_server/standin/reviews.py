"""Who may do what in the stand-in cluster: RBAC as data, and the reviews that ask about it.

Kubernetes: https://kubernetes.io/docs/reference/access-authn-authz/webhook/ and .../rbac/
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pymetrics_server.meta.identity import (
    AUTHENTICATED_GROUP,
    MASTERS_GROUP,
    Attributes,
    Decision,
    UserInfo,
)
from pymetrics_server.meta.selectors import SelectorError, parse_field_selector

SERVER_ACCOUNT = "system:serviceaccount:kube-system:metrics-server"

_READ = ("get", "list", "watch")
_ANY_PATH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY_PATHS = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_ANY_PATH)


class Rule(msgspec.Struct, frozen=True):
    """A role's rule and whom it is bound to: a user's name, a group, or "" for everyone.

    `paths` makes it a nonResourceURLs rule; `resources` may be `nodes/stats`; empty `namespace` and `names`
    are any.
    """

    subject: str
    verbs: tuple[str, ...]
    group: str = ""
    resources: tuple[str, ...] = ()
    namespace: str = ""
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def allows(self, user: UserInfo, asked: Attributes) -> bool:
        if self.subject and self.subject != user.name and self.subject not in user.groups:
            return False
        if asked.verb not in self.verbs:
            return False
        if not asked.is_resource_request:
            return any(_path_matches(path, asked.path) for path in self.paths)
        resource = asked.resource + (f"/{asked.subresource}" if asked.subresource else "")
        return (
            self.group == asked.group
            and resource in self.resources
            and self.namespace in ("", asked.namespace)
            and (not self.names or asked.name in self.names)
        )


#: A group for whom the ClusterRole system:aggregated-metrics-reader is bound.
METRICS_READERS = "metrics-readers"

#: What metrics-server's manifests grant to its ServiceAccount, and what every cluster grants to everyone.
DEFAULT_RULES = (
    Rule("", ("get",), paths=_ANY_PATH),
    Rule(AUTHENTICATED_GROUP, ("get",), paths=_DISCOVERY_PATHS),
    Rule(AUTHENTICATED_GROUP, ("create",), "authorization.k8s.io", ("selfsubjectaccessreviews",)),
    Rule(METRICS_READERS, _READ, "metrics.k8s.io", ("nodes", "pods")),
    Rule(SERVER_ACCOUNT, ("get",), "", ("nodes/metrics", "nodes/stats")),
    Rule(SERVER_ACCOUNT, _READ, "", ("nodes", "pods")),
    Rule(SERVER_ACCOUNT, ("create",), "authentication.k8s.io", ("tokenreviews",)),
    Rule(SERVER_ACCOUNT, ("create",), "authorization.k8s.io", ("subjectaccessreviews",)),
    Rule(
        SERVER_ACCOUNT,
        _READ,
        "",
        ("configmaps",),
        namespace="kube-system",
        names=("extension-apiserver-authentication",),
    ),
)


class Policy:
    """`rules` may be changed while the cluster runs; the next question sees it."""

    def __init__(self, rules: Sequence[Rule] = DEFAULT_RULES) -> None:
        self.rules = list(rules)

    def decide(self, user: UserInfo, asked: Attributes) -> Decision:
        return Decision(MASTERS_GROUP in user.groups or any(rule.allows(user, asked) for rule in self.rules))


def certified_user(peercert: Mapping[str, Any] | None) -> UserInfo | None:
    """Whom a client certificate names, as ssl tells of it."""
    if not peercert:
        return None
    subject = [pair for names in peercert["subject"] for pair in names]
    organizations = [value for key, value in subject if key == "organizationName"]
    name = next((value for key, value in subject if key == "commonName"), "")
    return UserInfo(name, (*organizations, AUTHENTICATED_GROUP))


def attributes_of(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """What kube-apiserver's RequestInfo makes of a request."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return Attributes(method.lower(), path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        rest = rest[2:] or rest
    resource, name, subresource = (*rest, "", "")[:3]
    if not name:
        name = _named_by_field(query.get("fieldSelector", ""))
    collection = len(rest) == 1
    return Attributes(
        _verb(method, collection=collection, watch=query.get("watch", "") in ("1", "true")),
        path,
        group,
        version,
        resource,
        subresource,
        namespace,
        name,
    )


def subject_access_review(policy: Policy, review: Mapping[str, Any]) -> dict[str, Any]:
    spec = review["spec"]
    groups = tuple(spec.get("groups") or ())
    user = UserInfo(spec.get("user", ""), groups, spec.get("uid", ""))
    return _reviewed(policy, review, user)


def self_subject_access_review(policy: Policy, review: Mapping[str, Any], user: UserInfo) -> dict[str, Any]:
    return _reviewed(policy, review, user)


def token_review(users: Mapping[str, UserInfo], review: Mapping[str, Any]) -> dict[str, Any]:
    user = users.get(review["spec"].get("token", ""))
    status: dict[str, Any] = {"authenticated": user is not None}
    if user is None:
        status["error"] = "invalid bearer token"
    else:
        status["user"] = {
            "username": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
        }
        if audiences := review["spec"].get("audiences"):
            status["audiences"] = audiences
    return {**review, "status": status}


def _reviewed(policy: Policy, review: Mapping[str, Any], user: UserInfo) -> dict[str, Any]:
    spec = review["spec"]
    if resource := spec.get("resourceAttributes"):
        asked = Attributes(
            resource.get("verb", ""),
            "",
            resource.get("group", ""),
            resource.get("version", ""),
            resource.get("resource", ""),
            resource.get("subresource", ""),
            resource.get("namespace", ""),
            resource.get("name", ""),
        )
    else:
        path = spec.get("nonResourceAttributes") or {}
        asked = Attributes(path.get("verb", ""), path.get("path", ""))
    decision = policy.decide(user, asked)
    return {**review, "status": {"allowed": decision.allowed}}


def _path_matches(rule: str, path: str) -> bool:
    return path.startswith(rule[:-1]) if rule.endswith("*") else path == rule


def _named_by_field(selector: str) -> str:
    try:
        return parse_field_selector(selector).exact("metadata.name") or ""
    except SelectorError:
        return ""


def _verb(method: str, *, collection: bool, watch: bool) -> str:
    match method:
        case "GET" | "HEAD":
            return ("watch" if watch else "list") if collection else "get"
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "DELETE":
            return "deletecollection" if collection else "delete"
        case _:
            return method.lower()

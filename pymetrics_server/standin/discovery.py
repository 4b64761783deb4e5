"""Which groups, versions and resources the stand-in kube-apiserver has: the classic documents and the aggregated ones.

Kubernetes: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymetrics_server.standin.resources import GIT_VERSION, TYPES, ResourceType
from pymetrics_server.version import KUBERNETES_MAJOR, KUBERNETES_MINOR

Document = Mapping[str, Any]


def version_document() -> Document:
    return {
        "major": KUBERNETES_MAJOR,
        "minor": KUBERNETES_MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def core_versions(address: str) -> Document:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(aggregated: Mapping[str, Sequence[str]]) -> Document:
    """`aggregated`: versions by group of what is served elsewhere."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            *(_group(g, [version]) for g, version in _own_groups().items()),
            *(_group(g, versions) for g, versions in aggregated.items() if versions),
        ],
    }


def group_document(group: str, aggregated: Mapping[str, Sequence[str]]) -> Document | None:
    own = _own_groups().get(group)
    versions = [own] if own else aggregated.get(group)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)} if versions else None


def resource_list(group: str, version: str) -> Document | None:
    found = [t for t in TYPES if (t.group, t.version) == (group, version)]
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": [_classic_resource(t) for t in found],
    }


def aggregated_core(version: str) -> Document:
    return _aggregated(version, [_own_discovery("")])


def aggregated_groups(version: str, elsewhere: Iterable[Document]) -> Document:
    return _aggregated(version, [*(_own_discovery(g) for g in _own_groups()), *elsewhere])


def discovery_from_resource_list(version: str, document: Document) -> Document:
    """One version's aggregated discovery from its classic APIResourceList."""
    group = document.get("groupVersion", "").rpartition("/")[0]
    return {
        "version": version,
        "resources": [
            {
                "resource": r["name"],
                "responseKind": {"group": group, "version": version, "kind": r["kind"]},
                "scope": "Namespaced" if r["namespaced"] else "Cluster",
                "singularResource": r.get("singularName", ""),
                "verbs": r["verbs"],
                **({"shortNames": r["shortNames"]} if r.get("shortNames") else {}),
            }
            for r in document["resources"]
            if "/" not in r["name"]
        ],
        "freshness": "Current",
    }


def _own_groups() -> dict[str, str]:
    """With the one version of each; the core is none."""
    return {t.group: t.version for t in TYPES if t.group}


def _group(name: str, versions: Sequence[str]) -> dict[str, Any]:
    written = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": written, "preferredVersion": written[0]}


def _aggregated(version: str, items: Sequence[Document]) -> Document:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _own_discovery(group: str) -> Document:
    resources = []
    found = [t for t in TYPES if t.group == group]
    for t in found:
        entry: dict[str, Any] = {
            "resource": t.plural,
            "responseKind": {"group": t.group, "version": t.version, "kind": t.kind},
            "scope": "Namespaced" if t.namespaced else "Cluster",
            "singularResource": t.singular,
            "verbs": t.verbs,
        }
        resources.append(entry | _optional(t))
    return {
        "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
        "versions": [{"version": found[0].version, "resources": resources, "freshness": "Current"}],
    }


def _classic_resource(t: ResourceType) -> dict[str, Any]:
    return {
        "name": t.plural,
        "singularName": t.singular,
        "namespaced": t.namespaced,
        "kind": t.kind,
        "verbs": t.verbs,
    } | _optional(t)


def _optional(t: ResourceType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if t.short_names:
        found["shortNames"] = t.short_names
    if t.categories:
        found["categories"] = t.categories
    return found

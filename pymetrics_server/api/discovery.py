"""What the server has: groups, versions, resources, paths and its own version.

Kubernetes: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha512
from typing import Any

from pymetrics_server.api.health import Check
from pymetrics_server.api.request import VERSIONS
from pymetrics_server.meta.status import METRICS_GROUP, go_json
from pymetrics_server.version import GIT_VERSION, KUBERNETES_MAJOR, KUBERNETES_MINOR

#: Clients that know both versions take the GA one; both stay listed for those that know one.
PREFERRED = VERSIONS[0]

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def group_list(secure_port: int) -> dict[str, Any]:
    reachable = [{"clientCIDR": "0.0.0.0/0", "serverAddress": f":{secure_port}"}]
    return {
        "kind": "APIGroupList",
        "groups": [{"name": METRICS_GROUP, **_versions(), "serverAddressByClientCIDRs": reachable}],
    }


def group() -> dict[str, Any]:
    return {"kind": "APIGroup", "apiVersion": "v1", "name": METRICS_GROUP, **_versions()}


def resource_list(version: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{METRICS_GROUP}/{version}",
        "resources": [_resource("nodes", False, "NodeMetrics"), _resource("pods", True, "PodMetrics")],
    }


@cache
def aggregated(version: str) -> tuple[dict[str, Any], str]:
    """Everything in one document of apidiscovery.k8s.io/`version`, and its ETag: the same from each replica."""
    found = [
        {
            "version": each,
            "resources": [
                _discovered("nodes", "Cluster", "NodeMetrics"),
                _discovered("pods", "Namespaced", "PodMetrics"),
            ],
            "freshness": "Current",
        }
        for each in VERSIONS
    ]
    document = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [{"metadata": {"name": METRICS_GROUP}, "versions": found}],
    }
    return document, f'"{sha512(go_json(document)).hexdigest().upper()}"'


def path_index(checks: Mapping[str, Sequence[Check]]) -> dict[str, Any]:
    paths = [
        "/apis",
        f"/apis/{METRICS_GROUP}",
        "/flagz",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/statusz",
        "/version",
    ]
    paths += [f"/apis/{METRICS_GROUP}/{version}" for version in VERSIONS]
    for endpoint, named in checks.items():
        paths += [f"/{endpoint}", *(f"/{endpoint}/{check.name}" for check in named)]
    return {"paths": sorted(paths)}


def version_info() -> dict[str, str]:
    """apimachinery's version.Info; where Go's names speak of Go, Python answers."""
    machine = platform.machine().lower()
    return {
        "major": KUBERNETES_MAJOR,
        "minor": KUBERNETES_MINOR,
        "emulationMajor": KUBERNETES_MAJOR,
        "emulationMinor": KUBERNETES_MINOR,
        "minCompatibilityMajor": KUBERNETES_MAJOR,
        "minCompatibilityMinor": str(int(KUBERNETES_MINOR) - 1),
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{_GO_ARCHITECTURES.get(machine, machine)}",
    }


def _versions() -> dict[str, Any]:
    return {
        "versions": [_group_version(version) for version in VERSIONS],
        "preferredVersion": _group_version(PREFERRED),
    }


def _group_version(version: str) -> dict[str, str]:
    return {"groupVersion": f"{METRICS_GROUP}/{version}", "version": version}


def _resource(name: str, namespaced: bool, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "singularName": "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": ["get", "list"],
    }


def _discovered(name: str, scope: str, kind: str) -> dict[str, Any]:
    """The group and version of a responseKind are left for kube-apiserver to fill in, as the original does."""
    return {
        "resource": name,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": scope,
        "singularResource": "",
        "verbs": ["get", "list"],
    }

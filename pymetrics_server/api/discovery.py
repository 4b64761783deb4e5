"""What the server has: groups, versions, resources, paths and its own version."""

import platform
from collections.abc import Mapping, Sequence

from pymetrics_server.api.health import Check
from pymetrics_server.api.request import VERSIONS
from pymetrics_server.meta.status import METRICS_GROUP
from pymetrics_server.version import GIT_VERSION, KUBERNETES_MAJOR, KUBERNETES_MINOR

#: Clients that know both versions take the GA one; both stay listed for those that know one.
PREFERRED = VERSIONS[0]

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def group_list(secure_port: int) -> dict[str, object]:
    reachable = [{"clientCIDR": "0.0.0.0/0", "serverAddress": f":{secure_port}"}]
    return {
        "kind": "APIGroupList",
        "groups": [{"name": METRICS_GROUP, **_versions(), "serverAddressByClientCIDRs": reachable}],
    }


def group() -> dict[str, object]:
    return {"kind": "APIGroup", "apiVersion": "v1", "name": METRICS_GROUP, **_versions()}


def resource_list(version: str) -> dict[str, object]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{METRICS_GROUP}/{version}",
        "resources": [_resource("nodes", False, "NodeMetrics"), _resource("pods", True, "PodMetrics")],
    }


def path_index(checks: Mapping[str, Sequence[Check]]) -> dict[str, object]:
    paths = ["/apis", f"/apis/{METRICS_GROUP}", "/metrics", "/version"]
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


def _versions() -> dict[str, object]:
    return {
        "versions": [_group_version(version) for version in VERSIONS],
        "preferredVersion": _group_version(PREFERRED),
    }


def _group_version(version: str) -> dict[str, str]:
    return {"groupVersion": f"{METRICS_GROUP}/{version}", "version": version}


def _resource(name: str, namespaced: bool, kind: str) -> dict[str, object]:
    return {
        "name": name,
        "singularName": "",
        "namespaced": namespaced,
        "kind": kind,
        "verbs": ["get", "list"],
    }

"""The forms an object is served in: whole, as PartialObjectMetadata, or as a row of kubectl's tables.

Kubernetes: https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pymetrics_server.meta.status import StatusError, not_acceptable
from pymetrics_server.meta.timestamp import parse_rfc3339
from pymetrics_server.standin.resources import ResourceType
from pymetrics_server.standin.revisions import Stored

_META_GROUP = "meta.k8s.io"
_JSON_TYPES = ("application/json", "application/*", "*/*")
_DISCOVERY_GROUP = "apidiscovery.k8s.io"

_Object = Mapping[str, Any]
_Column = tuple[str, str, int]  # name, type, priority


class Form(msgspec.Struct, frozen=True):
    kind: str = ""  # "" (whole), "Table" or "PartialObjectMetadata"
    version: str = "v1"  # of meta.k8s.io


def media_ranges(accept: str) -> list[tuple[str, dict[str, str]]]:
    """(type, parameters) in the order given; an empty Accept is `*/*`."""
    found = []
    for part in (accept or "*/*").split(","):
        media, *params = (piece.strip() for piece in part.split(";"))
        found.append((media, dict(p.split("=", 1) for p in params if "=" in p)))
    return found


def wanted_form(accept: str) -> Form:
    """The first that can be had; raises StatusError 406. Only JSON can."""
    for media, params in media_ranges(accept):
        if media not in _JSON_TYPES:
            continue
        kind = params.get("as", "").removesuffix("List")
        if not kind:
            return Form()
        version = params.get("v", "")
        if (
            kind in ("Table", "PartialObjectMetadata")
            and params.get("g") == _META_GROUP
            and version in ("v1", "v1beta1")
        ):
            return Form(kind, version)
    raise not_acceptable(("application/json",))


def wanted_discovery_version(accept: str) -> str:
    """v2 or v2beta1 of aggregated discovery, "" for the classic documents."""
    for media, params in media_ranges(accept):
        if media not in _JSON_TYPES:
            continue
        if "as" not in params:
            return ""
        if params["as"] == "APIGroupDiscoveryList" and params.get("g") == _DISCOVERY_GROUP:
            version = params.get("v", "")
            if version in ("v2", "v2beta1"):
                return version
    return ""


def one(resource: ResourceType, stored: Stored, form: Form, include: str, now_ns: int) -> object:
    match form.kind:
        case "Table":
            return _table(resource, [stored], form, include, now_ns, {})
        case "PartialObjectMetadata":
            return _partial(stored, form)
        case _:
            return stored.body


def many(
    resource: ResourceType,
    found: Sequence[Stored],
    form: Form,
    include: str,
    now_ns: int,
    metadata: Mapping[str, Any],
) -> object:
    """A list; `metadata` is its own: resourceVersion, continue, remainingItemCount."""
    match form.kind:
        case "Table":
            return _table(resource, found, form, include, now_ns, metadata)
        case "PartialObjectMetadata":
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"{_META_GROUP}/{form.version}",
                "metadata": metadata,
                "items": [_partial(stored, form) for stored in found],
            }
        case _:
            return {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": metadata,
                "items": [stored.body for stored in found],
            }


def bookmark(resource: ResourceType, form: Form, revision: int) -> object:
    metadata = {"resourceVersion": str(revision), "creationTimestamp": None}
    match form.kind:
        case "Table":
            return {
                "kind": "Table",
                "apiVersion": f"{_META_GROUP}/{form.version}",
                "metadata": metadata,
                "columnDefinitions": None,
                "rows": [],
            }
        case "PartialObjectMetadata":
            return {
                "kind": form.kind,
                "apiVersion": f"{_META_GROUP}/{form.version}",
                "metadata": metadata,
            }
        case _:
            return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}


def human_age(age_s: int) -> str:
    """As kubectl writes ages: `45s`, `3m20s`, `5h`, `2d4h`."""
    if age_s < 0:
        return "0s"
    minutes, hours, days = age_s // 60, age_s // 3600, age_s // 86_400
    for bound_s, whole, unit, rest, rest_unit in (
        (120, age_s, "s", 0, ""),
        (600, minutes, "m", age_s % 60, "s"),
        (3 * 3600, minutes, "m", 0, ""),
        (8 * 3600, hours, "h", minutes % 60, "m"),
        (48 * 3600, hours, "h", 0, ""),
        (8 * 86_400, days, "d", hours % 24, "h"),
        (2 * 365 * 86_400, days, "d", 0, ""),
        (8 * 365 * 86_400, days // 365, "y", days % 365, "d"),
    ):
        if age_s < bound_s:
            return f"{whole}{unit}{rest}{rest_unit}" if rest else f"{whole}{unit}"
    return f"{days // 365}y"


def _partial(stored: Stored, form: Form) -> dict[str, object]:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"{_META_GROUP}/{form.version}",
        "metadata": stored.metadata,
    }


def _table(
    resource: ResourceType,
    found: Sequence[Stored],
    form: Form,
    include: str,
    now_ns: int,
    metadata: Mapping[str, Any],
) -> dict[str, object]:
    if include not in ("", "Metadata", "None", "Object"):
        raise StatusError(400, "BadRequest", f"includeObject: Invalid value: {include}")
    columns, cells_of = _TABLES.get(resource.plural, _DEFAULT_TABLE)
    if not metadata and len(found) == 1:
        metadata = {"resourceVersion": msgspec.json.decode(found[0].metadata)["resourceVersion"]}
    rows = []
    for stored in found:
        row: dict[str, object] = {"cells": cells_of(msgspec.json.decode(stored.body), now_ns)}
        if include == "Object":
            row["object"] = stored.body
        elif include != "None":
            row["object"] = _partial(stored, form)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": f"{_META_GROUP}/{form.version}",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": name,
                "type": kind,
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": p,
            }
            for name, kind, p in columns
        ],
        "rows": rows,
    }


def _age(body: _Object, now_ns: int) -> str:
    return human_age((now_ns - parse_rfc3339(body["metadata"]["creationTimestamp"])) // 1_000_000_000)


def _node_cells(body: _Object, now_ns: int) -> list[object]:
    status = body["status"]
    info = status["nodeInfo"]
    addresses = {a["type"]: a["address"] for a in status["addresses"]}
    return [
        body["metadata"]["name"],
        "Ready",
        "<none>",
        _age(body, now_ns),
        info["kubeletVersion"],
        addresses.get("InternalIP", "<none>"),
        "<none>",
        info["osImage"],
        info["kernelVersion"],
        info["containerRuntimeVersion"],
    ]


def _pod_cells(body: _Object, now_ns: int) -> list[object]:
    status = body["status"]
    containers = status.get("containerStatuses", ())
    waiting = [c["state"]["waiting"]["reason"] for c in containers if "waiting" in c["state"]]
    return [
        body["metadata"]["name"],
        f"{sum(c['ready'] for c in containers)}/{len(body['spec']['containers'])}",
        waiting[0] if waiting else status["phase"],
        sum(c["restartCount"] for c in containers),
        _age(body, now_ns),
        status.get("podIP", "<none>"),
        body["spec"].get("nodeName", "<none>"),
        "<none>",
        "<none>",
    ]


def _namespace_cells(body: _Object, now_ns: int) -> list[object]:
    return [body["metadata"]["name"], body["status"]["phase"], _age(body, now_ns)]


def _configmap_cells(body: _Object, now_ns: int) -> list[object]:
    return [body["metadata"]["name"], len(body["data"]), _age(body, now_ns)]


def _apiservice_cells(body: _Object, now_ns: int) -> list[object]:
    service, conditions = body["spec"]["service"], body.get("status", {}).get("conditions", ())
    available = "Unknown"
    for condition in conditions:
        available = "True" if condition["status"] == "True" else f"False ({condition['reason']})"
    return [
        body["metadata"]["name"],
        f"{service['namespace']}/{service['name']}",
        available,
        _age(body, now_ns),
    ]


def _service_cells(body: _Object, now_ns: int) -> list[object]:
    spec = body["spec"]
    ports = ",".join(f"{port['port']}/{port['protocol']}" for port in spec["ports"])
    return [body["metadata"]["name"], spec["type"], spec["clusterIP"], "<none>", ports, _age(body, now_ns)]


def _deployment_cells(body: _Object, now_ns: int) -> list[object]:
    status = body.get("status", {})
    ready = f"{status.get('readyReplicas', 0)}/{body['spec'].get('replicas', 1)}"
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas")]
    return [body["metadata"]["name"], ready, *counts, _age(body, now_ns)]


def _default_cells(body: _Object, now_ns: int) -> list[object]:
    return [body["metadata"]["name"], _age(body, now_ns)]


def _columns(*names: str, wide: Sequence[str] = ()) -> tuple[_Column, ...]:
    return (*((name, "string", 0) for name in names), *((name, "string", 1) for name in wide))


_DEFAULT_TABLE: tuple[tuple[_Column, ...], Callable[[_Object, int], list[object]]] = (
    _columns("Name", "Age"),
    _default_cells,
)
_TABLES: dict[str, tuple[tuple[_Column, ...], Callable[[_Object, int], list[object]]]] = {
    "nodes": (
        _columns(
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
        ),
        _node_cells,
    ),
    "pods": (
        _columns(
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            wide=("IP", "Node", "Nominated Node", "Readiness Gates"),
        ),
        _pod_cells,
    ),
    "namespaces": (_columns("Name", "Status", "Age"), _namespace_cells),
    "configmaps": (_columns("Name", "Data", "Age"), _configmap_cells),
    "services": (
        _columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"),
        _service_cells,
    ),
    "deployments": (_columns("Name", "Ready", "Up-to-date", "Available", "Age"), _deployment_cells),
    "apiservices": (_columns("Name", "Service", "Available", "Age"), _apiservice_cells),
}

"""As what a request is counted on /metrics: only what is served here becomes a label, since anybody may make up paths."""

from functools import lru_cache

from pymetrics_server.api.request import VERSIONS, Route, Target
from pymetrics_server.meta.status import METRICS_GROUP
from pymetrics_server.telemetry import request_labels

_VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
_RESOURCES = frozenset({Route.NODES, Route.NODE, Route.PODS, Route.POD})
#: The path of what has no resource, as the route and never as the client spells it.
_SUBRESOURCES = {
    Route.INDEX: "/",
    Route.GROUP_LIST: "/apis",
    Route.GROUP: f"/apis/{METRICS_GROUP}",
    Route.VERSION: "/version",
    Route.METRICS: "/metrics",
    Route.OPENAPI_V2: "/openapi/v2",
    Route.OPENAPI_V3: "/openapi/v3",
    Route.STATUSZ: "/statusz",
    Route.FLAGZ: "/flagz",
}


def labels_of(target: Target) -> tuple[str, ...]:
    attributes = target.attributes
    verb = attributes.verb if attributes.verb in _VERBS else ""
    if target.route in _RESOURCES and target.version in VERSIONS:
        scope = "namespace" if target.namespace else "cluster"
        if target.route in (Route.NODE, Route.POD):
            scope = "resource"
        return _labels(verb, target.version, attributes.resource, "", scope)
    return _labels(verb, "", "", _subresource(target), "")


@lru_cache(maxsize=256)
def _labels(verb: str, version: str, resource: str, subresource: str, scope: str) -> tuple[str, ...]:
    group = METRICS_GROUP if version else ""
    return request_labels(verb.upper() or "other", group, version, resource, subresource, scope)


def _subresource(target: Target) -> str:
    match target.route:
        case Route.HEALTH:
            return f"/{target.endpoint}"
        case Route.RESOURCE_LIST:
            return f"/apis/{METRICS_GROUP}/{target.version}"
        case route:
            return _SUBRESOURCES.get(route, "")

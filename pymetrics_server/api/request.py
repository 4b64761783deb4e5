"""A request line becomes a route (what answers it) and attributes (what is asked of the authorizer).

Both come from the same segments, so that nothing is authorized as one thing and served as another. As in Go
the path is decoded first and split then: a slash that was percent-encoded is a slash.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import parse_qs, unquote

import msgspec

from pymetrics_server.meta.identity import Attributes
from pymetrics_server.meta.selectors import SelectorError, parse_field_selector
from pymetrics_server.meta.status import METRICS_GROUP

VERSIONS = ("v1", "v1beta1")
HEALTH_ENDPOINTS = ("healthz", "livez", "readyz")

#: First values win, as with Go's url.Values.Get.
Query = Mapping[str, Sequence[str]]

_LONGEST_KEPT = 512  # characters: anybody may send any
_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WITH_HOST = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_WATCH_PREFIXES = ("proxy", "watch")
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


class Route(Enum):
    INDEX = auto()
    GROUP_LIST = auto()
    GROUP = auto()
    RESOURCE_LIST = auto()
    NODES = auto()
    NODE = auto()
    PODS = auto()
    POD = auto()
    VERSION = auto()
    HEALTH = auto()
    METRICS = auto()
    OPENAPI_V2 = auto()
    OPENAPI_V3 = auto()
    OPENAPI_V3_DOCUMENT = auto()
    STATUSZ = auto()
    FLAGZ = auto()
    VERBOSITY = auto()
    MALFORMED = auto()  # not a URI
    NO_RESOURCE = auto()  # below the group: 404 as a Status
    NO_PATH = auto()  # anywhere else: 404 with the index of paths


#: Routes without anything below.
_EXACT = {
    tuple(path.split("/")): route
    for path, route in {
        "": Route.INDEX,
        "index.html": Route.INDEX,
        "metrics": Route.METRICS,
        "openapi/v2": Route.OPENAPI_V2,
        "openapi/v3": Route.OPENAPI_V3,
        "statusz": Route.STATUSZ,
        "flagz": Route.FLAGZ,
        "debug/flags/v": Route.VERBOSITY,
        "version": Route.VERSION,
        "apis": Route.GROUP_LIST,
        "apis/": Route.GROUP_LIST,
    }.items()
}


class Target(msgspec.Struct, frozen=True):
    route: Route
    attributes: Attributes
    query: Query
    version: str = ""  # of metrics.k8s.io, where the route lies below one
    namespace: str = ""
    name: str = ""  # of the object; the check's below a health endpoint; the path below /openapi/v3/
    endpoint: str = ""  # healthz, livez or readyz


def first(query: Query, key: str) -> str:
    """The first value of a parameter, "" where it is absent."""
    values = query.get(key)
    return values[0] if values else ""


def is_true(text: str) -> bool:
    """Kubernetes' reading of a query boolean: all but `false` and `0`, the empty string included."""
    return text.lower() not in ("false", "0")


def parse_target(method: str, raw_target: str) -> Target:
    """`raw_target` as on the request line, percent-encoded and with its query. Who asks asks the same again."""
    usual = len(method) + len(raw_target) <= _LONGEST_KEPT
    return _parsed_before(method, raw_target) if usual else _parsed(method, raw_target)


@lru_cache(maxsize=1024)
def _parsed_before(method: str, raw_target: str) -> Target:
    return _parsed(method, raw_target)


def _parsed(method: str, raw_target: str) -> Target:
    # Bytes that are not UTF-8 came as lone surrogates, which no JSON carries.
    raw_target = raw_target.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    raw_path, _, raw_query = _without_host(raw_target).partition("?")
    query = _parse_query(raw_query)
    path = unquote(raw_path)
    segments = path.split("/")
    attributes = _attributes(method, path, _trimmed(segments), query)
    if _MALFORMED.search(raw_path):
        return Target(Route.MALFORMED, attributes, query)
    if segments[0] != "" or len(segments) < 2:  # `*`, or a URI with a host
        return Target(Route.NO_PATH, attributes, query)
    return _routed(segments[1:], attributes, query)


def _without_host(raw_target: str) -> str:
    """A request line may name scheme and host, as those to proxies do."""
    found = _WITH_HOST.match(raw_target)
    return raw_target[found.end() :] if found else raw_target


def _parse_query(raw_query: str) -> Query:
    """Pairs that are none, by a semicolon or a percent sign that stands for nothing, are left out as in Go."""
    if ";" in raw_query or _MALFORMED.search(raw_query):
        pairs = raw_query.split("&")
        raw_query = "&".join(pair for pair in pairs if ";" not in pair and not _MALFORMED.search(pair))
    return parse_qs(raw_query, keep_blank_values=True)


def _trimmed(segments: list[str]) -> list[str]:
    start, end = 0, len(segments)
    while start < end and segments[start] == "":
        start += 1
    while end > start and segments[end - 1] == "":
        end -= 1
    return segments[start:end]


def _attributes(method: str, path: str, parts: list[str], query: Query) -> Attributes:
    """Kubernetes: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb"""
    if len(parts) < 4 or parts[0] != "apis":
        return Attributes(verb=method.lower(), path=path)
    group, version, parts = parts[1], parts[2], parts[3:]
    verb = _VERBS.get(method, "")
    if parts[0] in _WATCH_PREFIXES:
        if len(parts) < 2:
            return Attributes(verb=method.lower(), path=path)
        verb, parts = parts[0], parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource, name, subresource = [*parts, "", ""][:3]
    if not name:
        if verb == "get":
            verb = "watch" if "watch" in query and is_true(first(query, "watch")) else "list"
            name = _selected_name(first(query, "fieldSelector"))
        elif verb == "delete":
            verb = "deletecollection"
    return Attributes(verb, path, group, version, resource, subresource, namespace, name)


def _selected_name(field_selector: str) -> str:
    """A list of the one object of that name may be allowed where a list of all is not."""
    try:
        name = parse_field_selector(field_selector).exact("metadata.name") or ""
    except SelectorError:
        return ""
    return "" if name in (".", "..") or "/" in name or "%" in name else name


def _routed(segments: list[str], attributes: Attributes, query: Query) -> Target:
    """`segments` follow the leading slash; trailing slashes are forgiven below the group and /version."""
    if (route := _EXACT.get(tuple(segments))) is not None:
        return Target(route, attributes, query)
    match segments:
        case [("healthz" | "livez" | "readyz") as endpoint]:
            return Target(Route.HEALTH, attributes, query, endpoint=endpoint)
        case [("healthz" | "livez" | "readyz") as endpoint, *check] if check != [""]:
            name = attributes.path.removeprefix(f"/{endpoint}/")
            return Target(Route.HEALTH, attributes, query, endpoint=endpoint, name=name)
        case ["openapi", "v3", *_]:
            name = attributes.path.removeprefix("/openapi/v3/")
            return Target(Route.OPENAPI_V3_DOCUMENT, attributes, query, name=name)
        case ["version", *below] if any(below):
            return Target(Route.NO_RESOURCE, attributes, query)
        case ["version", *_]:
            return Target(Route.VERSION, attributes, query)
        case ["apis", group, *below] if group == METRICS_GROUP:
            while below and below[-1] == "":
                below.pop()
            return _routed_below_group(below, attributes, query)
        case _:
            return Target(Route.NO_PATH, attributes, query)


def _routed_below_group(below: list[str], attributes: Attributes, query: Query) -> Target:
    match below:
        case []:
            return Target(Route.GROUP, attributes, query)
        case [version, *resource] if version in VERSIONS:
            return _routed_below_version(version, resource, attributes, query)
        case _:
            return Target(Route.NO_RESOURCE, attributes, query)


def _routed_below_version(version: str, resource: list[str], attributes: Attributes, query: Query) -> Target:
    match resource:
        case []:
            return Target(Route.RESOURCE_LIST, attributes, query, version)
        case ["nodes"]:
            return Target(Route.NODES, attributes, query, version)
        case ["nodes", name] if name:
            return Target(Route.NODE, attributes, query, version, name=name)
        case ["pods"]:
            return Target(Route.PODS, attributes, query, version)
        case ["namespaces", namespace, "pods"]:
            return Target(Route.PODS, attributes, query, version, namespace)
        case ["namespaces", namespace, "pods", name] if name:
            return Target(Route.POD, attributes, query, version, namespace, name)
        case _:
            return Target(Route.NO_RESOURCE, attributes, query)

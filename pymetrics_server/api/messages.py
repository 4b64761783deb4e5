"""Discovery and Status as Kubernetes' protobuf: from the value whose JSON they are, by tables of field numbers.

Kubernetes: k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto, k8s.io/api/apidiscovery/v2/generated.proto
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pymetrics_server.api.protobuf import delimited, envelope, varint


class _Field(NamedTuple):
    """`of` is str, int or bool, written also where it is missing; or a message, written where `always` or there."""

    number: int
    key: str
    of: "type[str] | type[int] | type[bool] | Sequence[_Field]" = str
    repeated: bool = False
    always: bool = False


_LIST_METADATA = (_Field(1, "selfLink"), _Field(2, "resourceVersion"), _Field(3, "continue"))
_OBJECT_METADATA = (
    _Field(1, "name"),
    _Field(2, "generateName"),
    _Field(3, "namespace"),
    _Field(4, "selfLink"),
    _Field(5, "uid"),
    _Field(6, "resourceVersion"),
    _Field(7, "generation", int),
    _Field(8, "creationTimestamp", (), always=True),  # never set in discovery
)
_GROUP_VERSION = (_Field(1, "groupVersion"), _Field(2, "version"))
_GROUP = (
    _Field(1, "name"),
    _Field(2, "versions", _GROUP_VERSION, repeated=True),
    _Field(3, "preferredVersion", _GROUP_VERSION, always=True),
    _Field(
        4,
        "serverAddressByClientCIDRs",
        (_Field(1, "clientCIDR"), _Field(2, "serverAddress")),
        repeated=True,
    ),
)
_RESOURCE = (
    _Field(1, "name"),
    _Field(2, "namespaced", bool),
    _Field(3, "kind"),
    _Field(4, "verbs", (_Field(1, "", repeated=True),)),
    _Field(6, "singularName"),
    _Field(8, "group"),
    _Field(9, "version"),
    _Field(10, "storageVersionHash"),
)
_DISCOVERED_RESOURCE = (
    _Field(1, "resource"),
    _Field(2, "responseKind", (_Field(1, "group"), _Field(2, "version"), _Field(3, "kind"))),
    _Field(3, "scope"),
    _Field(4, "singularResource"),
    _Field(5, "verbs", repeated=True),
)
_DISCOVERED_VERSION = (
    _Field(1, "version"),
    _Field(2, "resources", _DISCOVERED_RESOURCE, repeated=True),
    _Field(3, "freshness"),
)
_DISCOVERED_GROUP = (
    _Field(1, "metadata", _OBJECT_METADATA, always=True),
    _Field(2, "versions", _DISCOVERED_VERSION, repeated=True),
)
_DETAILS = (
    _Field(1, "name"),
    _Field(2, "group"),
    _Field(3, "kind"),
    _Field(4, "causes", (_Field(1, "reason"), _Field(2, "message"), _Field(3, "field")), repeated=True),
    _Field(6, "uid"),
)
_KINDS: Mapping[str, Sequence[_Field]] = {
    "Status": (
        _Field(1, "metadata", _LIST_METADATA, always=True),
        _Field(2, "status"),
        _Field(3, "message"),
        _Field(4, "reason"),
        _Field(5, "details", _DETAILS),
        _Field(6, "code", int),
    ),
    "APIGroup": _GROUP,
    "APIGroupList": (_Field(1, "groups", _GROUP, repeated=True),),
    "APIResourceList": (_Field(1, "groupVersion"), _Field(2, "resources", _RESOURCE, repeated=True)),
    "APIGroupDiscoveryList": (
        _Field(1, "metadata", _LIST_METADATA, always=True),
        _Field(2, "items", _DISCOVERED_GROUP, repeated=True),
    ),
}


def to_protobuf(document: Mapping[str, Any]) -> bytes:
    """A whole body. `document` is one of the kinds above, with its kind and apiVersion."""
    kind = document["kind"]
    return b"".join(envelope(kind, document.get("apiVersion", ""), [_message(_KINDS[kind], document)]))


def _message(fields: Sequence[_Field], value: Mapping[str, Any] | Sequence[str]) -> bytes:
    return b"".join(part for field in fields for part in _parts(field, value))


def _parts(field: _Field, value: Mapping[str, Any] | Sequence[str]) -> Iterator[bytes]:
    if not isinstance(value, Mapping):  # Verbs: a list that is a message of its own
        value = {"": value}
    found = value.get(field.key)
    if field.repeated:
        for each in found or ():
            yield _written(field, each)
    elif found is not None:
        yield _written(field, found)
    elif field.always:
        yield _written(field, {})
    elif field.of is str:
        yield _written(field, "")
    elif isinstance(field.of, type):
        yield _written(field, 0)


def _written(field: _Field, value: Any) -> bytes:
    if field.of is str:
        return delimited(field.number, value.encode("utf-8", "replace"))
    if isinstance(field.of, type):
        return varint(field.number << 3) + varint(int(value))
    return delimited(field.number, _message(field.of, value))

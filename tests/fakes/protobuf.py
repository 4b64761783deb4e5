"""Kubernetes' protobuf as a client reads it: Google's decoder, from definitions of the messages written here.

A body becomes the value whose JSON it is the other form of, so that the two can be compared field by field.
"""

from datetime import UTC, datetime
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from pymetrics_server.meta.duration import format_go

MAGIC = b"k8s\x00"

#: message -> its fields as `number name type`; `*` repeats, a type with a capital is a message, a map has two.
_MESSAGES = {
    "TypeMeta": "1 apiVersion string, 2 kind string",
    "Unknown": "1 typeMeta TypeMeta, 2 raw bytes, 3 contentEncoding string, 4 contentType string",
    "Time": "1 seconds int64, 2 nanos int32",
    "Duration": "1 duration int64",
    "Quantity": "1 string string",
    "ObjectMeta": "1 name string, 2 generateName string, 3 namespace string, 4 selfLink string, 5 uid string, "
    "6 resourceVersion string, 7 generation int64, 8 creationTimestamp Time, 11 labels map:string",
    "ListMeta": "1 selfLink string, 2 resourceVersion string, 3 continue string, 4 remainingItemCount int64",
    "NodeMetrics": "1 metadata ObjectMeta, 2 timestamp Time, 3 window Duration, 4 usage map:Quantity",
    "ContainerMetrics": "1 name string, 2 usage map:Quantity",
    "PodMetrics": "1 metadata ObjectMeta, 2 timestamp Time, 3 window Duration, 4 containers *ContainerMetrics",
    "NodeMetricsList": "1 metadata ListMeta, 2 items *NodeMetrics",
    "PodMetricsList": "1 metadata ListMeta, 2 items *PodMetrics",
    "PartialObjectMetadata": "1 metadata ObjectMeta",
    "PartialObjectMetadataList": "1 metadata ListMeta, 2 items *PartialObjectMetadata",
    "OldPartialObjectMetadataList": "1 items *PartialObjectMetadata, 2 metadata ListMeta",
    "Cause": "1 reason string, 2 message string, 3 field string",
    "Details": "1 name string, 2 group string, 3 kind string, 4 causes *Cause, 5 retryAfterSeconds int32, "
    "6 uid string",
    "Status": "1 metadata ListMeta, 2 status string, 3 message string, 4 reason string, 5 details Details, "
    "6 code int32",
    "GroupVersion": "1 groupVersion string, 2 version string",
    "ServerAddress": "1 clientCIDR string, 2 serverAddress string",
    "APIGroup": "1 name string, 2 versions *GroupVersion, 3 preferredVersion GroupVersion, "
    "4 serverAddressByClientCIDRs *ServerAddress",
    "APIGroupList": "1 groups *APIGroup",
    "Verbs": "1 items *string",
    "APIResource": "1 name string, 2 namespaced bool, 3 kind string, 4 verbs Verbs, 5 shortNames *string, "
    "6 singularName string, 7 categories *string, 8 group string, 9 version string, "
    "10 storageVersionHash string",
    "APIResourceList": "1 groupVersion string, 2 resources *APIResource",
    "GroupVersionKind": "1 group string, 2 version string, 3 kind string",
    "APIResourceDiscovery": "1 resource string, 2 responseKind GroupVersionKind, 3 scope string, "
    "4 singularResource string, 5 verbs *string",
    "APIVersionDiscovery": "1 version string, 2 resources *APIResourceDiscovery, 3 freshness string",
    "APIGroupDiscovery": "1 metadata ObjectMeta, 2 versions *APIVersionDiscovery",
    "APIGroupDiscoveryList": "1 metadata ListMeta, 2 items *APIGroupDiscovery",
}
#: Written in JSON also where they are empty: Go's struct tags without `omitempty`.
_ALWAYS_IN_JSON = {
    "NodeMetrics": {"metadata", "timestamp", "window", "usage"},
    "PodMetrics": {"metadata", "timestamp", "window", "containers"},
    "ContainerMetrics": {"usage"},
    "NodeMetricsList": {"metadata", "items"},
    "PodMetricsList": {"metadata", "items"},
    "PartialObjectMetadataList": {"metadata", "items"},
    "OldPartialObjectMetadataList": {"metadata", "items"},
    "Status": {"metadata"},
    "APIResource": {"singularName", "namespaced"},
    "APIGroupDiscoveryList": {"metadata"},
    "APIResourceDiscovery": {"singularResource"},
    "GroupVersionKind": {"group", "version"},
}
_OLD_LIST = ("PartialObjectMetadataList", "meta.k8s.io/v1beta1")
_Field = descriptor_pb2.FieldDescriptorProto


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="kubernetes.proto", package="k8s", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for spelled in fields.split(", "):
            number, field_name, kind = spelled.split()
            field = message.field.add(name=field_name, number=int(number), label=_Field.LABEL_OPTIONAL)
            if kind.startswith("*"):
                field.label = _Field.LABEL_REPEATED
                kind = kind[1:]
            if kind.startswith("map:"):
                entry = message.nested_type.add(name=f"{field_name.capitalize()}Entry")
                entry.options.map_entry = True
                _typed(entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL), "string")
                _typed(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), kind[4:])
                field.label = _Field.LABEL_REPEATED
                kind = f"{name}.{entry.name}"
            _typed(field, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _typed(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind[0].isupper():
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".k8s.{kind}"
    else:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")


_POOL = _pool()


def message(name: str, content: bytes) -> Message:
    """Everything in `content` must be known to the definition above."""
    parsed = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"k8s.{name}"))()
    parsed.ParseFromString(content)
    without_unknown = type(parsed).FromString(content)
    without_unknown.DiscardUnknownFields()
    assert without_unknown.ByteSize() == parsed.ByteSize(), f"{name} has fields that are not its own"
    return parsed


def decode(body: bytes) -> dict[str, Any]:
    """The whole body as the JSON of the same answer decodes to."""
    assert body.startswith(MAGIC)
    unknown: Any = message("Unknown", body[len(MAGIC) :])
    assert (unknown.contentEncoding, unknown.contentType) == ("", "")
    kind = unknown.typeMeta.kind
    old = "Old" if (kind, unknown.typeMeta.apiVersion) == _OLD_LIST else ""
    value = _value(message(old + kind, unknown.raw))
    head = {"kind": kind} | (
        {"apiVersion": unknown.typeMeta.apiVersion} if unknown.typeMeta.apiVersion else {}
    )
    return {**head, **value}


def _value(parsed: Any) -> Any:
    match parsed.DESCRIPTOR.name:
        case "Time":
            if not parsed.ListFields():
                return None
            assert parsed.nanos == 0
            return datetime.fromtimestamp(parsed.seconds, UTC).isoformat()[:19] + "Z"
        case "Duration":
            return format_go(parsed.duration)
        case "Quantity":
            return parsed.string
        case "Verbs":
            return list(parsed.items)
        case name:
            fields = {f.name: _field(parsed, f) for f in parsed.DESCRIPTOR.fields}
            if name == "ObjectMeta" and fields["creationTimestamp"] is None:
                del fields["creationTimestamp"]
            always = _ALWAYS_IN_JSON.get(name, ())
            return {
                k: v
                for k, v in fields.items()
                if v not in ("", 0, [], {}, None) or k in always or (k == "details" and parsed.HasField(k))
            }


def _field(parsed: Any, field: Any) -> Any:
    found = getattr(parsed, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {key: _value(found[key]) if hasattr(found[key], "DESCRIPTOR") else found[key] for key in found}
    if field.is_repeated:
        return [_value(each) if field.message_type is not None else each for each in found]
    return _value(found) if field.message_type is not None else found

"""The protobuf forms say what the JSON says: read by Google's decoder, rebuilt, compared."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
import yaml
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from pymetrics_server.api.openapi.documents import group_documents, swagger
from pymetrics_server.api.openapi.gnostic import document_2, document_3
from pymetrics_server.api.openapi.service import OpenAPI
from tests.api.openapi.gnostic_messages import Document2, Document3

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
V3_PROTOBUF = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
DOCUMENTS = [
    "apis",
    "apis/metrics.k8s.io",
    "apis/metrics.k8s.io/v1",
    "apis/metrics.k8s.io/v1beta1",
    "version",
]

# Messages are made at run time: their fields have no static types.
Decoded = Any


def test_version_2_in_protobuf_is_the_json_document_field_by_field() -> None:
    openapi = OpenAPI(0)
    decoded = _parsed(Document2, b"".join(openapi.v2(V2_PROTOBUF, "", "").parts))
    assert _document_2(decoded) == msgspec.json.decode(b"".join(openapi.v2("", "", "").parts))


@pytest.mark.parametrize("path", DOCUMENTS)
def test_version_3_in_protobuf_is_the_json_document_field_by_field(path: str) -> None:
    openapi = OpenAPI(0)
    decoded = _parsed(Document3, b"".join(openapi.v3_document(path, "", V3_PROTOBUF, "", 0).parts))
    expected = msgspec.json.decode(b"".join(openapi.v3_document(path, "", "", "", 0).parts))
    assert _document_3(decoded) == expected


def test_what_has_no_field_in_the_messages_is_an_error_and_not_left_out() -> None:
    with pytest.raises(KeyError, match="externalDocs"):
        document_2({**swagger(), "externalDocs": {}})
    with pytest.raises(KeyError, match="servers"):
        document_3({**group_documents()["version"], "servers": []})


def _parsed(document: type[Message], body: bytes) -> Decoded:
    message = document.FromString(body)
    _check_known(message)
    return message


def _check_known(message: Message) -> None:
    assert len(UnknownFieldSet(message)) == 0, message.DESCRIPTOR.name
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if isinstance(value, Iterable) else [value]:
                _check_known(each)


def _given(message: Decoded, **keys: str) -> dict[str, Any]:
    """Singular scalar fields that were written, by their keys in JSON."""
    return {key: getattr(message, field) for field, key in keys.items() if message.HasField(field)}


def _lists(message: Decoded, *fields: str) -> dict[str, Any]:
    return {field: list(getattr(message, field)) for field in fields if getattr(message, field)}


def _entries(named: Decoded, convert: Callable[[Decoded], Any]) -> dict[str, Any]:
    return {each.name: convert(each.value) for each in named}


def _extensions(named: Decoded) -> dict[str, Any]:
    return _entries(named, lambda value: yaml.safe_load(value.yaml))


def _info(message: Decoded) -> dict[str, Any]:
    return _given(message, title="title", version="version")


def _document_2(message: Decoded) -> dict[str, Any]:
    return {
        "swagger": message.swagger,
        "info": _info(message.info),
        "paths": _entries(message.paths.path, _path_2),
        "definitions": _entries(message.definitions.additional_properties, _schema_2),
    }


def _path_2(message: Decoded) -> dict[str, Any]:
    parameters = [_parameter_2(each.parameter.non_body_parameter) for each in message.parameters]
    operation = {
        **_lists(message.get, "tags", "produces", "schemes"),
        **_given(message.get, description="description", operation_id="operationId"),
        "responses": _entries(message.get.responses.response_code, _response_2),
        **_extensions(message.get.vendor_extension),
    }
    return {"get": operation, **({"parameters": parameters} if parameters else {})}


def _parameter_2(message: Decoded) -> dict[str, Any]:
    (_, parameter), *others = message.ListFields()
    assert not others
    assert parameter.DESCRIPTOR.name.lower().startswith(getattr(parameter, "in"))
    keys = {"name": "name", "in": "in", "description": "description", "required": "required", "type": "type"}
    return _given(parameter, **keys)


def _response_2(message: Decoded) -> dict[str, Any]:
    return {
        "description": message.response.description,
        "schema": _schema_2(message.response.schema.schema),
    }


def _schema_2(message: Decoded) -> dict[str, Any]:
    found = _given(message, ref="$ref", format="format", description="description")
    found |= _lists(message, "required")
    if message.HasField("additional_properties"):
        found["additionalProperties"] = _schema_2(message.additional_properties.schema)
    if message.HasField("type"):
        [found["type"]] = message.type.value
    if message.HasField("items"):
        [item] = message.items.schema
        found["items"] = _schema_2(item)
    if message.HasField("properties"):
        found["properties"] = _entries(message.properties.additional_properties, _schema_2)
    return found | _extensions(message.vendor_extension)


def _document_3(message: Decoded) -> dict[str, Any]:
    return {
        "openapi": message.openapi,
        "info": _info(message.info),
        "paths": _entries(message.paths.path, _path_3),
        "components": {"schemas": _entries(message.components.schemas.additional_properties, _schema_3)},
    }


def _path_3(message: Decoded) -> dict[str, Any]:
    parameters = [_parameter_3(each.parameter) for each in message.parameters]
    operation = {
        **_lists(message.get, "tags"),
        **_given(message.get, description="description", operation_id="operationId"),
        "responses": _entries(message.get.responses.response_or_reference, _response_3),
        **_extensions(message.get.specification_extension),
    }
    return {"get": operation, **({"parameters": parameters} if parameters else {})}


def _parameter_3(message: Decoded) -> dict[str, Any]:
    keys = {"name": "name", "in": "in", "description": "description", "required": "required"}
    return {**_given(message, **keys), "schema": _schema_3(message.schema)}


def _response_3(message: Decoded) -> dict[str, Any]:
    response = message.response
    content = _entries(
        response.content.additional_properties, lambda value: {"schema": _schema_3(value.schema)}
    )
    return {"description": response.description, "content": content}


def _schema_3(message: Decoded) -> dict[str, Any]:
    """Of a SchemaOrReference."""
    if message.HasField("reference"):
        return _given(message.reference, ref="$ref", description="description")
    schema = message.schema
    found = _given(schema, type="type", description="description", format="format")
    found |= _lists(schema, "required")
    for key, parts in {"allOf": schema.all_of, "oneOf": schema.one_of}.items():
        if parts:
            found[key] = [_schema_3(each) for each in parts]
    if schema.HasField("items"):
        [item] = schema.items.schema_or_reference
        found["items"] = _schema_3(item)
    if schema.HasField("properties"):
        found["properties"] = _entries(schema.properties.additional_properties, _schema_3)
    if schema.HasField("additional_properties"):
        found["additionalProperties"] = _schema_3(schema.additional_properties.schema_or_reference)
    return found | _extensions(schema.specification_extension)

"""The documents: one of OpenAPI 2 for everything, one of OpenAPI 3 for each version of a group.

kube-apiserver merges the former into its own and renames the definitions that differ from its; the latter it
passes on as they are.
"""

from collections.abc import Callable, Iterable
from typing import Any

from pymetrics_server.api.openapi.meta_types import meta_types
from pymetrics_server.api.openapi.metrics_types import metrics_types
from pymetrics_server.api.openapi.operations import Operation, Parameter, operations
from pymetrics_server.api.openapi.shapes import QUANTITY, Schema
from pymetrics_server.api.request import VERSIONS
from pymetrics_server.meta.status import METRICS_GROUP
from pymetrics_server.version import GIT_VERSION

Document = dict[str, Any]

_INFO = {"title": "Kubernetes metrics-server", "version": GIT_VERSION.partition("-")[0]}


def swagger() -> Document:
    """OpenAPI 2."""
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": {operation.path: _path_2(operation) for operation in operations()},
        "definitions": {name: _schema_2(schema) for name, schema in _types().items()},
    }


def group_documents() -> dict[str, Document]:
    """OpenAPI 3, by the path below /openapi/v3/."""
    by_document: dict[str, list[Operation]] = {}
    for operation in operations():
        by_document.setdefault(operation.document, []).append(operation)
    types = _types()
    return {path: _group_document(by_document[path], types) for path in sorted(by_document)}


def _types() -> dict[str, Schema]:
    types = meta_types()
    for version in VERSIONS:
        types |= metrics_types(version)
    return dict(sorted(types.items()))


def _group_document(asked: Iterable[Operation], types: dict[str, Schema]) -> Document:
    names: set[str] = set()
    for operation in asked:
        _add_reachable(operation.result, types, names)
    return {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": {operation.path: _path_3(operation) for operation in asked},
        "components": {"schemas": {name: _definition_3(name, types[name]) for name in sorted(names)}},
    }


def _add_reachable(name: str, types: dict[str, Schema], names: set[str]) -> None:
    if name in names:
        return
    names.add(name)
    _changed(types[name], lambda schema: _add_reachable(schema["$ref"], types, names))


def _changed(schema: Any, change: Callable[[Schema], Any]) -> Any:
    """A copy in which each reference is what `change` makes of it."""
    if isinstance(schema, list):
        return [_changed(each, change) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return change(schema)
    return {key: _changed(value, change) for key, value in schema.items()}


def _schema_2(schema: Schema) -> Schema:
    changed: Schema = _changed(schema, lambda found: {**found, "$ref": f"#/definitions/{found['$ref']}"})
    return changed


def _definition_3(name: str, schema: Schema) -> Schema:
    """Quantities may be read as numbers, too; kubectl explain names a type by this form of it."""
    if name == QUANTITY:
        return {"description": schema["description"], "oneOf": [{"type": "string"}, {"type": "number"}]}
    return _schema_3(schema)


def _schema_3(schema: Schema) -> Schema:
    changed: Schema = _changed(schema, _reference_3)
    return changed


def _reference_3(schema: Schema) -> Schema:
    """What stands beside a `$ref` is not read; one that is described is the only part of an `allOf`."""
    described = {key: value for key, value in schema.items() if key != "$ref"}
    reference = {"$ref": f"#/components/schemas/{schema['$ref']}"}
    return {**described, "allOf": [reference]} if described else reference


def _path_2(operation: Operation) -> Document:
    described = {
        "description": operation.description,
        "produces": list(operation.media_types),
        "schemes": ["https"],
        "tags": [operation.tag],
        "operationId": operation.operation_id,
        "responses": {"200": {"description": "OK", "schema": _schema_2({"$ref": operation.result})}},
        **_extensions(operation),
    }
    return _path(described, [{"type": each.type, **_parameter(each)} for each in operation.parameters])


def _path_3(operation: Operation) -> Document:
    content = {
        media_type: {"schema": _schema_3({"$ref": operation.result})} for media_type in operation.media_types
    }
    described = {
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.operation_id,
        "responses": {"200": {"description": "OK", "content": content}},
        **_extensions(operation),
    }
    return _path(
        described, [{**_parameter(each), "schema": {"type": each.type}} for each in operation.parameters]
    )


def _path(described: Document, parameters: list[Document]) -> Document:
    return {"get": described, "parameters": parameters} if parameters else {"get": described}


def _parameter(parameter: Parameter) -> Document:
    required = {"required": True} if parameter.place == "path" else {}
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        **required,
    }


def _extensions(operation: Operation) -> Document:
    if not operation.action:
        return {}
    read = {"group": METRICS_GROUP, "version": operation.version, "kind": operation.kind}
    return {"x-kubernetes-action": operation.action, "x-kubernetes-group-version-kind": read}

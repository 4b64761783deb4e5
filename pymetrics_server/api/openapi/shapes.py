"""The few forms of JSON schema that our types need.

A reference names a definition (`{"$ref": "io.k8s..."}`); each document says where its definitions are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
VERSION_INFO = "io.k8s.apimachinery.pkg.version.Info"

ATOMIC = {"x-kubernetes-list-type": "atomic"}


def text(description: str) -> Schema:
    return {"description": description, "type": "string"}


def integer(description: str) -> Schema:
    return {"description": description, "type": "integer", "format": "int64"}


def boolean(description: str) -> Schema:
    return {"description": description, "type": "boolean"}


def reference(name: str, description: str) -> Schema:
    return {"description": description, "$ref": name}


def array(of: Schema, description: str, extensions: Mapping[str, Any] | None = None) -> Schema:
    return {"description": description, "type": "array", "items": of, **(extensions or {})}


def texts(description: str, extensions: Mapping[str, Any] | None = None) -> Schema:
    return array({"type": "string"}, description, extensions)


def mapping(to: Schema, description: str) -> Schema:
    return {"description": description, "type": "object", "additionalProperties": to}


def structure(description: str, properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    schema: Schema = {"description": description, "type": "object"}
    if required:
        schema["required"] = list(required)
    schema["properties"] = dict(sorted(properties.items()))
    return schema


def kind(
    group: str,
    version: str,
    name: str,
    description: str,
    properties: Mapping[str, Schema],
    required: Sequence[str] = (),
) -> Schema:
    """A type that is an object of its own: kubectl explain finds it by what its extension says."""
    named = {
        "apiVersion": text("The group and the version in which the object is written."),
        "kind": text("The type of the object, in CamelCase."),
    }
    schema = structure(description, {**named, **properties}, required)
    schema["x-kubernetes-group-version-kind"] = [{"group": group, "kind": name, "version": version}]
    return schema

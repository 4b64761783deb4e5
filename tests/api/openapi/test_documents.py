"""What the documents say: valid, complete, and true of what the server answers."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pymetrics_server.api.openapi.documents import Document, group_documents, swagger

GOLDEN = Path(__file__).parents[2] / "golden"
GROUP_VERSIONS = ["apis/metrics.k8s.io/v1", "apis/metrics.k8s.io/v1beta1"]
ALL = {"v2": swagger(), **group_documents()}
TYPES = "io.k8s.metrics.pkg.apis.metrics"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(document: Document, reference: str) -> Any:
    value: Any = document
    for key in reference.removeprefix("#/").split("/"):
        value = value[key]
    return value


def types_of(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = document.get("definitions") or document["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_reference_leads_to_a_type_and_every_type_is_used(name: str) -> None:
    document = ALL[name]
    found = set(references(document))
    for reference in found:
        assert resolved(document, reference)["description"]
    assert {reference.rpartition("/")[2] for reference in found} == set(types_of(document))


@pytest.mark.parametrize("name", ALL)
def test_parameters_operations_and_responses_are_complete(name: str) -> None:
    document = ALL[name]
    operation_ids = [path["get"]["operationId"] for path in document["paths"].values()]
    assert len(set(operation_ids)) == len(operation_ids)
    for path, item in document["paths"].items():
        parameters = item.get("parameters", [])
        in_path = [each for each in parameters if each["in"] == "path"]
        assert {each["name"] for each in in_path} == set(re.findall(r"{(\w+)}", path))
        assert all(each["required"] for each in in_path)
        assert all(each["description"] for each in parameters)
        assert len({each["name"] for each in parameters}) == len(parameters)
        assert list(item["get"]["responses"]) == ["200"]
        assert item["get"]["description"]


@pytest.mark.parametrize("name", ALL)
def test_every_type_and_every_property_is_described_for_kubectl_explain(name: str) -> None:
    for schema in types_of(ALL[name]).values():
        assert schema["description"].endswith(".")
        for described in schema.get("properties", {}).values():
            assert described["description"].endswith(".")
        assert set(schema.get("required", [])) <= set(schema.get("properties", {}))


def test_version_2_has_the_operations_that_generated_clients_are_named_after() -> None:
    paths = swagger()["paths"]
    found = {path: (item["get"]["operationId"], *item["get"]["tags"]) for path, item in paths.items()}
    expected = {
        "/apis/": ("getAPIVersions", "apis"),
        "/apis/metrics.k8s.io/": ("getMetricsAPIGroup", "metrics"),
        "/version/": ("getCodeVersion", "version"),
    }
    for version, spelled in (("v1", "V1"), ("v1beta1", "V1beta1")):
        tag, root = f"metrics_{version}", f"/apis/metrics.k8s.io/{version}/"
        pods = root + "namespaces/{namespace}/pods"
        expected |= {
            root: (f"getMetrics{spelled}APIResources", tag),
            root + "nodes": (f"listMetrics{spelled}NodeMetrics", tag),
            root + "nodes/{name}": (f"readMetrics{spelled}NodeMetrics", tag),
            root + "pods": (f"listMetrics{spelled}PodMetricsForAllNamespaces", tag),
            pods: (f"listMetrics{spelled}NamespacedPodMetrics", tag),
            pods + "/{name}": (f"readMetrics{spelled}NamespacedPodMetrics", tag),
        }
    assert found == expected


@pytest.mark.parametrize("name", ["v2", *GROUP_VERSIONS])
def test_reads_say_which_kind_they_read(name: str) -> None:
    for path, item in ALL[name]["paths"].items():
        found = re.fullmatch(r"/apis/metrics.k8s.io/(\w+)/(?:.*/)?(nodes|pods)(/{name})?", path)
        if found is None:
            assert "x-kubernetes-action" not in item["get"]
            continue
        version, resource, one = found.groups()
        kind = {"nodes": "NodeMetrics", "pods": "PodMetrics"}[resource]
        assert item["get"]["x-kubernetes-action"] == ("get" if one else "list")
        assert item["get"]["x-kubernetes-group-version-kind"] == {
            "group": "metrics.k8s.io",
            "version": version,
            "kind": kind,
        }


@pytest.mark.parametrize("name", ["v2", *GROUP_VERSIONS])
def test_lists_take_the_parameters_of_every_kubernetes_list(name: str) -> None:
    version = "v1beta1" if name == "v2" else name.rpartition("/")[2]
    item = ALL[name]["paths"][f"/apis/metrics.k8s.io/{version}/namespaces/{{namespace}}/pods"]
    assert [each["name"] for each in item["parameters"]] == [
        "allowWatchBookmarks",
        "continue",
        "fieldSelector",
        "labelSelector",
        "limit",
        "namespace",
        "pretty",
        "resourceVersion",
        "resourceVersionMatch",
        "sendInitialEvents",
        "timeoutSeconds",
        "watch",
    ]


@pytest.mark.parametrize("path", GROUP_VERSIONS)
def test_kinds_are_found_by_their_group_and_version_in_the_document_of_that_version(path: str) -> None:
    version = path.rpartition("/")[2]
    types = types_of(ALL[path])
    named = {
        extension["kind"]: name
        for name, schema in types.items()
        for extension in schema.get("x-kubernetes-group-version-kind", [])
        if (extension["group"], extension["version"]) == ("metrics.k8s.io", version)
    }
    kinds = ["NodeMetrics", "NodeMetricsList", "PodMetrics", "PodMetricsList"]
    assert named == {kind: f"{TYPES}.{version}.{kind}" for kind in kinds}
    assert types[named["PodMetrics"]]["required"] == ["timestamp", "window", "containers"]
    assert types[named["NodeMetrics"]]["required"] == ["timestamp", "window", "usage"]
    assert types[f"{TYPES}.{version}.ContainerMetrics"]["required"] == ["name", "usage"]
    assert types[named["PodMetrics"]]["properties"]["containers"]["x-kubernetes-list-type"] == "atomic"


def test_a_document_of_one_version_has_nothing_of_the_other() -> None:
    assert f"{TYPES}.v1beta1" not in json.dumps(ALL["apis/metrics.k8s.io/v1"])
    assert f"{TYPES}.v1." not in json.dumps(ALL["apis/metrics.k8s.io/v1beta1"])


@pytest.mark.parametrize(
    ("body", "path", "name"),
    [
        ("node.json", "apis/metrics.k8s.io/v1beta1", f"{TYPES}.v1beta1.NodeMetrics"),
        ("nodes.json", "apis/metrics.k8s.io/v1beta1", f"{TYPES}.v1beta1.NodeMetricsList"),
        ("pod.json", "apis/metrics.k8s.io/v1beta1", f"{TYPES}.v1beta1.PodMetrics"),
        ("pods.json", "apis/metrics.k8s.io/v1beta1", f"{TYPES}.v1beta1.PodMetricsList"),
        ("resources.json", "apis/metrics.k8s.io/v1beta1", f"{META}.APIResourceList"),
        ("group.json", "apis/metrics.k8s.io", f"{META}.APIGroup"),
        ("apis.json", "apis", f"{META}.APIGroupList"),
    ],
)
@pytest.mark.parametrize("document", ["v2", "v3"])
def test_what_is_served_has_the_types_that_are_described(
    body: str, path: str, name: str, document: str
) -> None:
    served = json.loads((GOLDEN / "api" / body).read_text())
    described = ALL["v2" if document == "v2" else path]
    _check(served, types_of(described)[name], described)


def _check(value: Any, schema: Any, document: Document) -> None:
    """Stricter than JSON schema: there is nothing that is not described."""
    for reference in [schema, *schema.get("allOf", [])]:
        if "$ref" in reference:
            return _check(value, resolved(document, reference["$ref"]), document)
    if "oneOf" in schema:
        assert {"type": "string"} in schema["oneOf"]
        assert isinstance(value, str)
        return None
    match schema["type"]:
        case "object":
            assert set(schema.get("required", [])) <= set(value)
            for key, each in value.items():
                inner = schema.get("additionalProperties") or schema["properties"][key]
                _check(each, inner, document)
        case "array":
            for each in value:
                _check(each, schema["items"], document)
        case simple:
            assert isinstance(value, {"string": str, "boolean": bool, "integer": int}[simple])
    return None


@pytest.mark.parametrize("name", ALL)
def test_golden_document(name: str) -> None:
    document = {**ALL[name], "info": {**ALL[name]["info"], "version": "v0.0.0"}}
    text = json.dumps(document, indent=2) + "\n"
    golden = GOLDEN / "openapi" / f"{name.replace('/', '-')}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()

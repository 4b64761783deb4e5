"""Tables and metadata: what kubectl's printer and metadata-only clients ask for."""

import json

import pytest

from pymetrics_server.meta.usage import PodUsage
from tests.api.conftest import Serve
from tests.api.world import V1, V1BETA1, World, golden, text

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


def cells(body: str) -> list[list[str]]:
    return [row["cells"] for row in json.loads(body)["rows"]]


def columns(body: str) -> list[str]:
    return [column["name"] for column in json.loads(body)["columnDefinitions"]]


async def test_table_of_a_pod_sums_its_containers(world: World, serve: Serve) -> None:
    client = await serve(world)
    for path in ("namespaces/default/pods/web-1", "pods?labelSelector=tier%3Dfe"):
        response = await client.get(f"{V1BETA1}/{path}", headers=TABLE)
        assert await text(response) == golden("pod-table.json")
        assert response.headers["Content-Type"] == "application/json"


async def test_kubectl_falls_through_its_alternatives_to_a_table(world: World, serve: Serve) -> None:
    client = await serve(world)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
    body = await text(await client.get(f"{V1}/nodes", headers={"Accept": accept}))
    assert columns(body) == ["Name", "cpu", "memory", "Window"]
    assert cells(body) == [
        ["node-a", "123457230n", "1578392Ki", "9.991s"],
        ["node-b", "1499864159n", "2000000123", "10.008s"],
    ]


async def test_include_object_chooses_what_a_row_carries(world: World, serve: Serve) -> None:
    client = await serve(world)
    path = f"{V1BETA1}/nodes/node-a?includeObject="
    none = await text(await client.get(path + "None", headers=TABLE))
    assert none.endswith('"9.991s"],"object":null}]}\n')
    whole = await text(await client.get(path + "Object", headers=TABLE))
    assert json.loads(whole)["rows"][0]["object"] == json.loads(golden("node.json"))
    v1beta1 = {"Accept": "application/json;as=Table;v=v1beta1;g=meta.k8s.io"}
    metadata = json.loads(await text(await client.get(path, headers=v1beta1)))
    assert metadata["apiVersion"] == "meta.k8s.io/v1beta1"
    assert metadata["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1"
    response = await client.get(path + "Foo", headers=TABLE)
    assert response.status == 400
    assert json.loads(await text(response))["message"] == (
        "Unable to convert to Table as requested: includeObject: Invalid value: "
        "\"Foo\": must be 'Metadata', 'Object', 'None', or empty"
    )


async def test_the_table_of_nothing_has_null_columns_and_rows(world: World, serve: Serve) -> None:
    client = await serve(world)
    response = await client.get(f"{V1BETA1}/namespaces/none/pods", headers=TABLE)
    assert await text(response) == (
        '{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":null,"rows":null}\n'
    )


async def test_columns_are_those_of_the_first_object_with_usage(world: World, serve: Serve) -> None:
    world.usage.pods["default", "web-1"] = PodUsage(0, 0, ())
    client = await serve(world)
    body = await text(await client.get(f"{V1BETA1}/namespaces/default/pods", headers=TABLE))
    assert columns(body) == ["Name", "cpu", "memory", "Window"]
    assert cells(body) == [["web-1", "0s"], ["web-2", "2499773598n", "1Mi", "10.008s"]]


async def test_a_pretty_table_is_the_same_table(world: World, serve: Serve) -> None:
    client = await serve(world)
    pretty = await text(await client.get(f"{V1BETA1}/pods?pretty=1", headers=TABLE))
    plain = await text(await client.get(f"{V1BETA1}/pods", headers=TABLE))
    assert pretty == json.dumps(json.loads(plain), indent=2)


async def test_metadata_alone(world: World, serve: Serve) -> None:
    client = await serve(world)
    one = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    many = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    item = (
        '{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"node-a",'
        '"creationTimestamp":"2026-11-23T06:43:12Z","labels":{"zone":"z2"}}}'
    )
    assert await text(await client.get(f"{V1BETA1}/nodes/node-a", headers=one)) == item + "\n"
    listed = await text(await client.get(f"{V1BETA1}/nodes?labelSelector=zone%3Dz2", headers=many))
    assert listed == (
        '{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{},"items":['
        + item
        + "]}\n"
    )
    response = await client.get(f"{V1BETA1}/nodes", headers=one)
    assert response.status == 406
    assert json.loads(await text(response))["message"] == (
        "you requested PartialObjectMetadata, but the requested object is a list (*metrics.NodeMetricsList)"
    )
    assert (await client.get(f"{V1BETA1}/nodes/node-a", headers=many)).status == 406


@pytest.mark.parametrize(
    "accept", ["application/json;as=Table;v=v2;g=meta.k8s.io", "application/json;as=Foo"]
)
async def test_an_unknown_transformation_is_not_acceptable(world: World, serve: Serve, accept: str) -> None:
    client = await serve(world)
    assert (await client.get(f"{V1BETA1}/nodes", headers={"Accept": accept})).status == 406
    fallback = await client.get(f"{V1BETA1}/nodes", headers={"Accept": f"{accept},application/json"})
    assert await text(fallback) == golden("nodes.json")


async def test_failures_of_a_table_request_are_indented_json(world: World, serve: Serve) -> None:
    client = await serve(world)
    body = await text(await client.get(f"{V1BETA1}/nodes/zzz", headers=TABLE))
    assert body.startswith('{\n  "kind": "Status",\n')


@pytest.mark.parametrize("pretty", ["", "1"])
async def test_no_metadata_at_all_is_null_and_not_an_empty_list(
    world: World, serve: Serve, pretty: str
) -> None:
    client = await serve(world)
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    response = await client.get(f"{V1BETA1}/namespaces/none/pods?pretty={pretty}", headers=accept)
    assert (await response.json())["items"] is None


async def test_what_is_not_there_is_not_found_before_its_form_is_refused(world: World, serve: Serve) -> None:
    client = await serve(world)
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    assert (await client.get(f"{V1BETA1}/nodes/zzz", headers=accept)).status == 404
    assert (await client.get(f"{V1BETA1}/nodes/node-a", headers=accept)).status == 406

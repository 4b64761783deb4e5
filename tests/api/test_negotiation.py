"""Accept headers that clients of the API send, and the two ways of not being acceptable."""

import json

import pytest

from tests.api.conftest import Serve
from tests.api.world import V1BETA1, World, golden, text

NODE = f"{V1BETA1}/nodes/node-a"
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/json, */*",
        "text/html,*/*;q=0.1",
        "application/json;q=0",
        "application/json;charset=utf-8;stream=watch",
        f"{PROTOBUF};q=0.3, application/json;q=0.5",
    ],
)
async def test_json_answers_whoever_can_read_it(world: World, serve: Serve, accept: str) -> None:
    client = await serve(world)
    response = await client.get(NODE, headers={"Accept": accept})
    assert (response.status, await text(response)) == (200, golden("node.json"))


async def test_who_can_read_nothing_of_it_gets_406_as_indented_json(world: World, serve: Serve) -> None:
    client = await serve(world)
    response = await client.get(NODE, headers={"Accept": "text/html"})
    assert (response.status, await text(response)) == (406, golden("not-acceptable.json").removesuffix("\n"))
    assert response.headers["Content-Type"] == "application/json"


async def test_a_wildcard_subtype_is_not_acceptable_to_the_route(world: World, serve: Serve) -> None:
    client = await serve(world)
    response = await client.get(NODE, headers={"Accept": "application/*"})
    assert response.status == 406
    assert (
        await text(response)
        == json.dumps(json.loads(golden("not-acceptable.json")), separators=(",", ":")) + "\n"
    )
    listed = await client.get(f"{V1BETA1}/nodes", headers={"Accept": "application/*"})
    assert json.loads(await text(listed))["message"].endswith(
        ": application/json, application/yaml, application/vnd.kubernetes.protobuf, "
        "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    )


async def test_an_unknown_transformation_alone_names_the_types_there_are(world: World, serve: Serve) -> None:
    client = await serve(world)
    response = await client.get(NODE, headers={"Accept": "application/json;as=Table;v=v3;g=meta.k8s.io"})
    body = json.loads(await text(response))
    assert response.status == 406
    assert body["message"] == (
        "only the following media types are accepted: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    assert "details" not in body

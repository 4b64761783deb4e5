"""YAML as `kubectl get -o yaml` and sigs.k8s.io/yaml write it."""

import json

import pytest
import yaml

from pymetrics_server.api.yaml import to_yaml
from tests.api.conftest import Serve
from tests.api.world import V1BETA1, World, golden, text

YAML = "application/yaml"


async def test_a_pod_in_yaml_is_what_the_original_writes(world: World, serve: Serve) -> None:
    client = await serve(world)
    response = await client.get(f"{V1BETA1}/namespaces/default/pods/web-1", headers={"Accept": YAML})
    assert response.headers["Content-Type"] == YAML
    assert await text(response) == golden("pod.yaml")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        (f"{V1BETA1}/pods", ""),
        (f"{V1BETA1}/nodes/node-a", ""),
        (f"{V1BETA1}/namespaces/nowhere/pods", ""),
        (f"{V1BETA1}/pods", ";as=Table;v=v1;g=meta.k8s.io"),
        (f"{V1BETA1}/nodes/node-a", ";as=Table;v=v1;g=meta.k8s.io"),
        (f"{V1BETA1}/namespaces/nowhere/pods", ";as=Table;v=v1;g=meta.k8s.io"),
        (f"{V1BETA1}/pods", ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
        ("/apis", ""),
        ("/apis", ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
        ("/apis/metrics.k8s.io", ""),
        (V1BETA1, ""),
        (f"{V1BETA1}/nodes/zzz", ""),
        (f"{V1BETA1}/nothing", ""),
    ],
)
async def test_yaml_and_json_say_the_same(world: World, serve: Serve, path: str, parameters: str) -> None:
    client = await serve(world)
    as_json = await client.get(path, headers={"Accept": f"application/json{parameters}"})
    answer = await client.get(path, headers={"Accept": f"{YAML}{parameters}"})
    body = await text(answer)
    assert answer.status == as_json.status
    assert yaml.load(body, yaml.BaseLoader) == _texts(json.loads(await text(as_json)))
    keys = [line.partition(":")[0] for line in body.splitlines() if line[0] not in " -"]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    "said",
    [
        "y",
        "No",
        "on",
        "1.5",
        "12345",
        "0x1f",
        "1e3",
        "1_2e3",
        "2026-1-5",
        "null",
        "~",
        "true",
        "2026-11-23",
        "",
    ],
)
def test_text_that_yaml_would_read_as_something_else_is_in_double_quotes(said: str) -> None:
    assert to_yaml(json.dumps({"key": said}).encode()) == f'key: "{said}"\n'.encode()


def test_text_of_several_lines_is_a_literal_block() -> None:
    assert to_yaml(b'{"message":"406\\n\\nrest"}') == b"message: |-\n  406\n\n  rest\n"


def _texts(value: object) -> object:
    """As a loader that believes in text only reads it."""
    match value:
        case dict():
            return {key: _texts(each) for key, each in value.items()}
        case list():
            return [_texts(each) for each in value]
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case _:
            return str(value)

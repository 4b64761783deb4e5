"""Kubernetes' protobuf, read by Google's library, says what the JSON of the same request says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.api import encode, protobuf
from pymetrics_server.meta.identity import Decision
from pymetrics_server.meta.usage import ContainerUsage, NodeUsage, PodUsage
from tests.api.conftest import Serve
from tests.api.world import NOW_NS, SECOND_NS, V1, V1BETA1, World, pod_usage
from tests.fakes.protobuf import decode

PROTOBUF = "application/vnd.kubernetes.protobuf"
PARTIAL = "as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
CREATED_S = NOW_NS // SECOND_NS

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
labels = st.dictionaries(text, text, max_size=4)
counts = st.integers(0, 2**63 - 1)
instants = st.integers(0, 2**33).map(lambda second: second * SECOND_NS)
containers = st.builds(ContainerUsage, text, counts, counts)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        (f"{V1BETA1}/nodes", ""),
        (f"{V1}/nodes/node-a", ""),
        (f"{V1BETA1}/pods", ""),
        (f"{V1}/namespaces/default/pods?labelSelector=app%3Dweb", ""),
        (f"{V1}/namespaces/nowhere/pods", ""),
        (f"{V1BETA1}/namespaces/default/pods/web-1", ""),
        (f"{V1BETA1}/namespaces/default/pods/web-1", PARTIAL),
        (f"{V1BETA1}/pods", PARTIAL_LIST),
        (f"{V1BETA1}/nodes", PARTIAL_LIST),
        ("/apis", ""),
        ("/apis", "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
        ("/apis/metrics.k8s.io", ""),
        (V1BETA1, ""),
        # Failures: with and without details, with causes.
        (f"{V1BETA1}/nodes/zzz", ""),
        (f"{V1BETA1}/namespaces/default/pods/nometrics", ""),
        (f"{V1BETA1}/nothing", ""),
        (f"{V1BETA1}/nodes?labelSelector=a%3D%3D%3Db", ""),
        (f"{V1BETA1}/pods?resourceVersionMatch=Foo", ""),
        (f"{V1BETA1}/pods?watch=1", ""),
    ],
)
async def test_protobuf_and_json_say_the_same(world: World, serve: Serve, path: str, parameters: str) -> None:
    world.pods.pods[0].labels.update({"ключ": "значение", "long": "x" * 200})  # type: ignore[attr-defined]
    world.usage.pods["default", "nothing-left"] = pod_usage(0)
    client = await serve(world)
    suffix = f";{parameters}" if parameters else ""
    as_json = await client.get(path, headers={"Accept": f"application/json{suffix}"})
    answer = await client.get(path, headers={"Accept": f"{PROTOBUF}{suffix}"})
    assert answer.status == as_json.status
    assert answer.headers["Content-Type"] == as_json.headers["Content-Type"].replace(
        "application/json", PROTOBUF
    )
    assert decode(await answer.read()) == _without_item_kinds(json.loads(await as_json.read()))


def _without_item_kinds(value: dict[str, Any]) -> dict[str, Any]:
    """Items of a PartialObjectMetadataList say what they are in JSON only."""
    if value["kind"] != "PartialObjectMetadataList":
        return value
    return value | {"items": [{"metadata": item["metadata"]} for item in value["items"]]}


async def test_the_autoscalers_accept_header_gets_protobuf(world: World, serve: Serve) -> None:
    client = await serve(world)
    for accept in (f"{PROTOBUF}, */*", f"{PROTOBUF},application/json"):
        answer = await client.get(f"{V1BETA1}/pods", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == PROTOBUF
        assert [item["metadata"]["name"] for item in decode(await answer.read())["items"]] == [
            "web-1", "web-2", "coredns-x"
        ]  # fmt: skip


async def test_refusals_of_the_front_door_are_protobuf_too(world: World, serve: Serve) -> None:
    client = await serve(world)
    world.auth.rejects = True
    answer = await client.get(f"{V1BETA1}/pods", headers={"Accept": PROTOBUF})
    assert (answer.status, decode(await answer.read())["reason"]) == (401, "Unauthorized")
    world.auth.rejects, world.auth.decision = False, Decision(False)
    answer = await client.get(f"{V1BETA1}/pods", headers={"Accept": PROTOBUF})
    assert (answer.status, decode(await answer.read())["reason"]) == (403, "Forbidden")


async def test_the_old_list_of_metadata_has_its_fields_the_other_way_round(
    world: World, serve: Serve
) -> None:
    client = await serve(world)
    both = [
        decode(await (await client.get(f"{V1BETA1}/pods", headers={"Accept": f"{PROTOBUF};{form}"})).read())
        for form in (PARTIAL_LIST, PARTIAL_LIST.replace("v1", "v1beta1"))
    ]
    assert both[1].pop("apiVersion") == "meta.k8s.io/v1beta1"
    assert both[0].pop("apiVersion") == "meta.k8s.io/v1"
    assert both[0] == both[1]
    assert len(both[0]["items"]) == 3


async def test_a_table_is_not_to_be_had_in_protobuf(world: World, serve: Serve) -> None:
    client = await serve(world)
    table = "as=Table;v=v1;g=meta.k8s.io"
    answer = await client.get(f"{V1BETA1}/pods", headers={"Accept": f"{PROTOBUF};{table}"})
    assert answer.status == 406
    either = f"{PROTOBUF};{table},application/json;{table}"
    answer = await client.get(f"{V1BETA1}/pods", headers={"Accept": either})
    assert (await answer.json())["kind"] == "Table"


def test_the_bytes_are_those_of_a_captured_answer() -> None:
    usage = NodeUsage(1795417849 * SECOND_NS, 10_013_000_000, 123463523, 1578392 << 10)
    fragment = protobuf.node_fragment("node-a", {"zone": "z2"}, usage, 1795417853)
    body = b"".join(
        protobuf.envelope("NodeMetrics", "metrics.k8s.io/v1beta1", [protobuf.message_of(fragment)])
    )
    assert body.hex() == (
        "6b387300" "0a250a16" + b"metrics.k8s.io/v1beta1".hex() + "120b" + b"NodeMetrics".hex() +
        "126a" "0a2a" "0a06" + b"node-a".hex() + "1200" "1a00" "2200" "2a00" "3200" "3800"
        "420808fdcd8fd8061000" "5a0a" "0a04" + b"zone".hex() + "1202" + b"z2".hex() +
        "120808f9cd8fd8061000" "1a0608c082c9a625"
        "2213" "0a03" + b"cpu".hex() + "120c0a0a" + b"123463523n".hex() +
        "2215" "0a06" + b"memory".hex() + "120b0a09" + b"1578392Ki".hex() + "1a002200"
    )  # fmt: skip
    empty = protobuf.list_body("PodMetricsList", "metrics.k8s.io/v1beta1", [])
    assert b"".join(empty).hex().endswith("12080a060a0012001a001a002200")


@given(text, labels, instants, counts, counts, counts)
def test_any_node_reads_the_same_in_both_forms(
    name: str, labels: dict[str, str], instant_ns: int, window_ns: int, cpu: int, memory: int
) -> None:
    usage = NodeUsage(instant_ns, window_ns, cpu, memory)
    as_json = encode.single(
        "NodeMetrics", "v", encode.node_fragment(encode.template(name, "", labels), usage, CREATED_S)
    )
    fragment = protobuf.node_fragment(name, labels, usage, CREATED_S)
    body = b"".join(protobuf.envelope("NodeMetrics", "v", [protobuf.message_of(fragment)]))
    assert decode(body) == _as_go_reads(json.loads(as_json))


@given(text, text, labels, instants, counts, st.lists(containers, max_size=4))
def test_any_pod_reads_the_same_in_both_forms(
    namespace: str, name: str, labels: dict[str, str], at_ns: int, window_ns: int, found: list[ContainerUsage]
) -> None:
    usage = PodUsage(at_ns, window_ns, tuple(found))
    template = encode.template(name, namespace, labels)
    json_fragment = encode.pod_fragment(template, usage, CREATED_S)
    fragment = protobuf.pod_fragment(namespace, name, labels, usage, CREATED_S)
    body = b"".join(protobuf.list_body("PodMetricsList", "v", [fragment, fragment]))
    item = json.loads(json_fragment)
    assert decode(body)["items"] == [_as_go_reads(item)] * 2
    partials = b"".join(
        protobuf.list_body("PartialObjectMetadataList", "v", [protobuf.partial_fragment(fragment, "v1")])
    )
    assert decode(partials)["items"] == [{"metadata": _as_go_reads(item)["metadata"]}]
    assert (
        json.loads(encode.partial_object("v1", template, CREATED_S))["metadata"]
        == json.loads(json_fragment)["metadata"]
    )


def _as_go_reads(value: dict[str, Any]) -> dict[str, Any]:
    """An empty name is there in JSON, where the other form cannot tell it from none."""
    named = [value["metadata"], *value.get("containers", ())]
    for each in named:
        if not each.get("name"):
            each.pop("name", None)
    return value

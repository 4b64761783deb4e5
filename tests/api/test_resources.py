"""Get and list of nodes and pods over a real socket: bodies, query parameters, what is not found."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pymetrics_server.api.encode import pod_fragment, template
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.negotiation import JSON, PROTOBUF
from pymetrics_server.api.nodes import Nodes as ServedNodes
from pymetrics_server.meta.objects import Node, PodMeta
from pymetrics_server.meta.selectors import FieldSelector, LabelSelector, parse_label_selector
from pymetrics_server.meta.status import go_json
from pymetrics_server.meta.usage import ContainerUsage, PodUsage
from tests.api.conftest import Serve
from tests.api.world import (
    NOW_NS,
    SECOND_NS,
    V1,
    V1BETA1,
    Nodes,
    Pods,
    Usage,
    World,
    golden,
    node_usage,
    pod_usage,
    text,
)

CREATED_S = NOW_NS // SECOND_NS
FAILURE = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'


def names(body: str) -> list[str]:
    return [item["metadata"]["name"] for item in json.loads(body)["items"]]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/nodes", "nodes.json"),
        ("/nodes/", "nodes.json"),
        ("/nodes/node-a", "node.json"),
        ("/nodes/node-a/", "node.json"),
        ("/nodes/%6eode-a", "node.json"),
        ("/pods", "pods.json"),
        ("/namespaces//pods", "pods.json"),
        ("/namespaces/default/pods/web-1", "pod.json"),
        ("/namespaces/default/pods/web-1/", "pod.json"),
    ],
)
async def test_bodies_are_those_of_metrics_server(world: World, serve: Serve, path: str, name: str) -> None:
    client = await serve(world)
    response = await client.get(V1BETA1 + path)
    assert (response.status, await text(response)) == (200, golden(name))
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-cache, private"
    v1 = await client.get(V1 + path)
    assert await text(v1) == golden(name).replace("metrics.k8s.io/v1beta1", "metrics.k8s.io/v1")


async def test_pretty_is_the_same_document_indented(world: World, serve: Serve) -> None:
    client = await serve(world)
    for path, name in [("/nodes", "nodes.json"), ("/namespaces/default/pods/web-1", "pod.json")]:
        expected = json.dumps(json.loads(golden(name)), indent=2)
        assert await text(await client.get(f"{V1BETA1}{path}?pretty=true")) == expected
        assert await text(await client.get(V1BETA1 + path, headers={"User-Agent": "curl/8.0"})) == expected
        assert (
            await text(await client.get(V1BETA1 + path, headers={"Accept": "application/json;pretty=1"}))
            == expected
        )
        for asked in ("?pretty=0", "?pretty=yes"):
            plain = await client.get(V1BETA1 + path + asked, headers={"User-Agent": "curl/8.0"})
            assert await text(plain) == golden(name)
        undecided = await client.get(f"{V1BETA1}{path}?pretty=", headers={"User-Agent": "curl/8.0"})
        assert await text(undecided) == expected
    empty = await client.get(f"{V1BETA1}/namespaces/none/pods?pretty=1")
    assert (await text(empty)).endswith('  "metadata": {},\n  "items": []\n}')


async def test_an_unknown_namespace_is_an_empty_list(world: World, serve: Serve) -> None:
    client = await serve(world)
    body = await text(await client.get(f"{V1BETA1}/namespaces/none/pods"))
    assert (
        body == '{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":[]}\n'
    )


async def test_a_pod_without_a_usable_container_has_no_time(world: World, serve: Serve) -> None:
    world.usage.pods["default", "web-1"] = PodUsage(0, 0, ())
    client = await serve(world)
    body = await text(await client.get(f"{V1BETA1}/namespaces/default/pods/web-1"))
    assert body.endswith(',"timestamp":null,"window":"0s","containers":[]}\n')


async def test_labels_are_escaped_as_go_escapes_them(world: World, serve: Serve) -> None:
    world.nodes.nodes[0] = Node(name="node-a", labels={"k": '<a>&"\\\u2028\u00e9\n'})
    client = await serve(world)
    body = await text(await client.get(f"{V1BETA1}/nodes/node-a"))
    assert '"labels":{"k":"\\u003ca\\u003e\\u0026\\"\\\\\\u2028\u00e9\\n"}' in body


_anything = st.text(max_size=20)


@given(
    _anything.filter(bool), st.dictionaries(_anything, _anything, max_size=4), st.lists(_anything, max_size=3)
)
def test_whatever_stands_in_names_and_labels_the_bytes_are_what_go_writes(
    name: str, labels: dict[str, str], containers: list[str]
) -> None:
    usage = PodUsage(
        1_700_000_000 * 10**9, 15 * 10**9, tuple(ContainerUsage(each, 1_500_000, 2048) for each in containers)
    )
    metadata: dict[str, object] = {
        "name": name,
        "namespace": "ns",
        "creationTimestamp": "2023-11-14T22:13:20Z",
    }
    if labels:
        metadata["labels"] = {key: labels[key] for key in sorted(labels)}
    expected = {
        "metadata": metadata,
        "timestamp": "2023-11-14T22:13:20Z",
        "window": "15s",
        "containers": [{"name": each, "usage": {"cpu": "1500u", "memory": "2Ki"}} for each in containers],
    }
    assert pod_fragment(template(name, "ns", labels), usage, 1_700_000_000) == go_json(expected)[:-1]


@pytest.mark.parametrize(
    ("path", "tail"),
    [
        (
            "/nodes/zzz",
            '"node \\"zzz\\" not found","reason":"NotFound","details":{"name":"zzz","kind":"node"},"code":404}',
        ),
        (
            "/nodes/node-down",
            '"nodemetrics.metrics.k8s.io \\"node-down\\" not found","reason":"NotFound","details":'
            '{"name":"node-down","group":"metrics.k8s.io","kind":"nodemetrics"},"code":404}',
        ),
        (
            "/namespaces/default/pods/zzz",
            '"pods \\"zzz\\" not found","reason":"NotFound","details":{"name":"zzz","kind":"pods"},"code":404}',
        ),
        (
            "/namespaces/default/pods/nometrics",
            '"podmetrics.metrics.k8s.io \\"default/nometrics\\" not found","reason":"NotFound","details":'
            '{"name":"default/nometrics","group":"metrics.k8s.io","kind":"podmetrics"},"code":404}',
        ),
    ],
)
async def test_not_found_says_whether_object_or_metrics_are_missing(
    world: World, serve: Serve, path: str, tail: str
) -> None:
    client = await serve(world)
    response = await client.get(V1BETA1 + path)
    assert (response.status, await text(response)) == (404, FAILURE + tail + "\n")


@pytest.mark.parametrize(
    "path",
    [
        "/apis/metrics.k8s.io/v1beta1/services",
        "/apis/metrics.k8s.io/v1beta1/nodes/a/status",
        "/apis/metrics.k8s.io/v1beta1//nodes",
        "/apis/metrics.k8s.io/v2/nodes",
        "/apis/metrics.k8s.io/v1beta1/watch/pods",
        "/apis/metrics.k8s.io/v1beta1/namespaces/default",
        "/apis/metrics.k8s.io/v1beta1/nodes/a%2fstatus",
    ],
)
async def test_an_unknown_resource_is_a_404_status(world: World, serve: Serve, path: str) -> None:
    from yarl import URL

    client = await serve(world)
    base = client._base_url
    assert base is not None
    response = await client.get(URL(f"http://{base.host}:{base.port}{path}", encoded=True))
    tail = '"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}\n'
    assert (response.status, await text(response)) == (404, FAILURE + tail)


@pytest.mark.parametrize(
    ("query", "code", "tail"),
    [
        (
            "fieldSelector=spec.nodeName%3Dx",
            400,
            '"\\"spec.nodeName\\" is not a known field selector: only \\"metadata.name\\", '
            '\\"metadata.namespace\\"","reason":"BadRequest","code":400}',
        ),
        (
            "fieldSelector=xx",
            400,
            '"invalid selector: \'xx\'; can\'t understand \'xx\'","reason":"BadRequest","code":400}',
        ),
        (
            "labelSelector=a%3D%3D%3Db",
            400,
            '"unable to parse requirement: found \'=\', expected: identifier","reason":"BadRequest","code":400}',
        ),
        (
            "limit=abc",
            400,
            '"strconv.ParseInt: parsing \\"abc\\": invalid syntax","reason":"BadRequest","code":400}',
        ),
        (
            "timeoutSeconds=x",
            400,
            '"strconv.ParseInt: parsing \\"x\\": invalid syntax","reason":"BadRequest","code":400}',
        ),
        (
            "limit=99999999999999999999",
            400,
            '"strconv.ParseInt: parsing \\"99999999999999999999\\": value out of range",'
            '"reason":"BadRequest","code":400}',
        ),
        (
            "resourceVersionMatch=Exact",
            422,
            '"ListOptions.meta.k8s.io \\"\\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is '
            'forbidden unless resourceVersion is provided","reason":"Invalid","details":{"group":"meta.k8s.io",'
            '"kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: '
            'resourceVersionMatch is forbidden unless resourceVersion is provided","field":'
            '"resourceVersionMatch"}]},"code":422}',
        ),
        (
            "resourceVersion=5&resourceVersionMatch=Foo",
            422,
            '"ListOptions.meta.k8s.io \\"\\" is invalid: resourceVersionMatch: Unsupported value: \\"Foo\\": '
            'supported values: \\"Exact\\", \\"NotOlderThan\\", \\"\\"","reason":"Invalid","details":{"group":'
            '"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueNotSupported","message":'
            '"Unsupported value: \\"Foo\\": supported values: \\"Exact\\", \\"NotOlderThan\\", \\"\\"","field":'
            '"resourceVersionMatch"}]},"code":422}',
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            422,
            '"ListOptions.meta.k8s.io \\"\\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch '
            '\\"exact\\" is forbidden for resourceVersion \\"0\\"","reason":"Invalid","details":{"group":'
            '"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: '
            'resourceVersionMatch \\"exact\\" is forbidden for resourceVersion \\"0\\"","field":'
            '"resourceVersionMatch"}]},"code":422}',
        ),
        (
            "sendInitialEvents=true",
            422,
            '"ListOptions.meta.k8s.io \\"\\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is '
            'forbidden for list","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"ListOptions",'
            '"causes":[{"reason":"FieldValueForbidden","message":"Forbidden: sendInitialEvents is forbidden for '
            'list","field":"sendInitialEvents"}]},"code":422}',
        ),
        (
            "watch=1&resourceVersionMatch=Exact",
            422,
            '"ListOptions.meta.k8s.io \\"\\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is '
            "forbidden for watch unless sendInitialEvents is provided, resourceVersionMatch: Unsupported value: "
            '\\"Exact\\": supported values: \\"NotOlderThan\\"]","reason":"Invalid","details":{"group":'
            '"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: '
            'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided","field":'
            '"resourceVersionMatch"},{"reason":"FieldValueNotSupported","message":"Unsupported value: '
            '\\"Exact\\": supported values: \\"NotOlderThan\\"","field":"resourceVersionMatch"}]},"code":422}',
        ),
        (
            "watch=1&sendInitialEvents=true",
            422,
            '"ListOptions.meta.k8s.io \\"\\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents '
            'requires setting resourceVersionMatch to NotOlderThan","reason":"Invalid","details":{"group":'
            '"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: '
            'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan","field":'
            '"resourceVersionMatch"}]},"code":422}',
        ),
        *(
            (
                f"watch={value}",
                405,
                '"watch is not supported on resources of kind \\"pods.metrics.k8s.io\\"","reason":'
                '"MethodNotAllowed","details":{"group":"metrics.k8s.io","kind":"pods"},"code":405}',
            )
            for value in ("", "true", "abc")
        ),
    ],
)
async def test_list_parameters_are_refused_in_kubernetes_words(
    world: World, serve: Serve, query: str, code: int, tail: str
) -> None:
    client = await serve(world)
    response = await client.get(f"{V1BETA1}/pods?{query}")
    assert (response.status, await text(response)) == (code, FAILURE + tail + "\n")


@pytest.mark.parametrize(
    "query",
    [
        "limit=1",
        "limit=-1",
        "limit=1&continue=token",
        "resourceVersion=abc",
        "resourceVersion=5&resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        "watch=false",
        "watch=0",
        "watch=FALSE",
        "allowWatchBookmarks=true",
        "timeoutSeconds=3",
        "timeout=5s",
        "unknown=x",
        "limit=%zz",
        "limit=abc;x",
        "labelSelector=app%3Dweb;tier",
        "labelSelector=%00app",
        "fieldSelector=%21%3D",
    ],
)
async def test_parameters_without_meaning_here_leave_the_list_whole(
    world: World, serve: Serve, query: str
) -> None:
    client = await serve(world)
    assert await text(await client.get(URL(f"{V1BETA1}/pods?{query}", encoded=True))) == golden("pods.json")


async def test_get_ignores_watch_and_refuses_export(world: World, serve: Serve) -> None:
    client = await serve(world)
    path = f"{V1BETA1}/nodes/node-a"
    for query in ("watch=true", "resourceVersion=5", "export=false"):
        assert await text(await client.get(f"{path}?{query}")) == golden("node.json")
    response = await client.get(f"{path}?export=true")
    message = '"the export parameter, deprecated since v1.14, is no longer supported"'
    assert response.status == 400
    assert await text(response) == FAILURE + message + ',"reason":"BadRequest","code":400}\n'


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fieldSelector=metadata.name!=node-a", ["node-b"]),
        ("fieldSelector=metadata.namespace=foo", []),
        ("fieldSelector=metadata.namespace!=foo", ["node-a", "node-b"]),
        ("fieldSelector=metadata.name=node-a,metadata.name=node-b", []),
        ("labelSelector=zone in (z1,z9)", ["node-b"]),
        ("labelSelector=!zone", []),
    ],
)
async def test_node_selectors(world: World, serve: Serve, query: str, expected: list[str]) -> None:
    client = await serve(world)
    assert names(await text(await client.get(f"{V1BETA1}/nodes", params=query))) == expected


async def test_an_exact_name_is_looked_up_rather_than_searched_for(world: World, serve: Serve) -> None:
    client = await serve(world)
    await client.get(f"{V1BETA1}/nodes?fieldSelector=metadata.name=node-a")
    await client.get(f"{V1BETA1}/namespaces/default/pods?fieldSelector=metadata.name=web-1")
    await client.get(f"{V1BETA1}/pods?fieldSelector=metadata.namespace=default")
    await client.get(f"{V1BETA1}/namespaces/default/pods?fieldSelector=metadata.namespace=other")
    assert "list" not in world.nodes.asked
    assert [asked for asked in world.pods.asked if asked.startswith("list")] == ["list default"]


@pytest.fixture
def nodes_a() -> World:
    """The original's table of nodes: node4 and node5 are without metrics, skipped ones are not listed."""
    nodes = [
        Node(name="node1", labels={"labelKey": "labelValue"}),
        Node(name="node2", labels={"otherKey": "labelValue"}),
        Node(name="node3", labels={"labelKey": "otherValue"}),
        Node(name="node4", labels={"otherKey": "otherValue"}),
        Node(name="node6", labels={"skipKey": "skipValue"}),
    ]
    usage = {
        "node1": node_usage(10_000_000, 1, 1000, age_s=10),
        "node2": node_usage(20_000_000, 5 << 20, 2000, age_s=10),
        "node3": node_usage(1_000_000_000, 1000, 3000, age_s=10),
        "node6": node_usage(1, 1, 1000),
    }
    selector = parse_label_selector("skipKey!=skipValue")
    return World(Nodes(nodes), Pods([]), Usage(usage, {}), node_selector=selector)


@pytest.fixture
def pods_a() -> World:
    pods = [
        PodMeta("other", "pod1", {"labelKey": "labelValue"}),
        PodMeta("other", "pod2", {"otherKey": "labelValue"}),
        PodMeta("other", "pod4"),
        PodMeta("testValue", "pod3", {"labelKey": "otherValue"}),
    ]
    usage = {
        ("other", "pod1"): pod_usage(1000, ("a", 10_000_000, 0), ("b", 0, 5 << 20), age_s=10),
        ("other", "pod2"): pod_usage(2000, ("a", 20_000_000, 15 << 20), age_s=10),
        ("testValue", "pod3"): pod_usage(3000, ("a", 20_000_000, 25 << 20), age_s=10),
    }
    return World(Nodes([]), Pods(pods), Usage({}, usage))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["node1", "node2", "node3"]),
        ("fieldSelector=metadata.name=node4", []),
        ("fieldSelector=metadata.name=node2", ["node2"]),
        ("labelSelector=labelKey=labelValue", ["node1"]),
        ("fieldSelector=metadata.name=node3&labelSelector=labelKey=otherValue", ["node3"]),
        ("fieldSelector=metadata.name=node6", []),
    ],
)
async def test_nodes_listed(nodes_a: World, serve: Serve, query: str, expected: list[str]) -> None:
    client = await serve(nodes_a)
    body = await text(await client.get(f"{V1BETA1}/nodes?{query}"))
    assert names(body) == expected
    for item in json.loads(body)["items"]:
        labels = next(node.labels for node in nodes_a.nodes.nodes if node.name == item["metadata"]["name"])
        assert item["metadata"]["labels"] == labels


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["pod1", "pod2", "pod3"]),
        ("fieldSelector=metadata.namespace=unknown", []),
        ("fieldSelector=metadata.namespace=testValue", ["pod3"]),
        ("labelSelector=labelKey=labelValue", ["pod1"]),
        ("fieldSelector=metadata.name=pod3&labelSelector=labelKey=otherValue", ["pod3"]),
    ],
)
async def test_pods_listed(pods_a: World, serve: Serve, query: str, expected: list[str]) -> None:
    client = await serve(pods_a)
    assert names(await text(await client.get(f"{V1BETA1}/pods?{query}"))) == expected


async def test_gets_of_the_original_tables(nodes_a: World, pods_a: World, serve: Serve) -> None:
    nodes, pods = await serve(nodes_a), await serve(pods_a)
    assert (await nodes.get(f"{V1BETA1}/nodes/node1")).status == 200
    for name in ("node4", "node5"):
        assert (await nodes.get(f"{V1BETA1}/nodes/{name}")).status == 404
    assert (await pods.get(f"{V1BETA1}/namespaces/other/pods/pod1")).status == 200
    for path in ("testValue/pods/pod4", "other/pods/pod5"):
        assert (await pods.get(f"{V1BETA1}/namespaces/{path}")).status == 404


async def test_a_failing_lister_is_a_500_status(world: World, serve: Serve) -> None:
    world.nodes.broken = world.pods.broken = True
    client = await serve(world)
    for path, message in [
        ("/nodes", "failed listing nodes: boom"),
        ("/nodes/node-a", "failed getting node: boom"),
        ("/pods", "failed listing pods: boom"),
        ("/namespaces/default/pods/web-1", "failed getting pod: boom"),
    ]:
        response = await client.get(V1BETA1 + path)
        body = json.loads(await text(response))
        assert (response.status, body["message"], body["reason"]) == (500, message, "InternalError")


async def test_freshness_is_observed_once_per_returned_object(
    nodes_a: World, pods_a: World, serve: Serve
) -> None:
    family = "metrics_server_api_metric_freshness_seconds"
    for world, path in [(nodes_a, "/nodes"), (pods_a, "/pods")]:
        client = await serve(world)
        await client.get(V1BETA1 + path)
        assert world.value(f"{family}_count") == 3
        assert world.value(f"{family}_sum") == 30
        assert world.value(f"{family}_bucket", {"le": "8.784167171490942"}) == 0
        assert world.value(f"{family}_bucket", {"le": "11.981604021913647"}) == 3


@pytest.mark.parametrize("form", [JSON, PROTOBUF])
def test_an_item_is_encoded_once_for_each_sample_and_label_set(world: World, form: str) -> None:
    nodes = ServedNodes(world.nodes, world.usage, world.node_selector)
    encode = nodes.json if form == JSON else nodes.protobuf

    def item(created_s: int) -> bytes:
        [found] = nodes.select("", ListOptions(LabelSelector(), FieldSelector()), 0)
        return encode(found[0], created_s)

    first = item(CREATED_S)
    assert item(CREATED_S + 47) is first
    world.nodes.nodes[0] = Node(name="node-a", labels={"zone": "z3"})
    relabelled = item(CREATED_S)
    assert b"z3" in relabelled
    world.usage.nodes["node-a"] = node_usage(2_000_000_000, 1024, 1000)
    assert item(CREATED_S) != relabelled

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymetrics_server.cluster.nodes import NODE_SHAPE
from pymetrics_server.cluster.pods import POD_SHAPE
from pymetrics_server.cluster.wire import event
from pymetrics_server.errors import ApiserverError
from pymetrics_server.meta.objects import Node, NodeAddress, PodMeta

PAYLOADS = Path(os.environ.get("PAYLOADS", Path(__file__).parents[2] / ".." / "shared" / "payloads"))


def payload_objects() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for file in sorted([*PAYLOADS.glob("nodes/*"), *PAYLOADS.glob("recorded/node-*.json")]):
        document = (
            yaml.safe_load(file.read_text()) if file.suffix == ".yaml" else json.loads(file.read_text())
        )
        objects = document if isinstance(document, list) else document.get("items", [document])
        found += [(file.name, item) for item in objects]
    return found


def test_every_recorded_node_decodes() -> None:
    objects = payload_objects()
    if not objects:
        pytest.skip("no recorded payloads beside the repository; set PAYLOADS")
    for file, item in objects:
        node = NODE_SHAPE.one(json.dumps(item, default=str).encode())
        assert node is not None, file
        assert node.name == item["metadata"]["name"], file
        assert dict(node.labels) == (item["metadata"].get("labels") or {}), file
        status = item.get("status") or {}
        addresses = [(a["type"], a["address"]) for a in status.get("addresses") or () if a["address"]]
        assert [(a.type, a.address) for a in node.addresses] == addresses, file
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        assert node.ready == (conditions.get("Ready") == "True"), file
        endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
        assert node.kubelet_port == endpoint.get("Port", 0), file
        cpu = str((status.get("capacity") or {}).get("cpu", 0))
        assert node.cpu_capacity_nanocores == int(cpu) * 10**9, file


def test_all_that_is_read_of_a_node_is_kept() -> None:
    whole = {
        "metadata": {
            "name": "n",
            "uid": "u",
            "labels": {"zone": "1"},
            "annotations": {"metrics.k8s.io/resource-metrics-path": "/m", "other": "x"},
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "ExternalIP", "address": ""},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "conditions": [{"type": "Ready", "status": "True"}],
            "capacity": {"cpu": "1500m", "memory": "1Gi"},
        },
    }
    assert NODE_SHAPE.one(json.dumps(whole).encode()) == Node(
        name="n",
        uid="u",
        labels={"zone": "1"},
        addresses=(NodeAddress("InternalIP", "10.0.0.1"),),
        kubelet_port=10250,
        ready=True,
        resource_metrics_path="/m",
        cpu_capacity_nanocores=1_500_000_000,
    )


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"addresses": None, "daemonEndpoints": None, "conditions": None, "capacity": None},
        {"daemonEndpoints": {"kubeletEndpoint": None}, "conditions": [{}], "addresses": [{}], "capacity": {}},
        {"daemonEndpoints": {"kubeletEndpoint": {}}, "capacity": {"cpu": "many"}},
    ],
)
def test_a_node_that_says_nothing_is_still_a_node(status: object) -> None:
    text = json.dumps({"metadata": {"name": "n", "labels": None, "annotations": None}, "status": status})
    assert NODE_SHAPE.one(text.encode()) == Node(name="n")


def test_an_object_without_a_name_is_none() -> None:
    assert NODE_SHAPE.one(b'{"metadata":null}') is None
    assert POD_SHAPE.one(b"{}") is None
    assert POD_SHAPE.one(b'{"metadata":{"name":"p","namespace":"d","labels":null}}') == PodMeta("d", "p")


@pytest.mark.parametrize("odd", [b'"\xff"', b"[" * 5000, b'{"metadata":{"name":"\xc3\x28"}}'])
def test_an_object_that_cannot_be_read_at_all_costs_itself_and_not_its_list(odd: bytes) -> None:
    assert NODE_SHAPE.one(odd) is None
    page = NODE_SHAPE.page(
        b'{"items":[{"metadata":{"name":"a"}},%b]}' % (b'{"metadata":{"name":"\xc3\x28"}}')
    )
    assert [node.name for node in page.items] == ["a"]
    with pytest.raises(ApiserverError):
        event(odd)

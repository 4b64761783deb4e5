"""That what a kubelet measured is what arrives at the other end."""

from decimal import Decimal

import pytest
from kubernetes.utils.quantity import parse_quantity

from pymetrics_server.standin.simulated import (
    container_ordinal,
    memory_bytes,
    node_memory_bytes,
    node_rate_nanocores,
    place,
    rate_nanocores,
)
from tests.cluster.real.client import Object
from tests.cluster.real.conftest import PODS, Cluster
from tests.cluster.real.deployed import GROUP

_CONTAINERS = 2
_NANO = Decimal("1e-9")


def nanocores(usage: Object) -> float:
    cores = parse_quantity(usage["cpu"])  # type: ignore[no-untyped-call]  # ships none
    return float(cores / _NANO)


def in_bytes(usage: Object) -> int:
    return int(parse_quantity(usage["memory"]))  # type: ignore[no-untyped-call]  # ships none


def test_nodes_show_the_load_that_they_are_under(own: Cluster) -> None:
    items = own.kubectl.items(f"/apis/{GROUP}/v1/nodes")
    assert [i["metadata"]["name"] for i in items] == [n.name for n in own.nodes]
    for index, item in enumerate(items):
        expected = node_rate_nanocores(index, PODS, _CONTAINERS)
        assert nanocores(item["usage"]) == pytest.approx(expected, rel=0.01)
        assert in_bytes(item["usage"]) == node_memory_bytes(index, PODS, _CONTAINERS)
        assert item["metadata"]["labels"]["kubernetes.io/hostname"] == item["metadata"]["name"]


def test_pods_show_the_load_of_each_container(own: Cluster) -> None:
    known = [
        (p.namespace, p.name) for n in own.nodes for p in n.view().pods if p.namespace.startswith("team-")
    ]
    for namespace, name in known:
        item = own.kubectl.raw(f"/apis/{GROUP}/v1beta1/namespaces/{namespace}/pods/{name}")
        node, pod = place(name)
        assert len(item["containers"]) == _CONTAINERS
        for container in item["containers"]:
            which = container_ordinal(container["name"])
            assert nanocores(container["usage"]) == pytest.approx(rate_nanocores(node, pod, which), rel=0.01)
            assert in_bytes(container["usage"]) == memory_bytes(node, pod, which)


def test_clients_that_speak_protobuf_get_it_through_the_aggregator(own: Cluster) -> None:
    accept = "application/vnd.kubernetes.protobuf, application/json"
    answer = own.control_plane.admin.ask(f"/apis/{GROUP}/v1beta1/pods", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/vnd.kubernetes.protobuf"
    assert answer.content.startswith(b"k8s\x00")

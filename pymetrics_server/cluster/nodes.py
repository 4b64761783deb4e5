"""A Node of the API, trimmed to what is read."""

import sys
from collections.abc import Mapping

import msgspec

from pymetrics_server.cluster.grants import READER, Need
from pymetrics_server.cluster.reflector import Resource
from pymetrics_server.cluster.wire import ObjectMeta, Shape
from pymetrics_server.meta.objects import Node, NodeAddress
from pymetrics_server.meta.quantity import parse_nano

NODES = Resource(plural="nodes", path="/api/v1/nodes", need=Need("nodes", READER))

_METRICS_PATH = "metrics.k8s.io/resource-metrics-path"


class _Address(msgspec.Struct):
    type: str | None = None
    address: str | None = None


class _Endpoint(msgspec.Struct):
    port: int | None = msgspec.field(name="Port", default=None)


class _Endpoints(msgspec.Struct):
    kubelet: _Endpoint | None = msgspec.field(name="kubeletEndpoint", default=None)


class _Condition(msgspec.Struct):
    type: str | None = None
    status: str | None = None


class _NodeStatus(msgspec.Struct):
    addresses: list[_Address] | None = None
    endpoints: _Endpoints | None = msgspec.field(name="daemonEndpoints", default=None)
    conditions: list[_Condition] | None = None
    capacity: dict[str, str | int | float] | None = None


class _Node(msgspec.Struct):
    metadata: ObjectMeta | None = None
    status: _NodeStatus | None = None


def _node(found: _Node) -> Node | None:
    metadata = found.metadata or ObjectMeta()
    status = found.status or _NodeStatus()
    if not metadata.name:
        return None
    kubelet = status.endpoints.kubelet if status.endpoints else None
    return Node(
        name=metadata.name,
        uid=metadata.uid or "",
        labels={sys.intern(k): v for k, v in (metadata.labels or {}).items()},
        addresses=tuple(
            NodeAddress(sys.intern(a.type), a.address) for a in status.addresses or () if a.type and a.address
        ),
        kubelet_port=(kubelet.port if kubelet else None) or 0,
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        resource_metrics_path=(metadata.annotations or {}).get(_METRICS_PATH, ""),
        cpu_capacity_nanocores=_nanocores(status.capacity or {}),
    )


def _nanocores(capacity: Mapping[str, str | int | float]) -> int:
    try:
        return max(0, parse_nano(str(capacity.get("cpu", "0"))))
    except ValueError:
        return 0


NODE_SHAPE = Shape(_Node, _node)

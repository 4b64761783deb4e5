"""What is kept of the cluster's objects: only the fields that somebody reads."""

from collections.abc import Mapping

import msgspec


class NodeAddress(msgspec.Struct, frozen=True, gc=False):
    """One entry of status.addresses, e.g. ("InternalIP", "10.0.0.4")."""

    type: str
    address: str


class Node(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    labels: Mapping[str, str] = {}
    addresses: tuple[NodeAddress, ...] = ()
    kubelet_port: int = 0  # status.daemonEndpoints.kubeletEndpoint.Port; 0 where absent
    ready: bool = False
    resource_metrics_path: str = ""  # annotation metrics.k8s.io/resource-metrics-path
    cpu_capacity_nanocores: int = 0  # status.capacity.cpu; 0 where absent
    uid: str = ""


class PodMeta(msgspec.Struct, frozen=True, gc=False):
    """A Running pod, as PartialObjectMetadata tells of it."""

    namespace: str
    name: str
    labels: Mapping[str, str] = {}

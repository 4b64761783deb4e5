"""What the stand-in kubelets and the stand-in kube-apiserver both know of a node, at one instant."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class ContainerView(msgspec.Struct, frozen=True):
    name: str
    start_ns: int  # since the epoch
    time_ns: int  # when this sample was taken
    cpu_ns: int  # cumulative since start_ns
    usage_nanocores: int  # over the sampler's last interval
    memory_bytes: int  # working set


class PodView(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    start_ns: int
    containers: tuple[ContainerView, ...]


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    uid: str
    labels: Mapping[str, str]
    cpu_count: int
    memory_capacity_bytes: int
    boot_ns: int
    time_ns: int
    cpu_ns: int
    usage_nanocores: int
    memory_bytes: int  # working set
    pods: tuple[PodView, ...]
    simulated: bool = False


class NodeSource(Protocol):
    """One node: cheap to ask, the newest sample that was taken."""

    def view(self) -> NodeView: ...

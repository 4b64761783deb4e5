"""Whether what is served is what the fleet burns. Values in, figures out."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from benchmarks.kubelets import Habits
from pymetrics_server.meta.quantity import parse_nano
from pymetrics_server.standin import simulated

#: Of a CPU value, relative: above it, it counts as wrong.
TOLERANCE = 0.02
_NANO = 1_000_000_000

_Item = Mapping[str, Any]


class Truth(msgspec.Struct):
    """How many values are wrong or missing, and by how much the worst CPU value is off (relative)."""

    wrong: int = 0
    worst_cpu_error: float = 0.0

    def hold(self, usage: Mapping[str, str], nanocores: int, memory_bytes: int) -> None:
        error = abs(parse_nano(usage["cpu"]) - nanocores) / nanocores
        self.worst_cpu_error = max(self.worst_cpu_error, error)
        self.wrong += error > TOLERANCE
        self.wrong += parse_nano(usage["memory"]) != memory_bytes * _NANO


def checked(pods: Iterable[_Item], nodes: Iterable[_Item], habits: Habits) -> Truth:
    """Of what is listed."""
    truth = Truth()
    for item in pods:
        node, pod = simulated.place(item["metadata"]["name"])
        truth.wrong += len(item["containers"]) != habits.containers
        for container in item["containers"]:
            which = node, pod, simulated.container_ordinal(container["name"])
            truth.hold(container["usage"], simulated.rate_nanocores(*which), simulated.memory_bytes(*which))
    for item in nodes:
        whole = int(item["metadata"]["name"].rpartition("-")[2]), habits.pods, habits.containers
        truth.hold(item["usage"], simulated.node_rate_nanocores(*whole), simulated.node_memory_bytes(*whole))
    return truth

"""A node's view as a kubelet writes it: /stats/summary and /metrics/resource. Values in, bytes out."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from pymetrics_server.standin.views import ContainerView, NodeView, PodView

RESOURCE_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
_Json = dict[str, object]


def summary_json(view: NodeView) -> bytes:
    """/stats/summary. CPU and memory are all there is, so `only_cpu_and_memory` changes nothing.

    Stamps are whole seconds, cut off, while the counters are of the instants themselves: as kubelets have it.
    """
    stamps = _Stamps()
    containers = [c for p in view.pods for c in p.containers]
    available_bytes = view.memory_capacity_bytes - view.memory_bytes
    node = {
        "nodeName": view.name,
        "systemContainers": [
            {
                "name": "pods",
                "startTime": stamps.of(view.boot_ns),
                **_totals(containers, view.time_ns, stamps),
            }
        ],
        "startTime": stamps.of(view.boot_ns),
        "cpu": _cpu(stamps.of(view.time_ns), view.usage_nanocores, view.cpu_ns),
        "memory": _memory(stamps.of(view.time_ns), view.memory_bytes, available_bytes),
    }
    return msgspec.json.encode({"node": node, "pods": [_pod(p, view, stamps) for p in view.pods]})


def resource_text(view: NodeView) -> bytes:
    """/metrics/resource: Prometheus text, stamps in milliseconds."""
    cpu, memory, start, pod_cpu, pod_memory = [], [], [], [], []
    for pod in view.pods:
        where = f'namespace="{pod.namespace}",pod="{pod.name}"'
        time_ms = max((c.time_ns for c in pod.containers), default=view.time_ns) // 1_000_000
        pod_cpu.append((where, _seconds(sum(c.cpu_ns for c in pod.containers)), time_ms))
        pod_memory.append((where, _number(sum(c.memory_bytes for c in pod.containers)), time_ms))
        for container in pod.containers:
            labels = f'container="{container.name}",{where}'
            time_ms = container.time_ns // 1_000_000
            cpu.append((labels, _seconds(container.cpu_ns), time_ms))
            memory.append((labels, _number(container.memory_bytes), time_ms))
            start.append((labels, _seconds(container.start_ns), 0))
    time_ms = view.time_ns // 1_000_000
    lines = [
        *_family(
            "container_cpu_usage_seconds_total",
            "Cumulative cpu time consumed by the container in core-seconds",
            cpu,
        ),
        *_family(
            "container_memory_working_set_bytes", "Current working set of the container in bytes", memory
        ),
        *_family(
            "container_start_time_seconds",
            "Start time of the container since unix epoch in seconds",
            start,
        ),
        *_family(
            "node_cpu_usage_seconds_total",
            "Cumulative cpu time consumed by the node in core-seconds",
            [("", _seconds(view.cpu_ns), time_ms)],
        ),
        *_family(
            "node_memory_working_set_bytes",
            "Current working set of the node in bytes",
            [("", _number(view.memory_bytes), time_ms)],
        ),
        *_family(
            "pod_cpu_usage_seconds_total",
            "Cumulative cpu time consumed by the pod in core-seconds",
            pod_cpu,
        ),
        *_family("pod_memory_working_set_bytes", "Current working set of the pod in bytes", pod_memory),
        *_family(
            "resource_scrape_error",
            "1 if there was an error while getting container metrics, 0 otherwise",
            [("", "0", 0)],
        ),
        "",
    ]
    return "\n".join(lines).encode()


class _Stamps:
    """RFC 3339 in whole seconds; one answer holds few different ones."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, time_ns: int) -> str:
        second = time_ns // 1_000_000_000
        stamp = self._known.get(second)
        if stamp is None:
            stamp = self._known[second] = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return stamp


def _pod(pod: PodView, view: NodeView, stamps: _Stamps) -> _Json:
    return {
        "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "startTime": stamps.of(pod.start_ns),
        "containers": [
            {
                "name": c.name,
                "startTime": stamps.of(c.start_ns),
                "cpu": _cpu(stamps.of(c.time_ns), c.usage_nanocores, c.cpu_ns),
                "memory": _memory(stamps.of(c.time_ns), c.memory_bytes),
            }
            for c in pod.containers
        ],
        **_totals(pod.containers, view.time_ns, stamps),
    }


def _totals(
    containers: list[ContainerView] | tuple[ContainerView, ...], time_ns: int, stamps: _Stamps
) -> _Json:
    stamp = stamps.of(max((c.time_ns for c in containers), default=time_ns))
    return {
        "cpu": _cpu(stamp, sum(c.usage_nanocores for c in containers), sum(c.cpu_ns for c in containers)),
        "memory": _memory(stamp, sum(c.memory_bytes for c in containers)),
    }


def _cpu(stamp: str, usage_nanocores: int, cpu_ns: int) -> _Json:
    return {"time": stamp, "usageNanoCores": usage_nanocores, "usageCoreNanoSeconds": cpu_ns}


def _memory(stamp: str, memory_bytes: int, available_bytes: int | None = None) -> _Json:
    """`availableBytes` stands only where there is a limit."""
    available = {} if available_bytes is None else {"availableBytes": available_bytes}
    return {
        "time": stamp,
        **available,
        "usageBytes": memory_bytes,
        "workingSetBytes": memory_bytes,
        "rssBytes": memory_bytes,
        "pageFaults": 0,
        "majorPageFaults": 0,
    }


def _family(name: str, meaning: str, samples: list[tuple[str, str, int]]) -> list[str]:
    """`samples` are (labels, value, time_ms), "" and 0 where there are none. A family without samples is not written."""
    if not samples:
        return []
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = [f"# HELP {name} [STABLE] {meaning}", f"# TYPE {name} {kind}"]
    for labels, value, time_ms in samples:
        series = f"{name}{{{labels}}}" if labels else name
        lines.append(f"{series} {value} {time_ms}" if time_ms else f"{series} {value}")
    return lines


def _seconds(time_ns: int) -> str:
    return _number(time_ns / 1_000_000_000)


def _number(value: float) -> str:
    """The shortest digits that read back the same, as Go's %g: an exponent below 1e-4 and from 1e+06 on."""
    shortest = repr(float(value))
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return shortest.removesuffix(".0")
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    head, tail = digits[0], "".join(map(str, digits[1:]))
    power = int(exponent) + len(digits) - 1
    return f"{'-' * sign}{head}{'.' * bool(tail)}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"

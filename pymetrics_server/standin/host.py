"""This machine as a node: real numbers of its processes, read from /proc (Linux only)."""

import asyncio
import os
import platform
import pwd
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import psutil

from pymetrics_server.standin.cgroups import dns_label
from pymetrics_server.standin.groups import ProcessGroups
from pymetrics_server.standin.processes import Process, read_cgroups, read_processes
from pymetrics_server.standin.views import NodeView

_FIRST_INTERVAL_S = 1.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class HostNode:
    """Satisfies views.NodeSource. The first sample is taken at once, the next by whoever awaits `measure` and `run`.

    Samples are what `usage_nanocores` is measured between: the first knows no rate and says 0.
    """

    def __init__(self, interval_s: float = 5.0, proc: str = "/proc") -> None:
        self._interval_s = interval_s
        self._proc = proc
        self.name = dns_label(socket.gethostname().partition(".")[0])
        boot_id = _boot_id()
        self._uid = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{boot_id}/{self.name}"))
        self._boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "standin.pymetrics/kind": "host",
        }
        self._groups = ProcessGroups(read_cgroups(proc, 1), self._user_of, boot_id, self._boot_ns)
        self._sampled_at_ns = 0
        self._cpu_ns = 0
        self._view = self._sampled()

    def view(self) -> NodeView:
        return self._view

    def sample(self) -> NodeView:
        """Look again; milliseconds for some hundred processes."""
        self._view = self._sampled()
        return self._view

    def name_session(self, pid: int, namespace: str, name: str, labels: Mapping[str, str]) -> None:
        self._groups.name_session(pid, namespace, name, labels)

    async def measure(self) -> None:
        """The second sample, soon after the first, so that rates are known."""
        await asyncio.sleep(min(_FIRST_INTERVAL_S, self._interval_s))
        self.sample()

    async def run(self) -> None:
        """Sample every interval until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            self.sample()

    def _sampled(self) -> NodeView:
        time_ns, at_ns = time.time_ns(), time.monotonic_ns()
        elapsed_ns = at_ns - self._sampled_at_ns if self._sampled_at_ns else 0
        cpu_ns = max(_busy_ns(), self._cpu_ns)  # steal and iowait are known to wobble
        memory = psutil.virtual_memory()
        self._groups.take(read_processes(self._proc), elapsed_ns)
        view = NodeView(
            name=self.name,
            uid=self._uid,
            labels=self._labels,
            cpu_count=psutil.cpu_count() or 1,
            memory_capacity_bytes=memory.total,
            boot_ns=self._boot_ns,
            time_ns=time_ns,
            cpu_ns=cpu_ns,
            usage_nanocores=(cpu_ns - self._cpu_ns) * 1_000_000_000 // elapsed_ns if elapsed_ns else 0,
            memory_bytes=memory.total - memory.available,
            pods=self._groups.views(time_ns),
        )
        self._sampled_at_ns, self._cpu_ns = at_ns, cpu_ns
        return view

    def _user_of(self, process: Process) -> str:
        try:
            uid = os.stat(f"{self._proc}/{process.pid}").st_uid
        except OSError:
            return "unknown"
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"uid-{uid}"


def _busy_ns() -> int:
    """Of all CPUs since boot. `user` and `nice` hold the time of guests already."""
    t = psutil.cpu_times()
    busy_s = t.user + t.nice + t.system + t.irq + t.softirq + t.steal
    return round(busy_s * 1_000_000_000)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

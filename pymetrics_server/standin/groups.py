"""Processes into pods and containers whose counters never run backwards. Told everything, asks nothing."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pymetrics_server.standin.cgroups import (
    dns_label,
    group_name,
    of_system,
    separating_path,
    service_name,
    suffixed,
    systemd_unit,
)
from pymetrics_server.standin.processes import Process
from pymetrics_server.standin.views import ContainerView, PodView

_KIND = "standin.pymetrics/kind"
_USER = "standin.pymetrics/user"
_Identity = tuple[int, int]
_Key = tuple[str, str]


@dataclass
class _Container:
    start_ns: int
    cpu_ns: int = 0
    usage_nanocores: int = 0
    memory_bytes: int = 0
    members: frozenset[_Identity] = frozenset()


@dataclass
class _Group:
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    start_ns: int
    containers: dict[str, _Container] = field(default_factory=dict)


class ProcessGroups:
    """A pod per systemd unit, other cgroup, or session; in it a container per program name.

    What a pod is called is settled when it is first seen and kept while it lives. What a process used
    stays in its container's counter when the process ends; a container whose processes were all replaced
    between two samples has restarted.
    """

    def __init__(
        self, init_cgroups: Mapping[str, str], user_of: Callable[[Process], str], boot_id: str, boot_ns: int
    ) -> None:
        self._init_cgroups = init_cgroups
        self._user_of = user_of
        self._boot_id = boot_id
        self._boot_ns = boot_ns
        self._groups: dict[_Key, _Group] = {}
        self._seen_cpu_ns: dict[_Identity, int] = {}
        self._named: dict[int, tuple[str, str, Mapping[str, str]]] = {}

    def name_session(self, pid: int, namespace: str, name: str, labels: Mapping[str, str]) -> None:
        """What the pod of that session is called, whatever cgroup it is in. Before it is first seen."""
        self._named[pid] = namespace, name, labels

    def take(self, processes: Iterable[Process], elapsed_ns: int) -> None:
        """A new sample, `elapsed_ns` after the one before (0: the first). Oldest process first."""
        members: dict[_Key, dict[str, list[Process]]] = {}
        for process in processes:
            containers = members.setdefault(self._key(process), {})
            containers.setdefault(dns_label(process.comm), []).append(process)
        self._groups = {key: group for key, group in self._groups.items() if key in members}
        seen: dict[_Identity, int] = {}
        for key, containers in members.items():
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = self._found(key, [p for c in containers.values() for p in c])
            group.containers = {
                name: self._counted(group.containers.get(name), found, elapsed_ns, seen)
                for name, found in containers.items()
            }
        self._seen_cpu_ns = seen

    def views(self, time_ns: int) -> tuple[PodView, ...]:
        """Pods by namespace and name. A container without CPU or memory is left out: consumers drop its whole pod."""
        pods = []
        for group in self._groups.values():
            containers = tuple(
                ContainerView(
                    name=name,
                    start_ns=c.start_ns,
                    time_ns=time_ns,
                    cpu_ns=c.cpu_ns,
                    usage_nanocores=c.usage_nanocores,
                    memory_bytes=c.memory_bytes,
                )
                for name, c in group.containers.items()
                if c.cpu_ns and c.memory_bytes
            )
            if containers:
                pods.append(
                    PodView(
                        namespace=group.namespace,
                        name=group.name,
                        uid=group.uid,
                        labels=group.labels,
                        start_ns=group.start_ns,
                        containers=containers,
                    )
                )
        return tuple(sorted(pods, key=lambda p: (p.namespace, p.name)))

    def _key(self, process: Process) -> _Key:
        if process.session in self._named:
            return "session", str(process.session)
        path = separating_path(process.cgroups, self._init_cgroups)
        if not path:
            return "session", str(process.session)
        return ("unit" if systemd_unit(path) else "cgroup"), path

    def _found(self, key: _Key, processes: list[Process]) -> _Group:
        kind, path = key
        oldest = min(processes, key=lambda p: (p.start_ns, p.pid))
        leader = next((p for p in processes if p.pid == p.session), oldest) if kind == "session" else oldest
        user = self._user_of(leader)
        namespace, app = user, leader.comm
        labels: Mapping[str, str] = {}
        match kind:
            case "session":
                # session 0 is one whose leader is outside this PID namespace
                pid = leader.session or leader.pid
                name = f"{dns_label(leader.comm)[:40].rstrip('-')}-{pid}"
            case "unit":
                name, app = group_name(path, leader.comm), service_name(systemd_unit(path)) or leader.comm
                if of_system(path) and user == "root":
                    namespace = "system"
            case _:
                name = group_name(path, leader.comm)
        namespace = dns_label(namespace)
        if kind == "session" and leader.session in self._named:
            namespace, name, labels = self._named[leader.session]
        if any((g.namespace, g.name) == (namespace, name) for g in self._groups.values()):
            name = suffixed(name, path)
        return _Group(
            namespace=namespace,
            name=name,
            uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._boot_id}/{kind}/{path}/{oldest.identity}")),
            labels={"app": dns_label(app), _KIND: kind, _USER: dns_label(user), **labels},
            start_ns=self._boot_ns + oldest.start_ns,
        )

    def _counted(
        self, before: _Container | None, processes: list[Process], elapsed_ns: int, seen: dict[_Identity, int]
    ) -> _Container:
        used_ns = whole_ns = 0
        for process in processes:
            last_ns = self._seen_cpu_ns.get(process.identity, 0)
            cpu_ns = max(process.cpu_ns, last_ns)
            seen[process.identity] = cpu_ns
            used_ns += cpu_ns - last_ns
            whole_ns += cpu_ns
        members = frozenset(p.identity for p in processes)
        start_ns = self._boot_ns + min(p.start_ns for p in processes)
        cpu_ns = whole_ns
        # Replaced by what is not younger is no restart either: consumers tell one by a later start.
        if before and (start_ns <= before.start_ns or not members.isdisjoint(before.members)):
            start_ns, cpu_ns = before.start_ns, before.cpu_ns + used_ns
        return _Container(
            start_ns=start_ns,
            cpu_ns=cpu_ns,
            usage_nanocores=used_ns * 1_000_000_000 // elapsed_ns if elapsed_ns else 0,
            memory_bytes=sum(p.memory_bytes for p in processes),
            members=members,
        )

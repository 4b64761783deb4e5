"""Pods and containers over samples of processes that come, go, move and take others' numbers."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pymetrics_server.standin.groups import ProcessGroups
from pymetrics_server.standin.processes import Process
from pymetrics_server.standin.views import ContainerView, PodView

SECOND = 1_000_000_000
MIB = 1 << 20
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def process(
    pid: int = 10,
    comm: str = "web",
    cpu_ns: int = SECOND,
    *,
    start_ns: int = SECOND,
    session: int = 10,
    memory_bytes: int = MIB,
    cgroup: str = "/",
) -> Process:
    return Process(pid, start_ns, comm, session, cpu_ns, memory_bytes, {"": cgroup})


def groups(user: str = "root") -> ProcessGroups:
    return ProcessGroups({"": "/"}, lambda _: user, "boot", 0)


def taken(these: ProcessGroups, *processes: Process, elapsed_ns: int = SECOND) -> list[PodView]:
    these.take(processes, elapsed_ns)
    return list(these.views(time_ns=0))


def only(pods: list[PodView]) -> ContainerView:
    ((container,),) = [p.containers for p in pods]
    return container


def test_a_process_that_ends_leaves_its_time_in_the_counter() -> None:
    these = groups()
    taken(these, process(10), process(11, cpu_ns=5 * SECOND))

    after = only(taken(these, process(10, cpu_ns=2 * SECOND)))

    assert after.cpu_ns == 7 * SECOND
    assert after.usage_nanocores == SECOND
    assert after.memory_bytes == MIB


def test_a_reused_pid_is_another_process() -> None:
    these = groups()
    taken(these, process(10), process(11, cpu_ns=5 * SECOND, start_ns=2 * SECOND))

    after = only(taken(these, process(10), process(11, cpu_ns=SECOND // 2, start_ns=9 * SECOND)))

    assert after.cpu_ns == 6 * SECOND + SECOND // 2
    assert after.usage_nanocores == SECOND // 2


def test_a_container_all_of_whose_processes_were_replaced_has_restarted() -> None:
    these = groups()
    before = only(taken(these, process(10, cpu_ns=9 * SECOND)))

    after = only(taken(these, process(12, cpu_ns=SECOND, start_ns=20 * SECOND)))

    assert (before.start_ns, after.start_ns) == (SECOND, 20 * SECOND)
    assert after.cpu_ns == SECOND


def test_a_process_that_takes_another_name_is_no_burst_of_cpu() -> None:
    these = groups()
    taken(these, process(10, "sh", 100 * SECOND), process(11, "web", SECOND))

    after = only(taken(these, process(10, "web", 101 * SECOND), process(11, "web", SECOND)))

    assert after.usage_nanocores == SECOND
    assert after.cpu_ns == 2 * SECOND


def test_what_has_no_cpu_or_memory_is_left_out_and_costs_its_pod_nothing() -> None:
    pods = taken(
        groups(),
        process(10),
        process(11, "idle", 0),
        process(12, "bare", memory_bytes=0),
        process(13, "q", 0, session=13),
    )

    assert [c.name for p in pods for c in p.containers] == ["web"]


def test_a_pod_goes_with_its_last_process() -> None:
    these = groups()
    taken(these, process(10), process(20, session=20))

    assert [p.name for p in taken(these, process(20, session=20))] == ["web-20"]


def test_a_pod_keeps_its_name_when_the_leader_is_gone() -> None:
    these = groups()
    before = taken(these, process(10, "login"), process(11, "sh"))

    after = taken(these, process(11, "sh"))

    assert [(p.name, p.uid) for p in before] == [("login-10", before[0].uid)]
    assert [(p.name, p.uid) for p in after] == [("login-10", before[0].uid)]


def test_services_of_the_system_have_a_namespace_of_their_own_and_others_their_users() -> None:
    unit = "/system.slice/cron.service"

    of_root = taken(groups("root"), process(cgroup=unit, comm="cron"))
    of_other = taken(groups("www-data"), process(cgroup=unit, comm="cron"))
    of_login = taken(groups("root"), process(cgroup="/user.slice/user-0.slice/session-1.scope"))

    assert [p.namespace for p in (*of_root, *of_other, *of_login)] == ["system", "www-data", "root"]
    assert dict(of_root[0].labels) == {
        "app": "cron",
        "standin.pymetrics/kind": "unit",
        "standin.pymetrics/user": "root",
    }


def test_a_session_that_somebody_named_is_that_pod_whatever_its_cgroup_is() -> None:
    these = groups()
    these.name_session(20, "kube-system", "metrics-server-20", {"k8s-app": "metrics-server"})
    named, other = taken(
        these,
        process(10, session=10, cgroup="/user.slice/session-1.scope"),
        process(20, session=20, cgroup="/user.slice/session-1.scope"),
    )
    if named.name != "metrics-server-20":
        named, other = other, named
    assert (named.namespace, named.name) == ("kube-system", "metrics-server-20")
    assert named.labels["k8s-app"] == "metrics-server"
    assert "k8s-app" not in other.labels


def test_two_groups_of_one_name_are_two_pods() -> None:
    pods = taken(groups(), process(10, cgroup="/a/job"), process(11, cgroup="/b/job"))

    assert len({p.name for p in pods}) == 2


def test_names_of_programs_that_sanitise_alike_share_a_container() -> None:
    assert only(taken(groups(), process(10, "a b"), process(11, "A/B"))).cpu_ns == 2 * SECOND


processes = st.builds(
    process,
    pid=st.integers(1, 6),
    comm=st.sampled_from(["web", "Web", "sh", "(sd-pam)", "日本", ""]),
    cpu_ns=st.integers(0, 5 * SECOND),
    start_ns=st.integers(1, 3),
    session=st.integers(0, 3),
    cgroup=st.sampled_from(["/", "/", "/a/x.service", "/b/x.service", "/jobs/" + "0" * 32]),
)
samples = st.lists(st.lists(processes, max_size=6, unique_by=lambda p: p.pid), max_size=8)


@settings(max_examples=60, deadline=None)
@given(samples)
def test_counters_never_run_backwards_and_names_are_unique_whatever_processes_do(
    history: list[list[Process]],
) -> None:
    these = groups()
    last: dict[tuple[str, str, int], int] = {}
    for found in history:
        pods = taken(these, *sorted(found, key=lambda p: (p.start_ns, p.pid)))
        now = {(p.uid, c.name, c.start_ns): c.cpu_ns for p in pods for c in p.containers}
        assert len({(p.namespace, p.name) for p in pods}) == len({p.uid for p in pods}) == len(pods)
        assert all(now[k] >= last[k] for k in now.keys() & last.keys())
        assert all(v > 0 for v in now.values())
        names = [n for p in pods for n in (p.namespace, p.name, *(c.name for c in p.containers))]
        assert all(LABEL.fullmatch(n) for n in names)
        last = now

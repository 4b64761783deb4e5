"""This machine as a node, set against what psutil and the processes themselves say."""

import asyncio
import contextlib
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pymetrics_server.standin.host import HostNode
from pymetrics_server.standin.processes import read_process, read_processes
from pymetrics_server.standin.views import ContainerView, NodeView

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")

SECOND = 1_000_000_000
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@contextlib.contextmanager
def program(folder: Path, name: str, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """Python under a program name of its own, in a session of its own."""
    (folder / name).symlink_to(Path(sys.executable).resolve())
    child = subprocess.Popen(
        [folder / name, "-I", "-S", "-c", "print(flush=True)\n" + code],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout
        child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.communicate()


def container(view: NodeView, name: str) -> ContainerView | None:
    return next((c for p in view.pods for c in p.containers if c.name == name), None)


def cpu_of(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def test_a_busy_program_is_reported_with_the_cpu_it_used(tmp_path: Path) -> None:
    with program(tmp_path, "pms-burner", "while True: pass") as child:
        node = HostNode()
        began_s, began = cpu_of(child.pid), time.monotonic()
        time.sleep(2.5)
        view = node.sample()
        used_s, elapsed_s = cpu_of(child.pid) - began_s, time.monotonic() - began
        seen = container(view, "pms-burner")

    assert seen
    assert seen.usage_nanocores / SECOND == pytest.approx(used_s / elapsed_s, rel=0.05)
    assert seen.cpu_ns / SECOND == pytest.approx(began_s + used_s, rel=0.05)
    assert seen.memory_bytes > 1 << 20


def test_the_nodes_cpu_agrees_with_psutil_under_load(tmp_path: Path) -> None:
    with program(tmp_path, "pms-load", "while True: pass"):
        node = HostNode()
        before, began = psutil.cpu_times(), time.monotonic()
        time.sleep(1.5)
        view = node.sample()
        after, ended = psutil.cpu_times(), time.monotonic()

    every = sum(after[:8]) - sum(before[:8])
    idle = after.idle + after.iowait - before.idle - before.iowait
    cores = (every - idle) / (ended - began)  # not by `every`: ticks of an idle CPU come late
    assert view.usage_nanocores / SECOND == pytest.approx(cores, rel=0.05)
    assert view.cpu_ns / SECOND == pytest.approx(sum(after[:8]) - after.idle - after.iowait, rel=0.05)


def test_the_nodes_memory_agrees_with_psutil() -> None:
    view = HostNode().view()
    memory = psutil.virtual_memory()

    assert view.memory_bytes == pytest.approx(memory.total - memory.available, rel=0.05)
    assert view.memory_capacity_bytes == memory.total
    assert view.cpu_count == psutil.cpu_count()
    assert view.boot_ns / SECOND == pytest.approx(psutil.boot_time(), abs=2)


def test_memory_that_a_program_takes_shows_up(tmp_path: Path) -> None:
    with program(
        tmp_path, "pms-hoarder", "x = b'x' * (64 << 20)\nprint(flush=True)\nwhile True: pass"
    ) as child:
        assert child.stdout
        child.stdout.readline()
        seen = container(HostNode().view(), "pms-hoarder")

    assert seen
    assert 64 << 20 <= seen.memory_bytes < 80 << 20


def test_a_container_is_as_old_as_its_process(tmp_path: Path) -> None:
    with program(tmp_path, "pms-young", "while True: pass"):
        seen = container(HostNode().view(), "pms-young")

    assert seen
    assert 0 <= seen.time_ns - seen.start_ns < 10 * SECOND


def test_a_program_that_ended_is_gone_from_the_next_sample(tmp_path: Path) -> None:
    with program(tmp_path, "pms-brief", "while True: pass"):
        node = HostNode()
        assert container(node.view(), "pms-brief")

    assert container(node.sample(), "pms-brief") is None


def test_counters_never_run_backwards_while_programs_come_and_go() -> None:
    node = HostNode()
    children: list[subprocess.Popen[bytes]] = []
    last: dict[tuple[str, str, int], int] = {}
    last_node_ns = 0
    try:
        for _ in range(40):
            children.append(subprocess.Popen(["sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done"]))
            view = node.sample()
            now = {(p.uid, c.name, c.start_ns): c.cpu_ns for p in view.pods for c in p.containers}
            assert all(now[k] >= last[k] for k in now.keys() & last.keys())
            assert min(now.values()) > 0
            assert view.cpu_ns >= last_node_ns
            last, last_node_ns = now, view.cpu_ns
    finally:
        for child in children:
            child.wait()


def test_everything_is_called_as_kubernetes_wants_it() -> None:
    view = HostNode().view()
    names = [view.name, *itertools.chain(*((p.namespace, p.name, p.labels["app"]) for p in view.pods))]

    assert [n for n in names if not LABEL.fullmatch(n)] == []
    assert len({(p.namespace, p.name) for p in view.pods}) == len(view.pods) > 0


def test_names_are_the_same_from_sample_to_sample() -> None:
    node = HostNode()
    before = {p.uid: (p.namespace, p.name) for p in node.view().pods}
    after = {p.uid: (p.namespace, p.name) for p in node.sample().pods}

    assert before.keys() & after.keys()
    assert all(before[u] == after[u] for u in before.keys() & after.keys())


async def test_rates_are_known_soon_after_the_start() -> None:
    load = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        node = HostNode(interval_s=0.2)
        assert not node.view().usage_nanocores
        await node.measure()
        assert node.view().usage_nanocores
    finally:
        load.kill()
        await load.wait()


async def test_a_sampler_goes_on_with_new_samples() -> None:
    node = HostNode(interval_s=0.02)
    first = node.view()
    owner = asyncio.create_task(node.run(), name="sample this host")
    try:
        async with asyncio.timeout(10):
            while node.view().time_ns == first.time_ns:  # noqa: ASYNC110 - polled as a scraper does
                await asyncio.sleep(0.02)
    finally:
        owner.cancel()
        await asyncio.wait([owner])


def test_looking_at_a_process_is_cheap_enough_for_hundreds() -> None:
    read_processes()
    began = time.process_time()
    for _ in range(100):
        read_process("/proc", os.getpid())
    assert (time.process_time() - began) / 100 < 0.000_5


def fake_process(
    proc: Path, pid: int, comm: str, *, flags: int = 0, ticks: int = 0, state: str = "S"
) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    fields = [state, 1, 1, 7, 0, -1, flags, 0, 0, 0, 0, ticks, 0, 0, 0, 20, 0, 1, 0, 500, 0, 0]
    (folder / "stat").write_text(f"{pid} ({comm}) {' '.join(map(str, fields))}\n")
    (folder / "statm").write_text("100 50 20 1 0 30 0\n")
    (folder / "schedstat").write_text("1234567 89 3\n")


def test_kernel_threads_and_zombies_are_left_out(tmp_path: Path) -> None:
    fake_process(tmp_path, 2, "kthreadd", flags=0x00208040)
    fake_process(tmp_path, 7, "tmux: server", ticks=12)
    fake_process(tmp_path, 8, "defunct", state="Z")
    (tmp_path / "9").mkdir()

    assert [p.comm for p in read_processes(str(tmp_path))] == ["tmux: server"]


def test_a_name_with_brackets_is_read_whole(tmp_path: Path) -> None:
    fake_process(tmp_path, 7, "a) S 1 (b", ticks=12)
    found = read_process(str(tmp_path), 7)

    assert found
    assert (found.comm, found.session) == ("a) S 1 (b", 7)


def test_below_one_tick_the_scheduler_knows_better(tmp_path: Path) -> None:
    fake_process(tmp_path, 7, "young")
    found = read_process(str(tmp_path), 7)

    assert found
    assert found.cpu_ns == 1_234_567

"""What is served of this machine agrees with what psutil reads of it."""

import bisect
import datetime as dt
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.integration.conftest import Demo
from tests.integration.test_kubectl import BASE, host_node

LOAD = """
held = bytearray(200 << 20)
held[::4096] = b"x" * len(held[::4096])
while True:
    pass
"""


KUBELET_INTERVAL_S = 5  # the stand-in kubelet's rate is that of its last interval


def machine_busy_s() -> float:
    t = psutil.cpu_times()
    return float(t.user + t.nice + t.system + t.irq + t.softirq + t.steal)


class Witness:
    """Reads busy CPU seconds, this machine's or what else it is given, and used memory five times a second."""

    def __init__(self, busy_s: Callable[[], float] = machine_busy_s) -> None:
        self._busy_s = busy_s
        self.at_s: list[float] = []
        self.busy_s: list[float] = []
        self.used_bytes: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.2):
            m = psutil.virtual_memory()
            self.at_s.append(time.time())
            self.busy_s.append(self._busy_s())
            self.used_bytes.append(m.total - m.available)

    def mean_cores(self, start_s: float, end_s: float) -> float:
        i, j = bisect.bisect(self.at_s, start_s) - 1, bisect.bisect(self.at_s, end_s) - 1
        return (self.busy_s[j] - self.busy_s[i]) / (self.at_s[j] - self.at_s[i])

    def memory_bytes(self, at_s: float) -> int:
        return self.used_bytes[bisect.bisect(self.at_s, at_s) - 1]


def go_seconds(text: str) -> float:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
    return sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ms|h|m|s)", text))


def cores(text: str) -> float:
    number, suffix = re.fullmatch(r"(\d+)([num]?)", text).groups()  # type: ignore[union-attr]  # the API's own form
    return float(int(number) * {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1}[suffix])


def memory(text: str) -> int:
    number, suffix = re.fullmatch(r"(\d+)((?:[KMG]i)?)", text).groups()  # type: ignore[union-attr]  # the API's own form
    return int(int(number) * {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[suffix])


def test_the_nodes_cpu_and_memory_agree_with_psutil_under_a_known_load(demo: Demo) -> None:
    """Every CPU is kept busy, in what others leave of it: a load that stays the same whatever else runs here."""
    path = f"{BASE}/v1beta1/nodes/{host_node(demo)}"
    cpus = psutil.cpu_count() or 1
    load = [subprocess.Popen([sys.executable, "-c", f"import os; os.nice(19){LOAD}"]) for _ in range(cpus)]
    try:
        with Witness() as witness:
            started_s, deadline_s = time.time(), time.monotonic() + 60
            while True:
                served = demo.get(path)
                end_s = dt.datetime.fromisoformat(served["timestamp"]).timestamp()
                window_s = go_seconds(served["window"])
                if end_s - window_s > started_s + 1:
                    break
                assert time.monotonic() < deadline_s, served
                time.sleep(0.5)
            expected_cores = witness.mean_cores(end_s - window_s, end_s)
            expected_bytes = witness.memory_bytes(end_s)
    finally:
        for process in load:
            process.kill()
            process.wait()
    assert abs(cores(served["usage"]["cpu"]) - expected_cores) <= 0.05 * expected_cores
    assert abs(memory(served["usage"]["memory"]) - expected_bytes) <= 0.05 * expected_bytes
    assert expected_cores > 0.9 * cpus


def test_a_container_shows_the_load_its_process_makes(demo: Demo, tmp_path: Path) -> None:
    program = tmp_path / "burner-of-test"  # what the kernel calls the process is what its container is called
    program.symlink_to(os.path.realpath(sys.executable))
    load = subprocess.Popen([str(program), "-S", "-c", LOAD], start_new_session=True)
    process = psutil.Process(load.pid)

    def spent_s() -> float:
        t = process.cpu_times()
        return float(t.user + t.system)

    try:
        with Witness(spent_s) as witness:
            deadline_s = time.monotonic() + 60
            while True:
                found = [
                    (
                        c["usage"],
                        go_seconds(p["window"]),
                        dt.datetime.fromisoformat(p["timestamp"]).timestamp(),
                    )
                    for p in demo.get(f"{BASE}/v1beta1/pods")["items"]
                    for c in p["containers"]
                    if c["name"] == program.name
                ]
                if (
                    found and found[0][1] > KUBELET_INTERVAL_S
                ):  # the start-up of the process has little part in it
                    break
                assert time.monotonic() < deadline_s, found
                time.sleep(0.5)
            ((usage, _, stamp_s),) = found
            ends_s = [stamp_s + tenths / 10 for tenths in range(11)]  # stamps are cut to the second
            while witness.at_s[-1] < ends_s[-1]:
                time.sleep(0.1)
            expected_cores = [witness.mean_cores(end_s - KUBELET_INTERVAL_S, end_s) for end_s in ends_s]
    finally:
        load.kill()
        load.wait()
    assert min(expected_cores) - 0.05 <= cores(usage["cpu"]) <= max(expected_cores) + 0.05
    assert memory(usage["memory"]) > 200 << 20

"""`pymetrics-server demo` as someone runs it: what it prints, how it ends, what it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.programs import until

COMMAND = (sys.executable, "-m", "pymetrics_server", "demo")


def environment(temporary: Path) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}


def run(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args], env=environment(tmp_path), capture_output=True, text=True, timeout=90
    )


def test_once_shows_this_machine_and_its_pods_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run(tmp_path, "--once", "--nodes", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("A stand-in cluster of this machine, with 1 simulated node: ")
    assert "NODE " in done.stdout
    assert "sim-00000 " in done.stdout
    assert "POD " in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.glob("pymetrics-demo-*")) == []


def test_a_server_that_ends_is_told_in_a_sentence_with_its_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "--once", "--", "--no-such-flag")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "The server ended by itself with exit code 2.",
        "Error: unknown flag: --no-such-flag",
    ]
    assert list(tmp_path.glob("pymetrics-demo-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_within_two_seconds(tmp_path: Path, number: signal.Signals) -> None:
    demo = subprocess.Popen(
        [*COMMAND], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + 30
        children: list[psutil.Process] = []
        while not children:
            assert demo.poll() is None
            assert time.monotonic() < deadline
            children = psutil.Process(demo.pid).children()
            time.sleep(0.01)
        started = time.monotonic()
        demo.send_signal(number)
        assert demo.wait(10) == 0
        assert time.monotonic() - started < 2
    finally:
        demo.kill()
        out, _ = demo.communicate()
    assert b"Traceback" not in out
    assert not any(child.is_running() for child in children)
    assert list(tmp_path.glob("pymetrics-demo-*")) == []


def test_a_demo_that_is_killed_takes_its_server_along(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [*COMMAND], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        server = started_server(demo)
    finally:
        demo.kill()
        demo.communicate()
    server.wait(10)


def started_server(demo: subprocess.Popen[bytes]) -> psutil.Process:
    deadline = time.monotonic() + 30
    while True:
        assert demo.poll() is None
        assert time.monotonic() < deadline
        for child in psutil.Process(demo.pid).children():
            if "--secure-port" in " ".join(child.cmdline()):  # past its fork
                return child
        time.sleep(0.01)


def test_a_count_of_nodes_below_zero_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--nodes", "-1")
    assert done.returncode == 2
    assert "--nodes must not be negative" in done.stderr


def test_the_doctor_finds_the_demo_healthy(tmp_path: Path) -> None:
    kept = tmp_path / "demo"
    output = tmp_path / "demo.out"
    with output.open("wb") as out:
        demo = subprocess.Popen(
            [*COMMAND, "--dir", str(kept), "--nodes", "4"], env=environment(tmp_path), stdout=out, stderr=out
        )
    try:
        until("the demo serves", lambda: demo.poll() is None and "The server's log:" in output.read_text())
        doctor = (
            sys.executable,
            "-m",
            "pymetrics_server",
            "doctor",
            "--kubeconfig",
            str(kept / "admin.kubeconfig"),
        )
        done = subprocess.run(doctor, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        demo.send_signal(signal.SIGINT)
        try:
            demo.wait(20)
        finally:
            demo.kill()
            demo.wait()

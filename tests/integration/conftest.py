"""The whole product, as `make demo` runs it: a stand-in cluster of this machine, the server, a real kubectl."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

SIMULATED_NODES = 3
KUBECTL = shutil.which("kubectl")


class Demo:
    """A running `pymetrics-server demo`."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self.process = process
        self.kubeconfig = directory / "admin.kubeconfig"

    def kubectl(self, *args: str) -> subprocess.CompletedProcess[str]:
        assert KUBECTL is not None
        cache = self.directory / "kubectl-cache"
        return subprocess.run(
            [KUBECTL, "--kubeconfig", str(self.kubeconfig), "--cache-dir", str(cache), *args],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HOME": str(self.directory)},
        )

    def get(self, path: str) -> Mapping[str, Any]:
        """`kubectl get --raw`, decoded."""
        done = self.kubectl("get", "--raw", path)
        assert done.returncode == 0, done.stderr
        answer: Mapping[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(name="demo", scope="session")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    if KUBECTL is None:
        pytest.skip("kubectl is not installed: apt-get install kubernetes-client")
    directory = tmp_path_factory.mktemp("demo")
    output = (directory / "demo.out").open("wb")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pymetrics_server",
            "demo",
            "--dir",
            str(directory),
            "--nodes",
            str(SIMULATED_NODES),
        ],
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    demo = Demo(directory, process)
    deadline = time.monotonic() + 60
    try:
        while "The server's log:" not in (said := (directory / "demo.out").read_text()):
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield demo
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        output.close()

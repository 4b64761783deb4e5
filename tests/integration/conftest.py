"""The whole product, as `make demo` runs it: a stand-in cluster of this machine, the server, a real kubectl."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.kubectls import INSTALLED, OLD, Kubectl

SIMULATED_NODES = 3


class Demo:
    """A running `pymetrics-server demo`."""

    def __init__(self, directory: Path, process: "subprocess.Popen[bytes]", kubectl: str) -> None:
        self.directory = directory
        self.process = process
        self.kubeconfig = directory / "admin.kubeconfig"
        self.kubectl = Kubectl(kubectl, self.kubeconfig, directory)

    def get(self, path: str) -> Mapping[str, Any]:
        """`kubectl get --raw`, decoded."""
        done = self.kubectl("get", "--raw", path)
        assert done.returncode == 0, done.stderr
        answer: Mapping[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(name="demo", scope="session")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    if INSTALLED is None:
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
    demo = Demo(directory, process, INSTALLED)
    deadline = time.monotonic() + 60
    try:
        while "The server's log:" not in (said := (directory / "demo.out").read_text()):
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield demo
        lines = (directory / "server.log").read_text().splitlines()
        assert [
            line for line in lines if line.startswith(("E", "F", "Traceback"))
        ] == []  # over the whole run
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            output.close()


@pytest.fixture(name="kubectl", scope="session", params=["installed", "old"])
def _kubectl(demo: Demo, request: pytest.FixtureRequest) -> Kubectl:
    if request.param == "installed":
        return demo.kubectl
    if OLD is None:
        pytest.skip("no old kubectl: name one in KUBECTL_OLD, or unpack one into .venv/kubectl-old")
    home = demo.directory / "old-kubectl"
    home.mkdir()
    return Kubectl(OLD, demo.kubeconfig, home)

"""What the Dockerfile makes: which packages, compiled, the same each time; and that it serves where nothing can be written."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.utils import canonicalize_name

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.version import GIT_VERSION
from tests.image.dockerfile import BUILD, FINAL, ROOT
from tests.image.locks import pins
from tests.image.steps import placed, run
from tests.integration.processes import BASE, RunningServer, end
from tests.programs import free_port

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MAY_WRITE = {"/tmp", "/proc", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"}


pytestmark = pytest.mark.timeout(300)  # the first of them waits for the build


def image_environment(root: Path) -> dict[str, str]:
    """As the image sets it, and nothing of this process's: no HOME, no PYTHONPATH."""
    environment = {name: placed(value, root) for name, value in FINAL.environment.items()}
    return {**environment, "PATH": environment["PATH"].replace("$PATH", "/usr/bin:/bin")}


def python(built: Path, program: str) -> str:
    return subprocess.run(
        [str(built / "venv/bin/python"), "-c", program],
        cwd=built,
        env=image_environment(built),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_the_environment_is_ours_and_what_the_lock_names_and_no_installer(built: Path) -> None:
    program = "from importlib.metadata import distributions; print(*(f'{d.name}=={d.version}' for d in distributions()))"
    installed = (word.split("==") for word in python(built, program).split())
    found = {canonicalize_name(name): version for name, version in installed}
    wanted = {p.name: str(p.version) for p in pins("requirements.lock").values() if p.is_for_this_python}
    assert found == {**wanted, "pymetrics-server": GIT_VERSION.removeprefix("v")}


def test_the_command_says_its_version(built: Path) -> None:
    command = [placed(word, built) for word in FINAL.entrypoint]
    done = subprocess.run(
        [*command, "--version"], env=image_environment(built), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{GIT_VERSION}\n")


def test_all_that_a_server_imports_was_compiled_in_the_build(built: Path) -> None:
    program = """if True:
        import os, sys, pymetrics_server.server
        for name, module in sys.modules.items():
            compiled = getattr(module, "__cached__", None)
            if compiled and not os.path.exists(compiled):
                print(name)"""
    assert python(built, program) == ""


def test_no_time_and_no_state_of_the_disk_is_in_what_was_compiled(built: Path) -> None:
    compiled = list((built / "venv/pycache").rglob("*.pyc"))
    assert len(compiled) > 500
    assert {path.read_bytes()[4] for path in compiled} == {0b01}, "not by hash, unchecked"
    assert not list((built / "venv/lib").rglob("*.pyc"))


def test_the_wheel_is_the_same_byte_for_byte_when_it_is_built_again(built: Path, tmp_path: Path) -> None:
    (first,) = (built / "wheels").glob("pymetrics_server-*.whl")
    command = BUILD.all("RUN")[1].value.partition("&&")[0].replace("/wheels", str(tmp_path))
    shutil.rmtree(built / "src/build", ignore_errors=True)
    done = run(command, built, built / "src")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / first.name).read_bytes() == first.read_bytes()


def libraries() -> Iterator[str]:
    """Where this interpreter and what it loads lie; in an image it is the base that has them."""
    yield from ("/usr/lib", "/lib", "/lib64", "/usr/lib64", "/etc/ld.so.cache")
    yield sys.base_prefix if sys.base_prefix != "/usr" else "/usr/bin"


def deployed_arguments() -> list[str]:
    text = (ROOT / "manifests/base/metrics-server-deployment.yaml").read_text()
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(text) if d]
    (deployment,) = (d for d in documents if d["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    arguments: list[str] = container["args"]
    return arguments


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    """With an empty `root`; skips where no container can be."""
    if os.getuid() != 0:
        pytest.skip("only root can make a mount namespace: run as root, as CI does")
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode
    ):
        pytest.skip("unshare -m is not permitted (CAP_SYS_ADMIN), or missing: apt-get install util-linux")
    for name in ("root", "account"):
        (tmp_path / name).mkdir()
    return tmp_path


@contextlib.asynccontextmanager
async def contained(cluster: StandinCluster, built: Path, directory: Path) -> AsyncIterator[RunningServer]:
    """The image's process as a kubelet starts it: the Deployment's arguments, an account, and a read-only root."""
    account = directory / "account"
    (account / "token").write_text(cluster.server_token)
    (account / "ca.crt").write_bytes(cluster.pki.cluster_ca.cert_pem)
    (account / "namespace").write_text("kube-system")
    port, apiserver = free_port(), urlsplit(cluster.apiserver_url)
    spec = {
        "root": str(directory / "root"),
        "binds": {
            **{path: path for path in libraries()},
            str(built / "venv"): str(built / "venv"),
            ACCOUNT: str(account),
        },
        "directory": FINAL.last("WORKDIR"),
        "user": FINAL.last("USER"),
        "arguments": [
            *(placed(word, built) for word in FINAL.entrypoint),
            *deployed_arguments(),
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
        ],
        "environment": {
            **image_environment(built),
            "KUBERNETES_SERVICE_HOST": str(apiserver.hostname),
            "KUBERNETES_SERVICE_PORT": str(apiserver.port),
        },
    }
    with (cluster.directory / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "unshare",
            "-m",
            sys.executable,
            str(Path(__file__).parent / "container.py"),
            json.dumps(spec),
            stderr=log,
        )
    server = RunningServer(process, port, cluster.directory, cluster.add_user("reader", "system:masters"))
    try:
        yield server
    finally:
        await end(process)


class Seen:
    """What the kernel says of a process."""

    def __init__(self, process: int) -> None:
        self._directory = Path(f"/proc/{process}")

    @property
    def status(self) -> dict[str, list[str]]:
        lines = (self._directory / "status").read_text().splitlines()
        return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def writable_mounts(self) -> set[str]:
        rows = [line.split() for line in (self._directory / "mountinfo").read_text().splitlines()]
        return {row[4] for row in rows if "rw" in row[5].split(",")}

    @property
    def written(self) -> set[str]:
        """All files in /tmp, which is where a container's environment lies in these tests, too."""
        tmp = self._directory / "root/tmp"
        files = (path for path in tmp.rglob("*") if path.is_file())
        return {str(path.relative_to(tmp)) for path in files if "venv" not in path.parts}


async def test_it_serves_on_a_read_only_root_as_nobody_without_a_home_and_ends_at_sigterm(
    built: Path, directory: Path
) -> None:
    async with (
        StandinCluster(directory / "cluster", 2, host=False) as cluster,
        contained(cluster, built, directory) as server,
    ):

        async def is_ready() -> bool:
            return (await server.ask("/readyz"))[0] == 200

        await server.until(is_ready)
        served = {item["metadata"]["name"] for item in await server.items(f"{BASE}/nodes")}
        assert served == set(cluster.node_names)
        seen = Seen(server.process.pid)
        assert seen.status["Uid"] == ["1000"] * 4
        assert seen.status["CapEff"] == seen.status["CapPrm"] == ["0" * 16]
        assert seen.status["NoNewPrivs"] == ["1"]
        assert "/tmp" in seen.writable_mounts <= MAY_WRITE
        assert seen.written == {"apiserver.crt", "apiserver.key"}
        server.process.terminate()
        assert await asyncio.wait_for(server.process.wait(), 20) == 0
        assert not [line for line in server.log_lines if line.startswith(("E", "F", "Traceback"))]

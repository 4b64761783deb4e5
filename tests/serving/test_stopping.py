"""A signal that ends the process at once is no error, and leaves no credentials behind."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pymetrics_server.x509 import issue, make_ca

NOW_NS = 1_790_000_000_000_000_000

_PROGRAM = """
import asyncio, os, signal, sys
from pymetrics_server import server
from pymetrics_server.cli import serve_from
from pymetrics_server.cluster.credentials import load
from pymetrics_server.serving.stopping import Stopping

class SoonStopped:
    @classmethod
    async def build(cls, options, clock, closing):
        await load(sys.argv[1])
        return cls()

    async def run(self, stopping):
        with stopping.gracefully(lambda: None):
            print(*os.listdir(os.environ["TMPDIR"]), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            if sys.argv[2] == "twice":
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(60)

server.Server = SoonStopped
stopping = Stopping()
with stopping.on_signals():
    sys.exit(serve_from([], server.serve, stopping))
"""


@pytest.mark.parametrize(("signals", "status"), [("once", 0), ("twice", 1)])
def test_what_a_kubeconfig_holds_is_on_no_disk_after_the_end(
    tmp_path: Path, signals: str, status: int
) -> None:
    pair = issue(make_ca("ca", NOW_NS), "us", NOW_NS)
    user = {
        "client-certificate-data": base64.b64encode(pair.cert_pem).decode(),
        "client-key-data": base64.b64encode(pair.key_pem).decode(),
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(kubeconfig), signals],
        capture_output=True,
        text=True,
        env={"TMPDIR": str(temporary)},
        timeout=30,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert len(done.stdout.split()) == 2  # else nothing is proven
    assert list(temporary.iterdir()) == []


_TORN_APART = """
import asyncio, os, signal, sys
from pymetrics_server.cli import serve_from
from pymetrics_server.serving.stopping import Stopping

async def serve(options, stopping):
    waiter = asyncio.get_running_loop().create_future()

    async def connect_pipes():  # as asyncio does it for an exec plugin
        try:
            await asyncio.sleep(60)
        except BaseException as err:
            waiter.set_exception(err)

    task = asyncio.create_task(connect_pipes())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await waiter

if sys.argv[1] == "asyncio":
    sys.modules["uvloop"] = None
stopping = Stopping()
with stopping.on_signals():
    sys.exit(serve_from([], serve, stopping))
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_what_a_signal_tears_apart_is_not_told_as_an_error(loop: str) -> None:
    """Between the start of a plugin's process and the wait for it, for one."""
    done = subprocess.run(
        [sys.executable, "-c", _TORN_APART, loop], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

"""A second signal waits for nothing, and still leaves no credentials behind."""

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

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import load
from tests.cluster.waiting import ImpatientClock
from tests.fakes.apiserver import FakeApiserver

WriteKubeconfig = Callable[..., str]


@pytest.fixture
async def server() -> AsyncIterator[FakeApiserver]:
    async with FakeApiserver() as running:
        yield running


@pytest.fixture
def clock() -> ImpatientClock:
    return ImpatientClock()


@pytest.fixture
def write_kubeconfig(tmp_path: Path) -> WriteKubeconfig:
    """(server, user section, cluster section) -> path."""

    def write(url: str, user: dict[str, Any], cluster: dict[str, Any]) -> str:
        path = tmp_path / "kubeconfig"
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
        path.write_text(yaml.safe_dump(config))
        return str(path)

    return write


@pytest.fixture
async def connection(
    server: FakeApiserver, clock: ImpatientClock, tmp_path: Path, write_kubeconfig: WriteKubeconfig
) -> AsyncIterator[Connection]:
    """To `server`, with a token."""
    (tmp_path / "ca.crt").write_bytes(server.ca.cert_pem)
    path = write_kubeconfig(server.url, {"token": "abc"}, {"certificate-authority": "ca.crt"})
    opened = Connection(await load(path, clock=clock), "pymetrics-server/test", clock)
    yield opened
    await opened.close()

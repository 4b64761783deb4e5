"""--shutdown-send-retry-after: who is sent away while the last requests are answered, and who is not."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer

from pymetrics_server.api.draining import Draining
from pymetrics_server.log import set_verbosity, verbosity
from tests.api.world import V1BETA1, World


@pytest.mark.parametrize(
    ("path", "agent", "away"),
    [
        ("/apis/metrics.k8s.io/v1beta1/nodes", "kubectl/v1.36", True),
        ("/", "", True),
        ("/readyz", "kube-probe/1.36", False),
        ("/livez/ping", "", False),
        ("/healthz", "", False),
        ("/metrics", "Prometheus/3", False),
        ("/apis", "kube-apiserver/v1.36 (linux/amd64)", False),
    ],
)
def test_only_probes_metrics_and_kube_apiserver_itself_are_still_let_in(
    path: str, agent: str, away: bool
) -> None:
    draining = Draining()
    assert not draining.turns_away(path, agent)
    draining.begin()
    assert draining.turns_away(path, agent) is away


async def test_it_is_over_when_the_last_that_came_before_is_answered() -> None:
    draining = Draining()
    assert draining.comes()
    assert draining.comes()
    draining.begin()
    draining.goes()
    over = asyncio.create_task(draining.wait(), name="drained")
    assert not draining.comes()  # a probe, come since
    await asyncio.sleep(0)
    assert not over.done()
    draining.goes()
    await asyncio.wait_for(over, 1)


async def test_with_nothing_under_way_it_is_over_at_once() -> None:
    draining = Draining()
    draining.begin()
    await asyncio.wait_for(draining.wait(), 1)


async def test_it_is_quiet_when_nobody_has_come_for_so_long_and_at_most_so_long_is_waited() -> None:
    draining = Draining()
    loop = asyncio.get_running_loop()
    comes = True

    async def come() -> None:
        while comes:
            draining.comes()
            await asyncio.sleep(0.005)
            draining.goes()

    coming = asyncio.create_task(come(), name="coming")
    began_s = loop.time()
    await draining.quiet(0.05, 0.3)
    assert loop.time() - began_s >= 0.3
    waiting = asyncio.create_task(draining.quiet(0.05, 30), name="waiting")
    await asyncio.sleep(0)
    comes = False
    await coming
    await asyncio.wait_for(waiting, 10)


@pytest.fixture(name="_verbose")
def _at_3() -> Iterator[None]:
    before = verbosity()
    set_verbosity(3)
    yield
    set_verbosity(before)


@pytest.mark.usefixtures("_verbose")
async def test_whoever_is_sent_away_is_counted_and_logged_as_everyone_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pymetrics_server")
    app = world.app()
    app.draining.begin()
    async with (
        RawTestServer(app) as server,
        ClientSession(base_url=server.make_url("/")) as client,
        client.get(f"{V1BETA1}/nodes", headers={"Audit-Id": "abc"}) as response,
    ):
        assert response.status == 429
    labels = {
        "code": "429",
        "component": "apiserver",
        "dry_run": "",
        "group": "metrics.k8s.io",
        "resource": "nodes",
        "scope": "cluster",
        "subresource": "",
        "verb": "LIST",
        "version": "v1beta1",
    }
    assert world.value("apiserver_request_total", labels) == 1
    (line,) = [vars(r)["kv"] for r in caplog.records if r.getMessage() == "HTTP"]
    assert (line["resp"], line["audit-ID"], line["URI"]) == (429, "abc", f"{V1BETA1}/nodes")


def test_answers_end_their_connections_once_it_leaves() -> None:
    draining = Draining()
    assert draining.parting(web.Response()).keep_alive is None
    asyncio.run(draining.quiet(0, 1))
    assert draining.parting(web.Response()).keep_alive is False

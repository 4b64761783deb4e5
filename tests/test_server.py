"""The composition root, as far as it can be looked at without a cluster."""

import gc
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pymetrics_server.options import parse
from pymetrics_server.server import Server
from tests.fakes.clock import FakeClock
from tests.store.samples import CORE_NS, C, sample

_HOUR_S = 3600


@pytest.fixture(autouse=True)
def _nothing_stays_frozen() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_what_stays_is_set_apart_from_the_collector_once_it_is_there_and_looked_at_hourly(
    tmp_path: Path,
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}],"
        " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]}"
    )
    flags = [f"--{p}kubeconfig={kubeconfig}" for p in ("", "authentication-", "authorization-")]
    clock = FakeClock()
    async with AsyncExitStack() as closing:
        server = await Server.build(parse([*flags, f"--cert-dir={tmp_path}"]), clock, closing)
        await clock.advance(61)
        server._collect_garbage()
        assert gc.get_freeze_count() == 0  # nobody has been asked yet

        c = C(100, 1, nanocores=CORE_NS)
        for _ in range(2):
            await clock.advance(15)
            c = C(c.at_s + 15, c.cpu_s + 1)
            server._store.put("node1", sample({"ns1/pod1": {"c": c}}, c), clock.monotonic_ns(), 0)
        server._collect_garbage()
        assert gc.get_freeze_count() > 0

        gc.unfreeze()
        server._collect_garbage()
        assert gc.get_freeze_count() == 0  # not yet again
        await clock.advance(_HOUR_S)
        server._store.put("node1", sample({"ns1/pod1": {"c": c}}, c), clock.monotonic_ns(), 0)
        server._collect_garbage()
        assert gc.get_freeze_count() > 0

"""The composition root, as far as it can be looked at without a cluster."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pymetrics_server.meta.objects import Node
from pymetrics_server.meta.verification import Verification
from pymetrics_server.options import parse
from pymetrics_server.server import Server
from tests.fakes.clock import FakeClock
from tests.store.samples import CORE_NS, C, sample

_HOUR_S = 3600
_UNVERIFIED = ", insecure-skip-tls-verify: true"


@pytest.fixture(autouse=True)
def _nothing_stays_frozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def _flags(folder: Path, cluster: str = "") -> list[str]:
    """For a cluster that nobody reaches; `cluster` is what else its kubeconfig says of it."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}],"
        f" clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'{cluster}}}}}]}}"
    )
    flags = [f"--{p}kubeconfig={kubeconfig}" for p in ("", "authentication-", "authorization-")]
    return [*flags, f"--cert-dir={folder}"]


async def test_what_stays_is_set_apart_from_the_collector_once_it_is_there_and_looked_at_hourly(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with AsyncExitStack() as closing:
        server = await Server.build(parse(_flags(tmp_path)), clock, closing)
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


@pytest.mark.parametrize(
    ("cluster", "flags", "verified"),
    [
        ("", "", Verification.ADDRESS),
        ("", "--kubelet-tls-verify=chain", Verification.CHAIN),
        ("", "--kubelet-insecure-tls", Verification.INSECURE),
        ("", "--deprecated-kubelet-completely-insecure", Verification.HTTP),
        (_UNVERIFIED, "", Verification.INSECURE),
        (_UNVERIFIED, "--kubelet-tls-verify=node-name", Verification.NODE_NAME),
        (_UNVERIFIED, "--kubelet-tls-verify=chain", Verification.CHAIN),
    ],
)
async def test_kubelets_are_verified_as_kube_apiserver_is_where_no_flag_says_otherwise(
    tmp_path: Path, cluster: str, flags: str, verified: Verification
) -> None:
    clock = FakeClock()
    async with AsyncExitStack() as closing:
        server = await Server.build(parse([*_flags(tmp_path, cluster), *flags.split()]), clock, closing)
        assert server._kubelet_tls.verify is verified
        for name in ("node1", "node2"):
            server._scraper.upsert(Node(name=name))
        async with asyncio.TaskGroup() as group:
            housekeeping = group.create_task(server._keep_house(), name="housekeeping")
            await clock.advance(1)
            housekeeping.cancel()
        shown = server._telemetry.exposition().decode()
    for verify in (Verification.CHAIN, Verification.INSECURE, Verification.HTTP):
        series = f'pymetrics_server_kubelet_unverified_nodes{{verify="{verify.value}"}}'
        assert f"{series} {2 if verify is verified else 0}.0\n" in shown

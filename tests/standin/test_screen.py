"""The demo's table, from what the API answers."""

from pathlib import Path

from rich.console import Console

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.pki import client_context
from pymetrics_server.standin.screen import NodeRow, PodRow, Reader, Snapshot, render
from tests.standin.backend import FakeBackend, node_metrics

NOW_NS = 1_790_000_000_000_000_000
GIB = 1 << 30


def printed(snapshot: Snapshot, *, bars: bool = False) -> list[str]:
    console = Console(width=110, record=True, force_terminal=False, no_color=True, quiet=False)
    with console.capture() as captured:
        console.print(render(snapshot, NOW_NS, bars=bars))
    return captured.get().splitlines()


def node(name: str, cores: float, gib: int) -> NodeRow:
    stamp_ns = NOW_NS - 3_000_000_000
    return NodeRow(name, int(cores * 1e9), 4_000_000_000, gib * GIB, 8 * GIB, 10_000_000_000, stamp_ns)


def test_a_node_shows_usage_share_window_and_age() -> None:
    header, _, row, *_ = printed(Snapshot((node("this", 1.5, 2),)))
    assert header.split() == ["NODE", "CPU(cores)", "CPU%", "MEMORY", "MEMORY%", "WINDOW", "AGE"]
    assert row.split() == ["this", "1.500", "37%", "2048Mi", "25%", "10.0s", "3s"]


def test_this_machine_stands_above_simulated_nodes_and_the_busiest_above_the_rest() -> None:
    rows = printed(Snapshot((node("sim-00000", 1, 1), node("sim-00001", 2, 1), node("this", 0.1, 1))))
    assert [row.split()[0] for row in rows[2:5]] == ["this", "sim-00001", "sim-00000"]


def test_more_than_fits_is_counted() -> None:
    pods = tuple(PodRow("default", f"web-{i}", 1, 10**9 - i, 1 << 20, NOW_NS) for i in range(40))
    assert printed(Snapshot((node("this", 1, 1),), pods))[-1].strip() == "and 28 more pods"


def test_bars_draw_the_share() -> None:
    row = printed(Snapshot((node("this", 2, 8),)), bars=True)[2]
    assert "━━━━━━━━━━" in row
    assert " 50%" in row


async def test_metrics_are_read_through_the_aggregation_layer(
    cluster: StandinCluster, tmp_path: Path
) -> None:
    backend = FakeBackend(tmp_path, cluster.pki.front_proxy_ca.cert_pem)
    backend.nodes = [node_metrics("sim-00000", "250m", "512Mi")]
    reader = Reader(cluster.apiserver_url, client_context(cluster.pki.cluster_ca.cert_pem, cluster.pki.admin))
    try:
        cluster.set_backend(await backend.start())
        await cluster.aggregator.wait_available()
        (row,) = (await reader.read()).nodes
    finally:
        await reader.close()
        await backend.stop()
    assert (row.name, row.cpu_nanocores, row.memory_bytes) == ("sim-00000", 250_000_000, 512 << 20)
    assert row.cpu_capacity_nanocores >= 4_000_000_000

"""Who is asked when, and what is said of it, on a clock that the test turns."""

import asyncio
import logging
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.meta.objects import Node, NodeAddress
from pymetrics_server.meta.scrape import NodeScrape, ScrapeState
from pymetrics_server.meta.usage import MILLISECONDS_NS, NodeSample, PodLayout
from pymetrics_server.scraper import Failing, Scraper, next_wait_ns
from pymetrics_server.telemetry import Telemetry
from tests.fakes.clock import FakeClock, settle

S = 1_000_000_000
TICK_S = 0.25  # how late the dispatcher may look
RESOLUTION_S = 15
EMPTY = array("q")
SAMPLE = NodeSample(MILLISECONDS_NS, None, PodLayout((), (0,), ()), EMPTY, EMPTY, EMPTY, EMPTY, EMPTY)
Answer = Callable[[Node], Awaitable[NodeSample]]
Lines = Callable[[], list[tuple[str, dict[str, object]]]]  # sentence and values of all that was logged


class Cluster:
    """Kubelets that answer as told, the sink that takes their samples, and a record of both."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.began_ns = self.clock.monotonic_ns()
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[float, str]] = []
        self.asked_nodes: list[Node] = []
        self.stored: list[tuple[float, str]] = []
        self.forgotten: list[str] = []
        self.running = 0
        self.running_at_most = 0
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, RESOLUTION_S, per_node=True)

    @property
    def now_s(self) -> float:
        return (self.clock.monotonic_ns() - self.began_ns) / S

    async def scrape(self, node: Node) -> NodeSample:
        self.asked.append((self.now_s, node.name))
        self.asked_nodes.append(node)
        self.running += 1
        self.running_at_most = max(self.running_at_most, self.running)
        try:
            return await self.answers.get(node.name, at_once)(node)
        finally:
            self.running -= 1

    def put(self, node: str, sample: NodeSample, now_ns: int, cpu_capacity_nanocores: int) -> None:
        self.stored.append(((now_ns - self.began_ns) / S, node))

    def forget(self, node: str) -> None:
        self.forgotten.append(node)

    def endpoint_in_use(self, node_name: str) -> str:
        return "resource" if node_name.startswith("tls") else "summary"

    def scraper(self, *, concurrency: int = 64, selects: Callable[[Node], bool] = lambda _: True) -> Scraper:
        return Scraper(
            self, self, self.telemetry, self.clock, RESOLUTION_S * S, concurrency=concurrency, selects=selects
        )

    def after(self, seconds: float) -> Answer:
        async def answer(_: Node) -> NodeSample:
            await self.clock.sleep(seconds)
            return SAMPLE

        return answer

    def asked_at(self, name: str) -> list[float]:
        return [at_s for at_s, asked in self.asked if asked == name]

    def value(self, family: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(family, labels)


async def at_once(_: Node) -> NodeSample:
    return SAMPLE


async def for_ever(_: Node) -> NodeSample:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never done


def failing(failure: FailureClass, detail: str = "") -> Answer:
    async def answer(_: Node) -> NodeSample:
        raise KubeletError(failure, detail)

    return answer


def node(name: str, *, ready: bool = True, address: str = "10.0.0.1", **labels: str) -> Node:
    return Node(name=name, ready=ready, addresses=(NodeAddress("InternalIP", address),), labels=labels)


@asynccontextmanager
async def running(scraper: Scraper) -> AsyncIterator[Scraper]:
    task = asyncio.create_task(scraper.run(), name="scraper under test")
    await settle()
    try:
        yield scraper
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO)
    return lambda: [(r.getMessage(), getattr(r, "kv", {})) for r in caplog.records]


async def test_every_node_is_stored_as_it_answers_ready_or_not(cluster: Cluster) -> None:
    for name, seconds in (("node1", 1), ("node-no-host", 2), ("node3", 0.5)):
        cluster.answers[name] = cluster.after(seconds)
    async with running(cluster.scraper()) as scraper:
        for name in ("node1", "node-no-host", "node3"):
            scraper.upsert(node(name, ready=name != "node3"))
        await cluster.clock.advance(3)
        assert [name for _, name in cluster.stored] == ["node3", "node1", "node-no-host"]
        assert [at_s for at_s, _ in cluster.stored] == pytest.approx([0.5, 1, 2], abs=TICK_S)


async def test_a_node_that_fails_costs_that_node_only(cluster: Cluster) -> None:
    async def broken(_: Node) -> NodeSample:
        raise ZeroDivisionError("a bug")

    cluster.answers |= {"no-address": failing(FailureClass.NO_ADDRESS), "bug": broken, "hung": for_ever}
    async with running(cluster.scraper()) as scraper:
        for name in ("no-address", "bug", "hung", "node1", "node2"):
            scraper.upsert(node(name))
        await cluster.clock.advance(60)
        asked = Counter(name for _, name in cluster.asked)
        assert min(asked["no-address"], asked["bug"]) >= 4
        assert asked["hung"] == 1
        assert {name for _, name in cluster.stored} == {"node1", "node2"}


async def test_without_nodes_nothing_is_asked_and_nothing_breaks(cluster: Cluster) -> None:
    async with running(cluster.scraper()) as scraper:
        await cluster.clock.advance(40)
        assert cluster.asked == []
        assert scraper.timely(cluster.clock.monotonic_ns())


async def test_a_scrape_is_measured_and_counted(cluster: Cluster) -> None:
    cluster.answers = {
        "node1": cluster.after(1),
        "node2": failing(FailureClass.REFUSED),
    }
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        scraper.upsert(node("node2"))
        await cluster.clock.advance(1 + TICK_S)
    family = "metrics_server_kubelet_request_duration_seconds"
    assert cluster.value(f"{family}_bucket", node="node1", le="0.5") == 0
    assert cluster.value(f"{family}_bucket", node="node1", le="1") == 1
    assert cluster.value(f"{family}_sum", node="node1") == 1
    assert cluster.value("metrics_server_kubelet_request_total", success="true") == 1
    assert cluster.value("metrics_server_kubelet_request_total", success="false") == 2  # asked once more
    assert cluster.value("pymetrics_server_kubelet_failures_total", reason="refused") == 2
    assert cluster.value("metrics_server_kubelet_last_request_time_seconds", node="node1") == 1_790_000_001


async def test_a_round_is_observed_once_per_resolution(cluster: Cluster) -> None:
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(4 * RESOLUTION_S + 1)
    assert cluster.value("metrics_server_manager_tick_duration_seconds_count") == 4


async def test_nodes_are_asked_evenly_over_the_resolution(cluster: Cluster) -> None:
    async with running(cluster.scraper()) as scraper:
        for i in range(300):
            scraper.upsert(node(f"node-{i:04}"))
        await cluster.clock.advance(2 * RESOLUTION_S)
        cluster.asked.clear()
        await cluster.clock.advance(2 * RESOLUTION_S)
        assert set(Counter(name for _, name in cluster.asked).values()) == {2}
        per_second = Counter(int(at_s) for at_s, _ in cluster.asked)
        assert max(per_second.values()) <= 2 * 300 / RESOLUTION_S


async def test_two_replicas_ask_a_node_at_the_same_instants() -> None:
    asked_wall_s = []
    for started_s in (0, 4.7):
        cluster = Cluster()
        await cluster.clock.advance(started_s)
        async with running(cluster.scraper()) as scraper:
            scraper.upsert(node("node1"))
            await cluster.clock.advance(90 - started_s)
        asked_wall_s.append(cluster.asked_at("node1")[-3:])
    assert asked_wall_s[0] == pytest.approx(asked_wall_s[1], abs=TICK_S)


@pytest.mark.parametrize("name", [f"node-{i}" for i in range(12)])
async def test_a_new_node_is_asked_at_once_and_again_within_the_resolution(
    cluster: Cluster, name: str
) -> None:
    async with running(cluster.scraper()) as scraper:
        await cluster.clock.advance(7.3)
        scraper.upsert(node(name))
        await cluster.clock.advance(90)
        asked = cluster.asked_at(name)
        assert asked[0] <= 7.3 + TICK_S
        gaps_s = [b - a for a, b in pairwise(asked)]
        assert all(RESOLUTION_S / 2 - TICK_S <= gap_s <= RESOLUTION_S * 1.125 + TICK_S for gap_s in gaps_s)
        assert gaps_s[2:] == pytest.approx([RESOLUTION_S] * len(gaps_s[2:]), abs=TICK_S)


@given(
    name=st.text(min_size=1),
    began_ns=st.integers(10**18, 2 * 10**18),
    lateness_ns=st.integers(0, S // 2),
    resolution_s=st.sampled_from([10, 15, 60]),
)
def test_from_any_start_a_node_falls_into_its_phase(
    name: str, began_ns: int, lateness_ns: int, resolution_s: int
) -> None:
    at_ns, resolution_ns = began_ns, resolution_s * S
    gaps_ns = []
    for _ in range(4):
        gaps_ns.append(next_wait_ns(name, at_ns, resolution_ns))
        at_ns += gaps_ns[-1]
    assert all(resolution_ns // 2 <= gap_ns <= resolution_ns * 9 // 8 for gap_ns in gaps_ns)
    assert gaps_ns[2:] == [resolution_ns, resolution_ns]
    late = next_wait_ns(name, at_ns + lateness_ns, resolution_ns)
    assert late == resolution_ns - lateness_ns
    assert next_wait_ns(name, at_ns - S // 1000, resolution_ns) == resolution_ns + S // 1000


async def test_a_node_that_turns_ready_is_asked_within_a_second(cluster: Cluster) -> None:
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1", ready=False))
        await cluster.clock.advance(1)
        scraper.upsert(node("node1", ready=True))
        await cluster.clock.advance(1)
        assert len(cluster.asked_at("node1")) == 2


async def test_a_scrape_that_hangs_on_a_node_does_not_hold_it_once_it_turns_ready(cluster: Cluster) -> None:
    cluster.answers["node1"] = for_ever
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1", ready=False))
        await cluster.clock.advance(5)
        del cluster.answers["node1"]
        scraper.upsert(node("node1", ready=True))
        await cluster.clock.advance(1)
        assert [name for _, name in cluster.stored] == ["node1"]
        assert cluster.running == 0


async def test_a_changed_address_is_used_from_the_next_scrape_on(cluster: Cluster) -> None:
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1", address="10.0.0.1"))
        await cluster.clock.advance(1)
        scraper.upsert(node("node1", address="10.0.0.2"))
        await cluster.clock.advance(1)
        assert len(cluster.asked_nodes) == 1
        await cluster.clock.advance(RESOLUTION_S)
        assert cluster.asked_nodes[1].addresses[0].address == "10.0.0.2"


async def test_a_node_that_left_is_forgotten_and_its_late_answer_dropped(cluster: Cluster) -> None:
    async def deaf(_: Node) -> NodeSample:
        try:
            await cluster.clock.sleep(3)
        except asyncio.CancelledError:
            await cluster.clock.sleep(3)
        return SAMPLE

    cluster.answers["node1"] = deaf
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        scraper.upsert(node("node2"))
        await cluster.clock.advance(1)
        scraper.remove("node1")
        scraper.remove("node1")
        await cluster.clock.advance(40)
        assert cluster.forgotten == ["node1", "node1"]  # by the sink and by the client
        assert len(cluster.asked_at("node1")) == 1
        assert {name for _, name in cluster.stored} == {"node2"}
        assert [scrape.node for scrape in scraper.report()] == ["node2"]
        assert scraper.node_count == 1
        assert cluster.value("metrics_server_kubelet_request_duration_seconds_count", node="node1") is None


async def test_nodes_that_the_selector_leaves_out_are_not_asked(cluster: Cluster) -> None:
    async with running(cluster.scraper(selects=lambda n: "skip" not in n.labels)) as scraper:
        scraper.upsert(node("node1"))
        scraper.upsert(node("node2", skip="true"))
        await cluster.clock.advance(1)
        assert [name for _, name in cluster.asked] == ["node1"]
        scraper.upsert(node("node1", skip="true"))
        await cluster.clock.advance(40)
        assert len(cluster.asked) == 1
        assert cluster.forgotten == ["node1", "node1"]


async def test_one_node_is_never_asked_twice_at_a_time(cluster: Cluster) -> None:
    cluster.answers["slow"] = cluster.after(20)
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("slow"))
        await cluster.clock.advance(200)
        assert cluster.running_at_most == 1
        assert 5 <= len(cluster.stored) <= 8


async def test_the_first_rush_is_bounded(cluster: Cluster) -> None:
    for i in range(300):
        cluster.answers[f"node-{i}"] = cluster.after(0.2)
    async with running(cluster.scraper(concurrency=64)) as scraper:
        for i in range(300):
            scraper.upsert(node(f"node-{i}"))
        await cluster.clock.advance(1.5)
        assert cluster.running_at_most == 64
        assert len(cluster.stored) == 300


async def test_of_what_is_due_at_once_a_few_are_asked_in_each_turn_of_the_loop(cluster: Cluster) -> None:
    """Whoever asks us has a turn between them."""
    loop, turn, is_over = asyncio.get_running_loop(), 0, False
    begun: Counter[int] = Counter()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if not is_over:
            loop.call_soon(next_turn)

    async def answer(_: Node) -> NodeSample:
        begun[turn] += 1
        return SAMPLE

    async with running(cluster.scraper()) as scraper:
        for i in range(60):
            cluster.answers[f"node-{i}"] = answer
            scraper.upsert(node(f"node-{i}"))
        loop.call_soon(next_turn)
        await cluster.clock.advance(0.25)
        is_over = True
    assert begun.total() == 60
    assert max(begun.values()) <= 8


async def test_thousands_of_nodes_are_asked_within_seconds_of_the_start(cluster: Cluster) -> None:
    for i in range(2000):
        cluster.answers[f"node-{i}"] = cluster.after(0.05)
    async with running(cluster.scraper(concurrency=64)) as scraper:
        for i in range(2000):
            scraper.upsert(node(f"node-{i}"))
        await cluster.clock.advance(3)
        assert len({name for _, name in cluster.stored}) == 2000


async def test_nodes_that_hang_leave_the_others_on_time(cluster: Cluster) -> None:
    hung = [f"hung-{i}" for i in range(100)]
    well = [f"node-{i}" for i in range(100)]

    async def time_out(_: Node) -> NodeSample:
        await cluster.clock.sleep(10)
        raise KubeletError(FailureClass.SLOW_RESPONSE)

    cluster.answers = dict.fromkeys(hung, time_out)
    async with running(cluster.scraper(concurrency=64)) as scraper:
        for name in hung + well:
            scraper.upsert(node(name))
        await cluster.clock.advance(5)
        assert {name for _, name in cluster.stored} == set(well)  # the rush is over, the hung still hang
        assert cluster.running == len(hung)
        await cluster.clock.advance(2 * RESOLUTION_S)
        cluster.asked.clear()
        await cluster.clock.advance(2 * RESOLUTION_S)
        per_node = Counter(name for _, name in cluster.asked)
        assert {per_node[name] for name in well} == {2}
        assert {per_node[name] for name in hung} == {2}


async def test_a_third_of_a_large_cluster_that_hangs_leaves_the_others_on_time(cluster: Cluster) -> None:
    async def time_out(_: Node) -> NodeSample:
        await cluster.clock.sleep(10)
        raise KubeletError(FailureClass.SLOW_RESPONSE)

    cluster.answers = {f"node-{i}": time_out for i in range(0, 1500, 3)}
    async with running(cluster.scraper(concurrency=64)) as scraper:
        for i in range(1500):
            scraper.upsert(node(f"node-{i}"))
        await cluster.clock.advance(2 * RESOLUTION_S)
        cluster.stored.clear()
        await cluster.clock.advance(2 * RESOLUTION_S + TICK_S)
    per_node = Counter(name for _, name in cluster.stored)
    assert len(per_node) == 1000
    assert set(per_node.values()) <= {2, 3}


async def test_a_node_that_fails_once_is_asked_again_within_the_same_interval(cluster: Cluster) -> None:
    """Of every fifth scrape that fails nobody sees anything."""
    asked = 0

    async def now_and_then(asked_node: Node) -> NodeSample:
        nonlocal asked
        asked += 1
        if asked % 5 == 1:
            raise KubeletError(FailureClass.SERVER_ERROR)
        return SAMPLE

    cluster.answers["node1"] = now_and_then
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(20 * RESOLUTION_S)
    stored = [at_s for at_s, _ in cluster.stored]
    assert stored[0] <= 1 + 2 * TICK_S
    assert max(b - a for a, b in pairwise(stored)) <= RESOLUTION_S * 1.125 + 1 + 2 * TICK_S


async def test_a_node_that_goes_on_failing_is_asked_once_more_and_then_in_its_slots_only(
    cluster: Cluster,
) -> None:
    cluster.answers["node1"] = failing(FailureClass.REFUSED)
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(10 * RESOLUTION_S)
    first, again, *slots = cluster.asked_at("node1")
    assert again - first == pytest.approx(1, abs=2 * TICK_S)
    assert all(b - a >= RESOLUTION_S / 2 - TICK_S for a, b in pairwise([again, *slots]))


async def test_a_node_that_hangs_is_not_asked_more_often_for_it(cluster: Cluster) -> None:
    async def time_out(_: Node) -> NodeSample:
        await cluster.clock.sleep(RESOLUTION_S / 2)
        raise KubeletError(FailureClass.SLOW_RESPONSE)

    cluster.answers["node1"] = time_out
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(10 * RESOLUTION_S)
    gaps_s = [b - a for a, b in pairwise(cluster.asked_at("node1"))]
    assert min(gaps_s) >= RESOLUTION_S / 2 - TICK_S


async def test_the_loop_is_timely_whatever_the_nodes_do(cluster: Cluster) -> None:
    cluster.answers["hung"] = for_ever
    scraper = cluster.scraper()
    now_ns = cluster.clock.monotonic_ns
    assert scraper.timely(now_ns() + 3600 * S)  # nothing was begun yet
    async with running(scraper):
        scraper.upsert(node("hung"))
        await cluster.clock.advance(600)
        assert scraper.timely(now_ns())
    await cluster.clock.advance(RESOLUTION_S)
    assert scraper.timely(now_ns())
    await cluster.clock.advance(RESOLUTION_S)
    assert not scraper.timely(now_ns())


async def test_a_cure_that_fits_the_node_is_told_in_place_of_the_failure_s_own(
    cluster: Cluster, lines: Lines
) -> None:
    async def refuse(_: Node) -> NodeSample:
        raise KubeletError(FailureClass.FORBIDDEN, "403", status=403, cure="grant it to monitoring:ms")

    cluster.answers["node1"] = refuse
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(40)
        ((_, values),) = lines()
        (failure,) = scraper.failures().values()
        (report,) = scraper.report()
    assert values["cure"] == failure.cure == report.state.cure == "grant it to monitoring:ms"


async def test_a_failure_is_said_once_and_so_is_its_end(cluster: Cluster, lines: Lines) -> None:
    cluster.answers["node1"] = failing(FailureClass.REFUSED, "10.0.0.1:10250")
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(40)
        ((said, values),) = lines()
        assert said == "Failed to scrape node"
        assert values["node"] == "node1"
        assert values["failure"] == "refused"
        assert values["addresses"] == ["10.0.0.1"]
        assert values["cure"] == FailureClass.REFUSED.cure
        assert "10.0.0.1:10250" in str(values["err"])

        cluster.answers["node1"] = failing(FailureClass.FORBIDDEN)
        await cluster.clock.advance(40)
        assert [v.get("failure") for _, v in lines()] == ["refused", "forbidden"]

        ((_, _, state),) = map(msgspec.structs.astuple, scraper.report())
        del cluster.answers["node1"]
        await cluster.clock.advance(40)
        said, values = lines()[-1]
        assert len(lines()) == 3
        assert said == "Node answers again"
        assert values["attempts"] == state.attempts
        assert 80 <= float(str(values["failed_for_s"])) <= 96


async def test_a_node_that_is_not_ready_fails_quietly_until_it_is(cluster: Cluster, lines: Lines) -> None:
    cluster.answers["node1"] = failing(FailureClass.CONNECT_TIMEOUT)
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1", ready=False))
        await cluster.clock.advance(40)
        assert lines() == []
        scraper.upsert(node("node1", ready=True))
        await cluster.clock.advance(1)
        assert [said for said, _ in lines()] == ["Failed to scrape node"]


async def test_a_bug_in_one_scrape_is_said_once_with_its_traceback(cluster: Cluster, lines: Lines) -> None:
    async def broken(_: Node) -> NodeSample:
        raise ZeroDivisionError("a bug")

    cluster.answers["node1"] = broken
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1", ready=False))
        await cluster.clock.advance(60)
        ((_, values),) = lines()
        assert "in broken" in str(values["traceback"])
        failure = scraper.failures()[FailureClass.INTERNAL]
        assert failure == Failing(1, "node1", "ZeroDivisionError('a bug')", FailureClass.INTERNAL.cure)


async def test_what_an_answer_lacks_is_said_at_verbosity_one(
    cluster: Cluster, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymetrics_server.log._verbosity", 1)

    async def flawed(_: Node) -> NodeSample:
        return msgspec.structs.replace(SAMPLE, dropped=(("pod ns/a", "container c: memory is zero"),))

    cluster.answers["node1"] = flawed
    async with running(cluster.scraper()) as scraper:
        scraper.upsert(node("node1"))
        await cluster.clock.advance(1)
    lacking = {"node": "node1", "what": "pod ns/a", "why": "container c: memory is zero"}
    assert ("Failed getting complete metric", lacking) in lines()


async def test_probes_and_the_status_page_can_say_how_nodes_fail(cluster: Cluster) -> None:
    cluster.answers |= {f"tls-{i}": failing(FailureClass.TLS_EXPIRED, f"in 200{i}") for i in range(3)}
    cluster.answers["dns"] = failing(FailureClass.DNS, "dns: no such host")
    async with running(cluster.scraper()) as scraper:
        for name in (*cluster.answers, "node1"):
            scraper.upsert(node(name))
        await cluster.clock.advance(1)
        assert scraper.failures() == {
            FailureClass.TLS_EXPIRED: Failing(3, "tls-0", "in 2000", FailureClass.TLS_EXPIRED.cure),
            FailureClass.DNS: Failing(1, "dns", "dns: no such host", FailureClass.DNS.cure),
        }
        first_tick_ns = cluster.began_ns + S // 4
        reported = {scrape.node: scrape for scrape in scraper.report()}
        assert len(reported) == 5
        assert reported["node1"] == NodeScrape("node1", "summary", ScrapeState(last_success_ns=first_tick_ns))
        assert reported["tls-0"].endpoint == "resource"
        assert reported["dns"].state == ScrapeState(
            failing_since_ns=first_tick_ns,
            failure=FailureClass.DNS,
            detail="dns: no such host",
            cure=FailureClass.DNS.cure,
            attempts=1,
        )
        scraper.remove("dns")
        cluster.answers.clear()
        await cluster.clock.advance(2 * RESOLUTION_S)
        assert scraper.failures() == {}

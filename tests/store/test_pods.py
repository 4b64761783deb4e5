"""The usage of pods, sample after sample. Resolution 60 s unless a test says otherwise."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.usage import (
    MILLISECONDS_NS,
    NO_RATE,
    WHOLE_SECONDS_NS,
    ContainerUsage,
    NodeSample,
    PodUsage,
)
from pymetrics_server.store import Store
from pymetrics_server.store.rate import BACKWARDS, point, rate
from tests.store.samples import CORE_NS, MI, SECOND_NS, C, ns, pod, sample

NOTHING = PodUsage(0, 0, ())


def stored(*samples: NodeSample, resolution_s: int = 60, capacity: int = 0, ring: int = 8) -> Store:
    store = Store(resolution_s * SECOND_NS, 180 * SECOND_NS, ring)
    for i, s in enumerate(samples):
        store.put("node1", s, i, capacity)
    return store


def usage(
    *samples: NodeSample, resolution_s: int = 60, capacity: int = 0, name: str = "pod1"
) -> PodUsage | None:
    return stored(*samples, resolution_s=resolution_s, capacity=capacity).pod_usage("ns1", name, 100)


def one(timestamp_s: float, window_s: float, cores: float, mem_mi: int = 4) -> PodUsage:
    container = ContainerUsage("c1", round(cores * CORE_NS), mem_mi * MI)
    return PodUsage(ns(timestamp_s), round(window_s * SECOND_NS), (container,))


@pytest.mark.parametrize("start_s", [0, None])
def test_two_samples_make_a_usage_and_a_sample_without_the_pod_ends_it(start_s: float | None) -> None:
    first, second = pod(c1=C(120, 1, 4, start_s)), pod(c1=C(125, 6, 5, start_s))
    assert usage(first) is None
    assert usage(first, second) == one(125, 5, 1, 5)
    assert usage(first, second, name="pod2") is None
    assert usage(first, second, sample()) is None


def test_a_pods_time_and_window_are_those_of_its_earliest_container() -> None:
    found = usage(pod(c1=C(110, 1), c2=C(115, 2)), pod(c1=C(120, 6), c2=C(125, 7)))
    assert found is not None
    assert (found.timestamp_ns, found.window_ns) == (ns(120), 10 * SECOND_NS)
    assert [c.name for c in found.containers] == ["c1", "c2"]


def test_the_same_sample_twice_makes_no_usage() -> None:
    store = stored(pod(c1=C(110, 1)), pod(c1=C(110, 1)))
    assert store.pod_usage("ns1", "pod1", 100) is None
    assert store.servable(100) == (0, 0)


def test_containers_with_a_pair_are_counted() -> None:
    first, second = pod(c1=C(110, 1), c2=C(115, 2)), pod(c1=C(120, 6), c2=C(125, 7))
    assert stored().servable(100) == (0, 0)
    assert stored(first).servable(100) == (0, 0)
    assert stored(first, second).servable(100) == (0, 2)
    assert stored(pod(c1=C(10, 1))).servable(100) == (0, 1)
    assert stored(pod(c1=C(10, 1, nanocores=5), stamp_ns=WHOLE_SECONDS_NS)).servable(100) == (0, 1)
    grown = sample({"ns1/pod0": {"c": C(120, 1)}, "ns1/pod1": {"c1": C(120, 6), "c2": C(125, 7)}})
    assert stored(first, grown).servable(100) == (0, 2)


def test_a_container_restarted_ten_seconds_ago_is_measured_since_its_start() -> None:
    assert usage(pod(c1=C(10, 1)), pod(c1=C(25, 5, 5, start_s=15))) == one(25, 10, 0.5, 5)


@pytest.mark.parametrize(
    ("before", "last", "resolution_s"),
    [(C(110, 20), C(120, 5, start_s=112), 60), (C(15, 20), C(40, 25, start_s=16), 15)],
    ids=["younger-than-ten-seconds", "older-than-the-resolution"],
)
def test_a_restart_outside_the_fresh_window_costs_one_sample(before: C, last: C, resolution_s: int) -> None:
    assert usage(pod(c1=before), pod(c1=last), resolution_s=resolution_s) is None
    after = last._replace(at_s=last.at_s + 60, cpu_s=last.cpu_s + 30)
    assert usage(pod(c1=before), pod(c1=last), pod(c1=after), resolution_s=resolution_s) == one(
        after.at_s, 60, 0.5
    )


def test_a_counter_that_went_backwards_leaves_the_pod_with_no_containers() -> None:
    assert usage(pod(c1=C(110, 20)), pod(c1=C(120, 10))) == NOTHING


def test_a_start_time_that_went_backwards_leaves_the_pod_with_no_containers() -> None:
    assert usage(pod(c1=C(110, 20, start_s=5)), pod(c1=C(120, 30, start_s=4))) == NOTHING


def test_one_container_that_went_backwards_leaves_the_others() -> None:
    found = usage(pod(c0=C(110, 9), c1=C(110, 1)), pod(c0=C(110.5, 3), c1=C(120, 11)))
    assert found == one(120, 10, 1)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([C(1115, 20), C(1125, 40), C(115, 10)], id="time-turned-back-before-the-pair"),
        pytest.param([C(1, 1), C(1115, 20), C(1125, 40), C(115, 10)], id="into-older-samples"),
        pytest.param([C(120, 1)], id="one-sample"),
        pytest.param([C(-10, 1)], id="before-its-start"),
        pytest.param([C(9, 1)], id="nine-seconds-old"),
        pytest.param([C(60, 1)], id="as-old-as-the-resolution"),
        pytest.param([C(30, 1, start_s=None)], id="start-unknown"),
    ],
)
def test_what_has_no_pair_is_left_out(samples: list[C]) -> None:
    assert usage(*(pod(c1=c) for c in samples)) is None


def test_a_sample_older_than_the_last_but_younger_than_its_pair_is_measured() -> None:
    found = usage(pod(c1=C(115, 10)), pod(c1=C(125, 50)), pod(c1=C(120, 35, 5)))
    assert found == one(120, 5, 5, 5)


def test_a_container_ten_seconds_old_is_measured_since_its_start() -> None:
    assert usage(pod(c1=C(10, 10))) == one(10, 10, 1)
    assert usage(pod(c1=C(10, 10)), resolution_s=10) is None


def test_while_it_is_fresh_its_whole_life_is_measured() -> None:
    assert usage(pod(c1=C(10, 10)), pod(c1=C(40, 10))) == one(40, 40, 0.25)


def test_a_second_container_makes_the_pod_wait_one_sample() -> None:
    first, second = pod(c1=C(110, 1)), pod(c1=C(120, 2), c2=C(120, 2))
    assert usage(first, second) is None
    assert usage(first, second, pod(c1=C(130, 3), c2=C(130, 3))) is not None


def test_a_container_that_ended_leaves_the_answer_and_the_pod_stays() -> None:
    assert usage(pod(c0=C(110, 1), c1=C(110, 1)), pod(c1=C(120, 6))) == one(120, 10, 0.5)


def test_a_pod_missing_from_one_sample_is_back_with_the_next() -> None:
    """metrics-server needs two more."""
    samples = pod(c1=C(110, 1)), sample({"ns1/other": {"c": C(120, 1)}})
    assert usage(*samples) is None
    assert usage(*samples, pod(c1=C(130, 11))) == one(130, 20, 0.5)


def test_a_frozen_time_repeats_the_answer_unchanged() -> None:
    moving = pod(c1=C(110, 1)), pod(c1=C(120, 6))
    assert usage(*moving, *[pod(c1=C(120, 6))] * 20) == one(120, 10, 0.5)


@pytest.mark.parametrize("ring", [2, 3, 8])
def test_containers_looked_at_minutes_apart_keep_their_pairs(ring: int) -> None:
    """Each at its own time; pods come and go beside them, and every sample differs from the one before."""
    store = Store(15 * SECOND_NS, 180 * SECOND_NS, ring)
    for i in range(60):
        now_s = 1000 + i * 15
        looked_s = {f"c{k}": (now_s - k * 60) // 300 * 300 + k * 60 for k in range(5)}
        pods = {"ns1/pod1": {c: C(at_s, at_s / 2) for c, at_s in looked_s.items()}}
        passing = {f"ns1/job{i // 3}": {"job": C(now_s, 1, start_s=now_s - 1)}}
        store.put("node1", sample(passing | pods if i % 2 else pods | passing), i, 0)
        if i >= 21:
            found = store.pod_usage("ns1", "pod1", i)
            assert found is not None
            assert found.window_ns == 300 * SECOND_NS
            assert {c.cpu_nanocores for c in found.containers} == {CORE_NS // 2}


def whole(c: C) -> NodeSample:
    return pod(stamp_ns=WHOLE_SECONDS_NS, c1=c)


@pytest.mark.parametrize(
    ("start_s", "window_s"), [(0, 15), (None, 15), (97, 3), (85, 15)], ids=["old", "unknown", "young", "edge"]
)
def test_the_kubelets_rate_serves_a_pod_from_its_first_sample(start_s: float | None, window_s: int) -> None:
    """metrics-server waits for the second."""
    assert usage(whole(C(100, 9, 4, start_s, nanocores=CORE_NS // 4))) == one(100, window_s, 0.25)


def test_a_container_that_has_not_lived_a_second_is_not_served() -> None:
    assert usage(whole(C(100, 9, start_s=100, nanocores=CORE_NS))) is None


def test_a_restarted_container_is_served_by_the_kubelets_rate() -> None:
    found = usage(whole(C(100, 90, nanocores=CORE_NS)), whole(C(115, 2, start_s=110, nanocores=CORE_NS // 2)))
    assert found == one(115, 5, 0.5)


def test_the_kubelets_rate_goes_before_the_fresh_containers_rule() -> None:
    found = usage(whole(C(20, 4, nanocores=CORE_NS)))
    assert found == one(20, 15, 1)
    assert usage(whole(C(20, 4, nanocores=0))) == one(20, 20, 0.2)


def test_a_rate_above_what_the_node_has_is_not_believed() -> None:
    absurd = whole(C(100, 9, nanocores=18_000 * CORE_NS))
    assert usage(absurd, capacity=8 * CORE_NS) is None
    assert usage(absurd, whole(C(115, 24, nanocores=18_000 * CORE_NS)), capacity=8 * CORE_NS) == one(
        115, 15, 1
    )


def test_the_kubelets_rate_is_held_within_what_the_stamps_allow() -> None:
    for said, served in ((0.98, 0.98), (3, 15 / 14), (0.1, 15 / 16), (0, 1)):
        found = usage(whole(C(100, 10)), whole(C(115, 25, nanocores=int(said * CORE_NS))))
        assert found is not None
        assert found.containers[0].cpu_nanocores == pytest.approx(served * CORE_NS, rel=1e-8)


def test_an_idle_container_uses_nothing() -> None:
    assert usage(whole(C(100, 10)), whole(C(115, 10, nanocores=0))) == one(115, 15, 0)


def test_a_usage_is_the_identical_object_until_the_next_sample() -> None:
    store = stored(pod(c1=C(110, 1)), pod(c1=C(120, 6)))
    before = store.pod_usage("ns1", "pod1", 100)
    assert before is not None
    assert store.pod_usage("ns1", "pod1", 101) is before
    store.put("node1", pod(c1=C(130, 7)), 102, 0)
    assert store.pod_usage("ns1", "pod1", 103) not in (before, None)


def two_nodes(old_start_s: float, new_start_s: float) -> Store:
    """The pod first on node1, then also on node2; node1 uses a core, node2 two."""
    store = Store(60 * SECOND_NS, 180 * SECOND_NS)
    for at_s, put in ((110, 0), (120, 1)):
        store.put("node1", pod(c1=C(at_s, at_s, start_s=old_start_s)), put * SECOND_NS, 0)
        store.put("node2", pod(c1=C(at_s, 2 * at_s, start_s=new_start_s)), put * SECOND_NS, 0)
    return store


def cores(store: Store, now_s: int = 2) -> int | None:
    found = store.pod_usage("ns1", "pod1", now_s * SECOND_NS)
    return found.containers[0].cpu_nanocores // CORE_NS if found else None


@pytest.mark.parametrize(
    ("old_start_s", "new_start_s", "expected"),
    [(0, 50, 2), (50, 0, 1), (50, 50, 1)],
    ids=["moved", "late", "draw"],
)
def test_of_a_pod_on_two_nodes_the_younger_is_served(
    old_start_s: float, new_start_s: float, expected: int
) -> None:
    assert cores(two_nodes(old_start_s, new_start_s)) == expected


def test_when_the_owner_of_a_pod_leaves_the_other_node_serves_it() -> None:
    store = two_nodes(0, 50)
    store.forget("node2")
    assert cores(store) == 1
    store.forget("node1")
    assert cores(store) is None

    store = two_nodes(50, 0)
    store.put("node1", sample(), 2 * SECOND_NS, 0)
    assert cores(store) == 2
    store.put("node2", sample(), 2 * SECOND_NS, 0)
    assert cores(store) is None
    assert repr(store) == "<Store: 2 nodes, 0 pods, 0 on two nodes>"


def test_when_the_owner_of_a_pod_falls_silent_the_other_node_serves_it() -> None:
    store = two_nodes(0, 50)
    store.put("node1", pod(c1=C(130, 130)), 150 * SECOND_NS, 0)
    assert cores(store, 200) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.frozensets(st.sampled_from("xyz")) | st.none()), max_size=30
    )
)
def test_a_pod_is_known_exactly_while_some_node_reports_it(
    steps: list[tuple[str, frozenset[str] | None]],
) -> None:
    store = Store(60 * SECOND_NS, 180 * SECOND_NS)
    reported: dict[str, frozenset[str]] = {}
    for node, pods in steps:
        if pods is None:
            store.forget(node)
            reported.pop(node, None)
        else:
            store.put(node, sample({f"ns1/{p}": {"c": C(10, 1)} for p in sorted(pods)}), 0, 0)
            reported[node] = pods
        for p in "xyz":
            known = store.pod_usage("ns1", p, 0) is not None
            assert known == any(p in pods for pods in reported.values())


def test_a_clock_that_is_turned_back_behind_a_containers_start_costs_one_rate_at_most() -> None:
    before = [pod(c1=C(100, 1)), pod(c1=C(115, 2))]
    turned_back = [pod(c1=C(-3500, 3)), pod(c1=C(-3485, 4.5))]
    assert stored(*before, turned_back[0]).pod_usage("ns1", "pod1", 100) is None
    usage = stored(*before, *turned_back).pod_usage("ns1", "pod1", 100)
    assert usage is not None
    assert usage.containers[0].cpu_nanocores == CORE_NS // 10


@given(
    st.lists(
        st.builds(
            C,
            at_s=st.integers(50, 130),
            cpu_s=st.integers(1, 9),
            mem_mi=st.just(4),
            start_s=st.sampled_from([0, 60, 90, 100, None]),
            nanocores=st.sampled_from([NO_RATE, 0, 20_000_000, CORE_NS, 3 * CORE_NS]),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda c: c.at_s,
    ),
    st.sampled_from([WHOLE_SECONDS_NS, MILLISECONDS_NS]),
)
def test_a_pods_usage_is_what_the_rule_of_rates_says_of_its_points(series: list[C], stamp_ns: int) -> None:
    found = stored(*[pod(stamp_ns=stamp_ns, c1=c) for c in series], capacity=2 * CORE_NS)
    last, *earlier = [
        point(ns(c.at_s), 0 if c.start_s is None else ns(c.start_s), round(c.cpu_s * CORE_NS))
        for c in reversed(series)
    ]
    said = series[-1].nanocores
    believed = said if stamp_ns == WHOLE_SECONDS_NS and said <= 2 * CORE_NS else NO_RATE
    ruled = rate(last, earlier, believed, 60 * SECOND_NS)
    if ruled is None or ruled is BACKWARDS:
        expected = None if ruled is None else NOTHING
    else:
        container = ContainerUsage("c1", ruled.cpu_nanocores, 4 * MI)
        expected = PodUsage(last.time_ns, ruled.window_ns, (container,))
    assert found.pod_usage("ns1", "pod1", 100) == expected


def _told(at_s: list[float], cpu_s: tuple[int, int]) -> st.SearchStrategy[C]:
    return st.builds(
        C,
        at_s=st.sampled_from(at_s),
        cpu_s=st.integers(*cpu_s),
        mem_mi=st.integers(1, 9),
        start_s=st.sampled_from([0, 90]),
        nanocores=st.sampled_from([NO_RATE, CORE_NS]),
    )


_container = st.tuples(_told([100, 101], (1, 3)), _told([100, 115, 116], (2, 9)))


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["c1", "c2", "c3"]), _container, min_size=1), min_size=1, max_size=20
    )
)
def test_each_of_many_pods_has_what_the_rule_of_rates_says_of_its_containers(
    pods: list[dict[str, tuple[C, C]]],
) -> None:
    def answer(turn: int) -> NodeSample:
        return sample(
            {f"ns1/pod{i}": {name: told[turn] for name, told in each.items()} for i, each in enumerate(pods)},
            stamp_ns=WHOLE_SECONDS_NS,
        )

    store = stored(answer(0), answer(1))
    for i, each in enumerate(pods):
        assert store.pod_usage("ns1", f"pod{i}", 100) == _as_ruled(each)


def _as_ruled(containers: dict[str, tuple[C, C]]) -> PodUsage | None:
    used: list[tuple[int, int, ContainerUsage]] = []
    for name, (before, last) in containers.items():
        earlier, newest = (
            point(ns(c.at_s), ns(c.start_s or 0), round(c.cpu_s * CORE_NS)) for c in (before, last)
        )
        ruled = rate(newest, [earlier], last.nanocores, 60 * SECOND_NS)
        if ruled is None:
            return None
        if ruled is not BACKWARDS:
            usage = ContainerUsage(name, ruled.cpu_nanocores, last.mem_mi * MI)
            used.append((newest.time_ns, ruled.window_ns, usage))
    if not used:
        return NOTHING
    timestamp_ns, window_ns, _ = min(used, key=lambda each: each[0])
    return PodUsage(timestamp_ns, window_ns, tuple(usage for _, _, usage in used))


def test_a_container_costs_less_than_600_bytes() -> None:
    """With the ring full, names and index and all: 150,000 of them fit into 90 MB."""

    def answer(node: int, at_s: int) -> NodeSample:
        pods = {f"team-{p}/app-{node}-{p}": {"app": C(at_s, 1), "proxy": C(at_s, 1)} for p in range(30)}
        return sample(pods, node=C(at_s, 1))

    tracemalloc.start()
    try:
        store = Store(15 * SECOND_NS, 60 * SECOND_NS)
        for i in range(12):
            for node in range(20):
                store.put(f"node-{node}", answer(node, 100 + i * 15), i, 0)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / (20 * 60) < 600


def test_usage_holds_until_the_next_sample_of_its_node_or_until_it_is_too_old() -> None:
    store = Store(15 * SECOND_NS, max_age_ns=100)
    store.put("node1", pod(c1=C(10, 1)), 0, 0)
    first = store.pod_validity("ns1", "pod1")
    assert first.until_ns == 100
    store.put("node2", pod(name="ns1/other", c1=C(10, 1)), 50, 0)
    assert store.pod_validity("ns1", "pod1") is first
    store.put("node1", pod(c1=C(20, 2)), 50, 0)
    assert first.until_ns < 0
    second = store.pod_validity("ns1", "pod1")
    assert second.until_ns == store.node_validity("node1").until_ns == 150
    store.forget("node1")
    assert second.until_ns < 0
    assert store.pod_validity("ns1", "pod1").until_ns < 0


def test_usage_of_a_pod_that_turns_up_on_a_second_node_holds_no_longer() -> None:
    store = Store(15 * SECOND_NS, max_age_ns=100)
    store.put("node1", pod(c1=C(10, 1)), 0, 0)
    of_one = store.pod_validity("ns1", "pod1")
    store.put("node2", pod(c1=C(11, 1, start_s=5)), 1, 0)
    assert of_one.until_ns < 0
    assert store.pod_validity("ns1", "pod1").until_ns < 0
    assert store.node_validity("node1").until_ns == 100
    store.put("node1", sample(), 2, 0)
    assert store.pod_validity("ns1", "pod1").until_ns == 101

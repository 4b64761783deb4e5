"""One node's usage, sample after sample. Resolution 60 s."""

import pytest

from pymetrics_server.meta.usage import MILLISECONDS_NS, NO_RATE, WHOLE_SECONDS_NS, NodeUsage
from pymetrics_server.store import Store
from tests.store.samples import CORE_NS, MI, SECOND_NS, C, ns, pod, sample

CAPACITY = 8 * CORE_NS


def stored(*points: C, stamp_ns: int = MILLISECONDS_NS, capacity: int = 0) -> Store:
    store = Store(60 * SECOND_NS, 180 * SECOND_NS)
    for i, point in enumerate(points):
        store.put("node1", sample(node=point, stamp_ns=stamp_ns), i, capacity)
    return store


def usage(*points: C, stamp_ns: int = MILLISECONDS_NS, capacity: int = 0) -> NodeUsage | None:
    return stored(*points, stamp_ns=stamp_ns, capacity=capacity).node_usage("node1", 10)


@pytest.mark.parametrize("start_s", [0, None])
def test_two_samples_make_a_usage_and_one_does_not(start_s: float | None) -> None:
    first, second = C(10, 10, 2, start_s), C(20, 20, 3, start_s)
    assert usage(first) is None
    assert usage(first, second) == NodeUsage(ns(20), 10 * SECOND_NS, CORE_NS, 3 * MI)
    assert stored(first, second).node_usage("node2", 10) is None


def test_the_same_sample_twice_makes_no_usage() -> None:
    assert usage(C(10, 10, 2), C(10, 10, 2)) is None


def test_nodes_without_pods_are_counted_alone() -> None:
    assert stored().servable(10) == (0, 0)
    assert stored(C(10, 10)).servable(10) == (0, 0)
    assert stored(C(10, 10), C(20, 21)).servable(10) == (1, 0)


def test_pods_without_a_node_point_are_counted_alone() -> None:
    store = Store(60 * SECOND_NS, 180 * SECOND_NS)
    store.put("node1", pod(c1=C(110, 1)), 0, 0)
    store.put("node1", pod(c1=C(120, 1)), 0, 0)
    assert store.servable(10) == (0, 1)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([C(10, 10, 2), C(20, 5, 3, start_s=15)], id="rebooted"),
        pytest.param([C(15, 50), C(25, 10)], id="counter-went-backwards"),
        pytest.param([C(15, 10), C(35, 50), C(5, 6)], id="time-turned-back-before-the-pair"),
        pytest.param([C(1, 1), C(15, 10), C(35, 50), C(5, 60)], id="clock-stepped-into-older-samples"),
    ],
)
def test_what_cannot_be_trusted_is_left_out(points: list[C]) -> None:
    assert usage(*points) is None


def test_a_sample_older_than_the_last_but_younger_than_its_pair_is_measured() -> None:
    found = usage(C(15, 10, 1), C(35, 50, 4), C(25, 35, 2))
    assert found == NodeUsage(ns(25), 10 * SECOND_NS, 5 * CORE_NS // 2, 2 * MI)


def test_after_a_stepped_clock_the_next_newer_sample_is_measured() -> None:
    assert usage(C(15, 10), C(35, 50), C(5, 60), C(15, 65)) == NodeUsage(
        ns(15), 10 * SECOND_NS, CORE_NS // 2, 4 * MI
    )


def test_a_frozen_kubelet_keeps_its_last_answer_however_often_it_is_asked() -> None:
    moving = [C(10, 10), C(20, 15)]
    assert usage(*moving, *[C(20, 15)] * 30) == usage(*moving)


def test_a_kubelet_that_looks_every_five_minutes_keeps_its_answer_in_between() -> None:
    """The node stands still while its pods move, so that every sample is a new one."""
    store = Store(15 * SECOND_NS, 180 * SECOND_NS)
    for i in range(45):
        at_s = i * 15
        node = C(at_s // 300 * 300, 100 + at_s // 300 * 30, start_s=None)
        store.put("node1", sample({"ns1/pod1": {"c": C(at_s, 1 + i)}}, node=node), i, 0)
        if at_s >= 300:
            assert store.node_usage("node1", i) == NodeUsage(
                ns(at_s // 300 * 300), 300 * SECOND_NS, CORE_NS // 10, 4 * MI
            )


def test_a_sample_without_the_nodes_own_point_costs_the_node_that_sample() -> None:
    store = stored(C(10, 10), C(20, 20))
    store.put("node1", sample(), 3, 0)
    assert store.node_usage("node1", 10) is None
    store.put("node1", sample(node=C(40, 30)), 4, 0)
    assert store.node_usage("node1", 10) == NodeUsage(ns(40), 20 * SECOND_NS, CORE_NS // 2, 4 * MI)


def test_the_kubelets_own_rate_serves_the_first_sample() -> None:
    first = C(100, 10, nanocores=CORE_NS)
    assert usage(first, stamp_ns=WHOLE_SECONDS_NS) == NodeUsage(ns(100), 15 * SECOND_NS, CORE_NS, 4 * MI)


def test_a_rate_above_what_the_node_has_is_not_believed() -> None:
    absurd = 18_000 * CORE_NS
    first, second = C(100, 10, nanocores=absurd), C(115, 25, nanocores=absurd)
    assert usage(first, stamp_ns=WHOLE_SECONDS_NS, capacity=CAPACITY) is None
    assert usage(first, second, stamp_ns=WHOLE_SECONDS_NS, capacity=CAPACITY) == NodeUsage(
        ns(115), 15 * SECOND_NS, CORE_NS, 4 * MI
    )


@pytest.mark.parametrize("nanocores", [0, NO_RATE])
def test_without_the_kubelets_rate_the_counter_speaks(nanocores: int) -> None:
    found = usage(C(100, 10), C(115, 40, nanocores=nanocores), stamp_ns=WHOLE_SECONDS_NS)
    assert found == NodeUsage(ns(115), 15 * SECOND_NS, 2 * CORE_NS, 4 * MI)


def test_beside_stamps_of_milliseconds_the_kubelets_rate_is_ignored() -> None:
    assert usage(C(100, 10, nanocores=CORE_NS)) is None
    found = usage(C(100, 10), C(115, 40, nanocores=CORE_NS * 19 // 10))
    assert found == NodeUsage(ns(115), 15 * SECOND_NS, 2 * CORE_NS, 4 * MI)


def test_a_usage_is_the_identical_object_until_the_next_sample() -> None:
    store = stored(C(10, 10), C(20, 20))
    before = store.node_usage("node1", 10)
    assert store.node_usage("node1", 11) is before
    store.put("node1", sample(node=C(30, 30)), 12, 0)
    assert store.node_usage("node1", 13) is not before


def test_a_node_that_stops_answering_is_served_for_a_bounded_time() -> None:
    """Measured by when the sample arrived, whatever the kubelet's clock said."""
    store = Store(15 * SECOND_NS, 60 * SECOND_NS)
    for at_s, arrived_s in ((-90_000, 100), (-89_990, 110)):
        c = C(at_s, at_s + 100_000, start_s=None)
        store.put("node1", sample({"ns1/pod1": {"c": c}}, node=c), arrived_s * SECOND_NS, 0)
    for age_s, served in ((0, True), (60, True), (61, False)):
        now_ns = (110 + age_s) * SECOND_NS
        assert (store.node_usage("node1", now_ns) is not None) is served
        assert (store.pod_usage("ns1", "pod1", now_ns) is not None) is served
        assert store.servable(now_ns) == ((1, 1) if served else (0, 0))


def test_after_an_outage_one_good_scrape_is_enough_and_covers_all_of_it() -> None:
    store = Store(15 * SECOND_NS, 60 * SECOND_NS)
    store.put("node1", sample(node=C(100, 100)), 0, 0)
    store.put("node1", sample(node=C(700, 400)), 600 * SECOND_NS, 0)
    found = store.node_usage("node1", 601 * SECOND_NS)
    assert found == NodeUsage(ns(700), 600 * SECOND_NS, CORE_NS // 2, 4 * MI)


def test_a_node_that_left_is_gone_at_once() -> None:
    store = stored(C(10, 10), C(20, 20))
    store.forget("node1")
    store.forget("node1")
    assert store.node_usage("node1", 10) is None


def test_a_ring_that_could_never_hold_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="two samples"):
        Store(1, 1, samples=1)

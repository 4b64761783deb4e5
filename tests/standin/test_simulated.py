"""Simulated nodes: everything they say follows from the published formulas."""

import re

from pymetrics_server.standin.simulated import (
    SimulatedNode,
    memory_bytes,
    node_memory_bytes,
    node_rate_nanocores,
    rate_nanocores,
)

SECOND = 1_000_000_000
EPOCH = 1_790_000_000_000_000_000
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Hand:
    """A wall clock turned by hand."""

    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> int:
        return self.now


def test_every_counter_moves_at_its_published_rate() -> None:
    clock = Hand()
    node = SimulatedNode(7, epoch_ns=EPOCH, now_ns=clock)
    before = node.view()
    clock.now += 60 * SECOND
    after = node.view()

    assert after.time_ns - before.time_ns == 60 * SECOND
    assert after.cpu_ns - before.cpu_ns == 60 * node_rate_nanocores(7, 30, 2)
    assert after.memory_bytes == node_memory_bytes(7, 30, 2)
    for pod, (was, now) in enumerate(zip(before.pods, after.pods, strict=True)):
        assert (was.uid, was.name) == (now.uid, now.name)
        for c, (old, new) in enumerate(zip(was.containers, now.containers, strict=True)):
            rate = rate_nanocores(7, pod, c)
            assert new.usage_nanocores == rate
            assert new.memory_bytes == memory_bytes(7, pod, c)
            assert abs(new.cpu_ns - rate * (new.time_ns - new.start_ns) // SECOND) <= 1
            assert abs((new.cpu_ns - old.cpu_ns) - 60 * rate) <= 1


def test_a_sample_stays_until_the_next_is_due() -> None:
    clock = Hand()
    node = SimulatedNode(3, epoch_ns=EPOCH, now_ns=clock)
    first = node.view()
    clock.now = first.time_ns + 10 * SECOND - 1
    assert node.view() is first
    clock.now += 1
    assert node.view().time_ns == first.time_ns + 10 * SECOND


def test_nodes_sample_each_on_a_phase_of_its_own_and_never_in_the_future() -> None:
    clock = Hand()
    views = [SimulatedNode(i, 3, epoch_ns=EPOCH, now_ns=clock).view() for i in range(50)]

    assert len({v.time_ns for v in views}) == 50
    assert all(EPOCH - 10 * SECOND < v.time_ns <= EPOCH for v in views)
    assert all(c.time_ns <= v.time_ns for v in views for p in v.pods for c in p.containers)


def test_names_are_unique_over_the_cluster_and_as_kubernetes_wants_them() -> None:
    views = [SimulatedNode(i, epoch_ns=EPOCH, now_ns=Hand()).view() for i in range(40)]
    pods = [p for v in views for p in v.pods]

    assert len({(p.namespace, p.name) for p in pods}) == len({p.uid for p in pods}) == len(pods) == 1200
    assert all(LABEL.fullmatch(n) for p in pods for n in (p.namespace, p.name, *p.labels.values()))
    assert views[1].name == "sim-00001"
    assert all(v.simulated for v in views)


def test_no_node_is_asked_for_more_than_it_has() -> None:
    for index in range(40):
        view = SimulatedNode(index, pods=110, containers=3, epoch_ns=EPOCH, now_ns=Hand()).view()
        assert view.usage_nanocores <= view.cpu_count * SECOND
        assert view.memory_bytes <= view.memory_capacity_bytes
        assert all(len({c.name for c in p.containers}) == 3 for p in view.pods)

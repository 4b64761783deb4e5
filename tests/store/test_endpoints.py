"""A node whose endpoint changes between two samples: the summary's stamps beside the resource page's.

The summary cuts times and starts to the second; the resource page has milliseconds, counts in floats and
tells no start of the node.
"""

import pytest

from pymetrics_server.meta.usage import MILLISECONDS_NS, WHOLE_SECONDS_NS, NodeSample, NodeUsage, PodUsage
from pymetrics_server.store import Store
from tests.store.samples import CORE_NS, SECOND_NS, C, sample

BOOT_S = -1000


def summary(at_s: float, cpu_s: float, start_s: float = 0, nanocores: int = CORE_NS) -> NodeSample:
    node = C(at_s, cpu_s, 4, BOOT_S, nanocores)
    return sample({"ns1/pod1": {"c": C(at_s, cpu_s, 4, start_s, nanocores)}}, node, WHOLE_SECONDS_NS)


def resource(at_s: float, cpu_s: float, start_s: float | None = 0.4) -> NodeSample:
    node = C(at_s, cpu_s, 4, None)
    return sample({"ns1/pod1": {"c": C(at_s, cpu_s, 4, start_s)}}, node, MILLISECONDS_NS)


def served(*samples: NodeSample) -> tuple[NodeUsage | None, PodUsage | None]:
    store = Store(15 * SECOND_NS, 60 * SECOND_NS)
    for one in samples:
        store.put("node1", one, 0, 0)
    return store.node_usage("node1", 0), store.pod_usage("ns1", "pod1", 0)


def cores(*samples: NodeSample) -> list[float]:
    """Of the node and of the pod's one container."""
    node, pod = served(*samples)
    assert node is not None
    assert pod is not None
    (container,) = pod.containers
    return [node.cpu_nanocores / CORE_NS, container.cpu_nanocores / CORE_NS]


@pytest.mark.parametrize("start_s", [0.4, None])
def test_a_kubelet_that_begins_to_refuse_its_summary_is_served_on(start_s: float | None) -> None:
    assert cores(summary(100, 100), resource(115.5, 115.5, start_s)) == [1, 1]


@pytest.mark.parametrize("start_s", [0.4, None])
def test_a_kubelet_that_answers_with_its_summary_again_is_served_on(start_s: float | None) -> None:
    assert cores(resource(100.5, 100, start_s), summary(115, 115)) == [1, 1]


def test_the_same_look_at_a_container_told_by_the_other_endpoint_is_no_idle_second() -> None:
    seen_twice = cores(summary(85, 85.9), summary(100, 100.9), resource(100.9, 100.9))
    assert seen_twice == [pytest.approx(1, abs=1 / 15)] * 2
    assert cores(resource(85.9, 85.9), resource(100.9, 100.9), summary(100, 100.9)) == [1, 1]


@pytest.mark.parametrize("cut_s", [0, 0.25, 0.5, 0.99])
def test_whichever_way_a_node_turns_its_rate_is_right_and_never_missing(cut_s: float) -> None:
    """15.5 s between two looks; the summary cuts off what is behind the second."""
    looks_s = [100 + cut_s + 15.5 * n for n in range(7)]
    told = [
        *(summary(int(at_s), at_s, nanocores=CORE_NS) for at_s in looks_s[:2]),
        *(resource(at_s, at_s) for at_s in looks_s[2:5]),
        *(summary(int(at_s), at_s, nanocores=CORE_NS) for at_s in looks_s[5:]),
    ]
    for seen in range(1, len(told) + 1):
        assert cores(*told[:seen]) == [pytest.approx(1, rel=0.001)] * 2


def test_a_node_that_turns_for_one_answer_only_is_served_from_those_before_and_behind() -> None:
    before, behind = summary(100, 100), summary(130, 130)
    node, pod = served(before, resource(115.5, 115.5))
    assert (node, pod) == served(before)
    assert cores(before, resource(115.5, 115.5), behind) == [1, 1]


def test_an_idle_container_stays_served_though_floats_lose_a_nanosecond() -> None:
    idle = [100.000000005, 100.000000004, 100.000000004]
    assert cores(
        summary(85, idle[0]),
        summary(100, idle[0], nanocores=0),
        resource(115.5, idle[1]),
        resource(131, idle[2]),
    ) == [0, 0]
    assert cores(resource(100.5, idle[1]), summary(116, idle[0], nanocores=0)) == [0, 0]


def test_a_container_that_restarted_meanwhile_is_measured_by_what_it_told_since() -> None:
    told = [summary(100, 100), resource(140.5, 2, start_s=110.5), resource(156, 9.75, start_s=110.5)]
    _, pod = served(*told)
    assert pod is not None
    assert [each.cpu_nanocores / CORE_NS for each in pod.containers] == [0.5]


def test_a_counter_that_goes_backwards_as_the_summary_comes_back_is_left_out() -> None:
    _, pod = served(resource(100.5, 100), summary(116, 50, nanocores=0))
    assert pod is not None
    assert pod.containers == ()

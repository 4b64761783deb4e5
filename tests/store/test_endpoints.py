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


def test_the_same_look_alone_is_no_pair() -> None:
    assert served(summary(100, 100.9), resource(100.9, 100.9)) == (None, None)


def test_an_idle_container_stays_served_though_floats_lose_a_nanosecond() -> None:
    assert cores(summary(100, 100.000000005, nanocores=0), resource(115.5, 100.000000004)) == [0, 0]


def test_a_container_that_restarted_meanwhile_has_no_pair() -> None:
    node, pod = served(summary(100, 100), resource(140.5, 2, start_s=110.5))
    assert node is None  # its counter went backwards
    assert pod is None


def test_a_counter_that_went_backwards_meanwhile_is_still_left_out() -> None:
    _, pod = served(summary(100, 100), resource(115.5, 50))
    assert pod is not None
    assert pod.containers == ()

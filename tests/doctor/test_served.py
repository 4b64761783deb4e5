"""What is said of the metrics API's answers."""

from typing import Any

import pytest

from pymetrics_server.doctor.checks.served import served
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, State
from tests.doctor.seen import (
    NODE_NAMES,
    Object,
    denied,
    items,
    node,
    node_metrics,
    pod_metrics,
    put,
    seen,
    unanswered,
)

OLD = "2026-06-01T11:54:48Z"
POD = "kube-system/metrics-server-6d94bc8694-abcde"


def only(evidence: Evidence) -> Finding:
    (found,) = served(evidence)
    return found


def running(*names: str, created: str = "2026-06-01T10:00:00Z") -> list[Object]:
    return [
        {"metadata": {"namespace": "default", "name": name, "creationTimestamp": created}} for name in names
    ]


def of_nodes(*timestamps: str) -> dict[Asked, Any]:
    return {
        Asked.SERVED_NODES: items(
            *(node_metrics(name, at) for name, at in zip(NODE_NAMES, timestamps, strict=True))
        )
    }


def test_what_is_served_is_told_with_its_age_and_windows() -> None:
    found = only(seen())
    assert found.state is State.HEALTHY
    assert found.seen == "3 nodes and 1 pod are served, the oldest is 10s old, measured over 15s"


def test_whoever_may_not_read_metrics_is_told_once() -> None:
    refusal = denied("nodes", group="metrics.k8s.io", verb="list")
    found = only(seen({Asked.SERVED_NODES: refusal, Asked.SERVED_PODS: refusal}))
    assert found.id == "served-refused"
    assert 'User "jane" cannot list resource "nodes"' in found.seen
    assert found.cure == "kubectl auth can-i list nodes.metrics.k8s.io"


def test_the_server_itself_need_not_read_metrics() -> None:
    refusal = denied("nodes", group="metrics.k8s.io", verb="list")
    found = list(served(seen({Asked.SERVED_NODES: refusal, Asked.SERVED_PODS: refusal}, in_pod=True)))
    assert {each.state for each in found} == {State.UNSEEN}


@pytest.mark.parametrize("answer", [404, 503, unanswered("timeout"), None, "no JSON"])
def test_an_api_that_does_not_answer_is_unseen(answer: Any) -> None:
    found = list(served(seen({Asked.SERVED_NODES: answer, Asked.SERVED_PODS: answer})))
    assert {each.state for each in found} == {State.UNSEEN}


def test_empty_lists_are_sick() -> None:
    found = only(seen({Asked.SERVED_NODES: items(), Asked.SERVED_PODS: items()}))
    assert (found.id, found.state) == ("served-nothing", State.SICK)
    assert found.seen == "the metrics API has no nodes and no pods"
    assert found.cure == "kubectl -n kube-system logs metrics-server-6d94bc8694-abcde"


def test_ready_nodes_that_are_not_served_are_named() -> None:
    found = only(seen({Asked.SERVED_NODES: items(node_metrics("node-1"))}))
    assert found.id == "served-nodes-missing"
    assert found.seen == "2 of 3 ready nodes are not served, such as node-2"
    assert found.details == ("node-2", "node-3")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status.conditions.0.status", "False"),
        ("metadata.creationTimestamp", "2026-06-01T11:59:00Z"),
    ],
)
def test_a_node_that_is_not_ready_or_new_may_be_missing(path: str, value: str) -> None:
    changes = {
        Asked.NODES: items(node("node-1"), node("node-2"), put(node("node-3"), path, value)),
        Asked.SERVED_NODES: items(node_metrics("node-1"), node_metrics("node-2")),
    }
    assert only(seen(changes)).state is State.HEALTHY


def test_a_node_that_the_selector_leaves_out_may_be_missing() -> None:
    subject = seen().subject
    selecting = type(subject)(server_args=(*subject.server_args, "-l", "kubernetes.io/hostname!=node-3"))
    changes = {Asked.SERVED_NODES: items(node_metrics("node-1"), node_metrics("node-2"))}
    assert only(seen(changes, subject=selecting)).state is State.HEALTHY


def test_a_few_pods_that_are_missing_are_a_warning_with_one_to_ask_about() -> None:
    names = [f"web-{number}" for number in range(20)]
    changes = {
        Asked.RUNNING_PODS: items(*running(*names)),
        Asked.SERVED_PODS: items(*(pod_metrics(f"default/{name}") for name in names[1:])),
    }
    found = only(seen(changes))
    assert (found.id, found.state) == ("served-pods-missing", State.WARNING)
    assert found.seen == "1 of 20 pods that run for 2 minutes or more are not served, such as default/web-0"
    assert found.cure == "pymetrics-server doctor pod default/web-0"


def test_many_pods_that_are_missing_are_sick() -> None:
    found = only(seen({Asked.RUNNING_PODS: items(*running("web-1", "web-2"))}))
    assert (found.id, found.state) == ("served-pods-missing", State.SICK)


def test_young_pods_may_be_missing() -> None:
    young = running("web-1", created="2026-06-01T11:58:30Z")
    assert only(seen({Asked.RUNNING_PODS: items(*young)})).state is State.HEALTHY


def test_nodes_that_are_served_too_old_are_told_with_their_age() -> None:
    found = only(seen(of_nodes(OLD, "2026-06-01T11:59:50Z", "2026-06-01T11:59:50Z")))
    assert found.id == "served-stale"
    assert found.seen == "1 of 3 nodes are served older than 1m0s, node-1 is 5m12s old"
    assert found.details == ("node-1: 5m12s old",)


def test_where_all_is_old_this_machines_clock_may_be_ahead() -> None:
    changes = of_nodes(OLD, OLD, OLD) | {Asked.SERVED_PODS: items(pod_metrics(POD, OLD))}
    found = only(seen(changes))
    assert found.seen.startswith("3 of 3 nodes and 1 of 1 pods are served older than 1m0s, ")
    assert found.details[0] == "all of them: this machine's clock may be ahead"


def test_what_the_flags_let_be_served_is_not_too_old() -> None:
    subject = type(seen().subject)(server_args=("--metric-max-age=10m",))
    assert only(seen(of_nodes(OLD, OLD, OLD), subject=subject)).state is State.HEALTHY


def test_a_long_window_is_a_warning() -> None:
    long = put(pod_metrics(POD), "window", "3m5s")
    found = only(seen({Asked.SERVED_PODS: items(long)}))
    assert (found.id, found.state) == ("served-stale", State.WARNING)
    assert found.seen == f"1 of 4 are measured over more than 1m0s, {POD} over 3m5s"


def test_times_that_cannot_be_read_cost_themselves() -> None:
    odd = put(node_metrics("node-1", "yesterday"), "window", "long")
    assert only(
        seen({Asked.SERVED_NODES: items(odd, node_metrics("node-2"), node_metrics("node-3"))})
    ).state is (State.HEALTHY)

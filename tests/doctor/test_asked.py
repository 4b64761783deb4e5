"""Where `doctor pod` and `doctor hpa` find the fault."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymetrics_server.doctor.checks.asked import pod
from pymetrics_server.doctor.checks.autoscaler import hpa
from pymetrics_server.doctor.checks.clients import clients
from pymetrics_server.doctor.checks.nodes import nodes
from pymetrics_server.doctor.checks.served import served
from pymetrics_server.doctor.evidence import Asked, Evidence, Subject
from pymetrics_server.doctor.finding import Finding, State
from tests.doctor.seen import (
    NODE_NAMES,
    Object,
    denied,
    items,
    node_metrics,
    pod_metrics,
    probe,
    put,
    seen,
    unanswered,
)

ARGS = ("--metric-resolution=15s",)
WEB = "default/web-1"
AUTOSCALER = "default/web"


def web(name: str = "web-1", *, node: str = "node-1", phase: str = "Running", cpu: str = "100m") -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "web", "resources": {"requests": {"cpu": cpu}} if cpu else {}}],
        },
        "status": {
            "phase": phase,
            "startTime": "2026-06-01T10:00:00Z",
            "containerStatuses": [
                {
                    "name": "web",
                    "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-06-01T10:00:05Z"}},
                }
            ],
        },
    }


def about_pod(
    found: Any, metrics: Any = 404, changes: dict[Asked, Any] | None = None, **fields: Any
) -> Evidence:
    answers = {Asked.POD: found, Asked.POD_METRICS: metrics, **(changes or {})}
    return seen(answers, subject=Subject(pod=WEB, server_args=ARGS), **fields)


def of_pod(evidence: Evidence) -> Finding:
    (found,) = pod(evidence)
    return found


def test_nothing_is_said_of_what_was_not_asked_about() -> None:
    assert not list(pod(seen()))
    assert not list(hpa(seen()))


def test_a_pod_that_is_served_is_told_with_its_values() -> None:
    found = of_pod(about_pod(web(), pod_metrics(WEB)))
    assert found.state is State.HEALTHY
    assert found.details == ("metrics-server: cpu 5m, memory 60Mi", "measured over 15s, 10s old")


def test_a_pod_that_does_not_exist_is_told_first() -> None:
    found = of_pod(about_pod(404))
    assert found.id == "asked-pod-unknown"
    assert found.cure == "kubectl get pods -A | grep web-1"


def test_a_pod_that_may_not_be_read_is_unseen() -> None:
    assert of_pod(about_pod(denied("pods", namespace="default"))).state is State.UNSEEN


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_a_pod_that_does_not_run_is_told_with_the_reason(phase: str) -> None:
    waiting = put(
        web(phase=phase),
        "status.containerStatuses.0.state",
        {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
    )
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    found = of_pod(about_pod(put(waiting, "status.conditions", [scheduled])))
    assert found.id == "asked-pod-not-running"
    assert found.details == (
        "PodScheduled is False: Unschedulable 0/3 nodes",
        "web: waits: ImagePullBackOff Back-off pulling image",
    )


@pytest.mark.parametrize("answer", [403, 503, unanswered("timeout")])
def test_metrics_of_a_pod_that_could_not_be_asked_are_unseen(answer: Any) -> None:
    assert of_pod(about_pod(web(), answer)).state is State.UNSEEN


def test_an_api_that_is_not_there_is_not_the_pods_fault() -> None:
    assert of_pod(about_pod(web(), 404, {Asked.SERVED_NODES: 404})).state is State.UNSEEN


def test_a_pod_on_a_node_that_is_not_served_is_its_nodes_fault() -> None:
    found = of_pod(about_pod(web(), changes={Asked.SERVED_NODES: items(node_metrics("node-2"))}))
    assert found.id == "asked-pod-on-blind-node"
    assert found.seen == f"the pod {WEB} runs on node-1, which is not served"


def test_a_pod_on_a_node_that_cannot_be_scraped_tells_why() -> None:
    probes = tuple(probe(name, failure="refused", detail="connection refused") for name in NODE_NAMES)
    evidence = about_pod(web(), changes={Asked.SERVED_NODES: items()}, probes=probes)
    assert of_pod(evidence).seen.endswith("runs on node-1, which cannot be scraped: connection refused")


def test_a_young_container_is_asked_to_wait() -> None:
    young = put(web(), "status.containerStatuses.0.state.running.startedAt", "2026-06-01T11:59:48Z")
    found = of_pod(about_pod(young))
    assert found.id == "asked-pod-too-young"
    assert found.seen == f"the container web of {WEB} runs for 12s"
    assert found.cure == "ask again in 18 s"


def test_a_container_in_a_crash_loop_is_named_with_its_end() -> None:
    crashing = put(
        web(),
        "status.containerStatuses.0",
        {
            "name": "web",
            "restartCount": 7,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        },
    )
    found = of_pod(about_pod(crashing))
    assert found.id == "asked-pod-restarts"
    assert found.cure == "kubectl -n default logs web-1 -c web --previous"
    assert found.details == (
        "web: waits: CrashLoopBackOff, 7 restarts, the last one ended as OOMKilled, exit code 137",
    )


def test_a_container_that_restarts_again_and_again_is_not_called_young() -> None:
    restarted = put(
        web(),
        "status.containerStatuses.0",
        {
            "name": "web",
            "restartCount": 5,
            "state": {"running": {"startedAt": "2026-06-01T11:59:55Z"}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-06-01T11:59:54Z"}},
        },
    )
    assert of_pod(about_pod(restarted)).id == "asked-pod-restarts"


def test_restarts_of_long_ago_are_not_to_blame() -> None:
    settled = put(
        web(),
        "status.containerStatuses.0",
        {
            "name": "web",
            "restartCount": 5,
            "state": {"running": {"startedAt": "2026-06-01T09:00:05Z"}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-06-01T09:00:00Z"}},
        },
    )
    assert of_pod(about_pod(settled)).id == "asked-pod-has-no-series"


def test_a_finished_container_beside_a_running_one_is_named_and_a_finished_init_container_costs_nothing() -> (
    None
):
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    made = put(web(), "status.initContainerStatuses", [{"name": "setup", "state": ended}])
    statuses = [*made["status"]["containerStatuses"], {"name": "job", "state": ended}]
    found = of_pod(about_pod(put(made, "status.containerStatuses", statuses)))
    assert found.id == "asked-pod-has-no-series"
    assert found.seen == f"the pod {WEB}, of which job does not run, is not served although its node is"
    assert found.details[1:] == (
        "job: is finished: Completed, exit code 0",
        "setup (init container): is finished: Completed, exit code 0, which costs nothing",
    )


def resource(name: str = "cpu", kind: str = "Utilization", container: str = "") -> Object:
    target = {"type": kind, "averageUtilization": 80}
    if container:
        return {
            "type": "ContainerResource",
            "containerResource": {"name": name, "container": container, "target": target},
        }
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def autoscaler(*metrics: Object, conditions: Any = ()) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 5,
            "metrics": list(metrics),
        },
        "status": {"conditions": list(conditions)},
    }


def about_hpa(*pods: Object, made: Any = None, changes: dict[Asked, Any] | None = None) -> Evidence:
    names = [each["metadata"]["name"] for each in pods if each["status"]["phase"] == "Running"]
    answers: dict[Asked, Any] = {
        Asked.HPA: autoscaler(resource()) if made is None else made,
        Asked.HPA_TARGET: {"status": {"replicas": 1, "selector": "app=web"}},
        Asked.HPA_PODS: items(*pods),
        Asked.HPA_POD_METRICS: items(*(pod_metrics(f"default/{name}") for name in names)),
        **(changes or {}),
    }
    return seen(answers, subject=Subject(hpa=AUTOSCALER, server_args=ARGS))


def of_hpa(evidence: Evidence) -> Finding:
    (found,) = hpa(evidence)
    return found


def test_an_autoscaler_whose_pods_lack_nothing_is_healthy() -> None:
    found = of_hpa(about_hpa(web("web-1"), web("web-2")))
    assert found.state is State.HEALTHY
    assert found.seen == "default/web scales Deployment/web by cpu: nothing lacks at its 2 pods"


def test_an_autoscaler_that_does_not_exist_is_told_first() -> None:
    assert of_hpa(about_hpa(made=404)).id == "asked-hpa-unknown"


def test_an_autoscaler_that_may_not_be_read_is_unseen() -> None:
    assert of_hpa(about_hpa(made=403)).state is State.UNSEEN


def test_a_target_that_is_missing_is_told_with_the_controllers_words() -> None:
    condition = {"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "not found"}
    made = autoscaler(resource(), conditions=[condition])
    found = of_hpa(about_hpa(made=made, changes={Asked.HPA_TARGET: 404}))
    assert found.id == "asked-hpa-target-missing"
    assert found.seen == "default/web scales Deployment/web, which is not there"
    assert found.details == ("AbleToScale is False: FailedGetScale: not found",)


@pytest.mark.parametrize("asked", [Asked.HPA_TARGET, Asked.HPA_PODS, Asked.HPA_POD_METRICS])
def test_what_an_autoscaler_needs_and_could_not_be_read_is_unseen(asked: Asked) -> None:
    assert of_hpa(about_hpa(web(), changes={asked: 403})).state is State.UNSEEN


def test_a_selector_that_matches_no_pod_is_told() -> None:
    found = of_hpa(about_hpa())
    assert found.id == "asked-hpa-selects-nothing"
    assert "whose selector app=web matches no pod" in found.seen


def test_a_sidecar_without_a_request_is_named() -> None:
    made = put(
        web(), "spec.initContainers", [{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}]
    )
    found = of_hpa(about_hpa(made, web("web-2")))
    assert found.id == "asked-hpa-requests-missing"
    assert found.seen == "1 of the 2 pods that default/web counts have no cpu request, in proxy"
    assert found.details == ("web-1: proxy requests no cpu",)
    assert found.cure == "kubectl -n default set resources deployment/web -c proxy --requests=cpu=100m"


def test_a_finished_pod_needs_its_requests_too() -> None:
    found = [each.id for each in hpa(about_hpa(web(), web("done", phase="Failed", cpu="")))]
    assert found == ["asked-hpa-requests-missing"]


def test_each_resource_has_its_own_finding() -> None:
    made = autoscaler(resource("cpu"), resource("memory"))
    found = list(hpa(about_hpa(web(cpu=""), made=made)))
    assert [each.cure.rpartition("--requests=")[2] for each in found] == ["cpu=100m", "memory=128Mi"]


def test_an_average_value_needs_no_request() -> None:
    made = autoscaler(resource(kind="AverageValue"))
    assert of_hpa(about_hpa(web(cpu=""), made=made)).state is State.HEALTHY


def test_a_containers_utilization_needs_the_request_of_that_container_only() -> None:
    made = put(web(), "spec.containers", [*web()["spec"]["containers"], {"name": "proxy"}])
    assert of_hpa(about_hpa(made, made=autoscaler(resource(container="web")))).state is State.HEALTHY
    assert (
        of_hpa(about_hpa(made, made=autoscaler(resource(container="proxy")))).id
        == "asked-hpa-requests-missing"
    )
    missing = of_hpa(about_hpa(made, made=autoscaler(resource(container="gone"))))
    assert missing.details == ("web-1: there is no container gone",)


def test_a_request_of_the_whole_pod_stands_for_its_containers() -> None:
    made = put(web(cpu=""), "spec.resources", {"requests": {"cpu": "1"}})
    assert of_hpa(about_hpa(made)).state is State.HEALTHY


def test_without_metrics_in_its_spec_it_is_the_cpus_utilization() -> None:
    assert of_hpa(about_hpa(web(cpu=""), made=autoscaler())).id == "asked-hpa-requests-missing"


def test_finished_pods_that_match_the_selector_are_named() -> None:
    found = of_hpa(about_hpa(web(), web("test-1", phase="Succeeded")))
    assert found.id == "asked-hpa-completed-pods"
    assert found.cure == "kubectl -n default delete pod test-1"


def test_a_pod_that_failed_is_passed_over() -> None:
    assert of_hpa(about_hpa(web(), web("web-2", phase="Failed"))).state is State.HEALTHY


def test_running_pods_without_metrics_are_named_with_their_node() -> None:
    evidence = about_hpa(
        web("web-1"), web("web-2", node="node-3"), changes={Asked.HPA_POD_METRICS: items(pod_metrics(WEB))}
    )
    found = of_hpa(evidence)
    assert found.id == "asked-hpa-pods-without-metrics"
    assert found.details == ("web-2 on node-3",)
    assert found.cure == "pymetrics-server doctor pod default/web-2"


def test_young_and_going_pods_may_be_without_metrics() -> None:
    young = put(web("web-2"), "status.startTime", "2026-06-01T11:59:45Z")
    going = put(web("web-3"), "metadata.deletionTimestamp", "2026-06-01T11:59:45Z")
    metrics = {Asked.HPA_POD_METRICS: items(pod_metrics(WEB))}
    assert of_hpa(about_hpa(web(), young, going, changes=metrics)).state is State.HEALTHY


def test_custom_metrics_alone_are_a_warning_and_need_nothing_of_ours() -> None:
    made = autoscaler({"type": "External", "external": {"metric": {"name": "queue"}}}, {"type": "Pods"})
    found = of_hpa(about_hpa(web(cpu=""), made=made, changes={Asked.HPA_POD_METRICS: 503}))
    assert (found.id, found.state) == ("asked-hpa-other-metrics", State.WARNING)
    assert found.seen == "default/web asks for metrics of the type External, Pods"


def test_custom_metrics_beside_others_do_not_hide_what_lacks() -> None:
    found = [each.id for each in hpa(about_hpa(web(cpu=""), made=autoscaler(resource(), {"type": "Object"})))]
    assert found == ["asked-hpa-requests-missing", "asked-hpa-other-metrics"]


def test_what_the_controller_says_is_not_hidden_where_nothing_lacks() -> None:
    conditions = [
        {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale", "message": "ok"},
        {
            "type": "ScalingActive",
            "status": "False",
            "reason": "FailedGetResourceMetric",
            "message": "no metrics",
        },
        {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange", "message": "fine"},
    ]
    found = of_hpa(about_hpa(web(), made=autoscaler(resource(), conditions=conditions)))
    assert found.state is State.WARNING
    assert found.seen.endswith("but ScalingActive is False: FailedGetResourceMetric: no metrics")
    assert found.cure == "kubectl -n default describe hpa web"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["items", "metadata", "spec", "status", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(list(Asked)), _JSON | st.integers(400, 599) | st.text(max_size=20)))
def test_whatever_kube_apiserver_answers_each_check_says_something(answers: dict[Asked, Any]) -> None:
    changes = {asked: what for asked, what in answers.items() if not isinstance(what, bool)}
    evidence = seen(changes, subject=Subject(pod=WEB, hpa=AUTOSCALER, server_args=ARGS))
    for check in (nodes, served, clients, pod, hpa):
        assert list(check(evidence))

"""The server's pods, its Service and what stands behind it."""

import json
import shlex
from typing import Any

import pytest

from pymetrics_server.doctor.checks.backend import backend
from pymetrics_server.doctor.checks.pods import memory_for
from pymetrics_server.doctor.evidence import Answer, Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State
from tests.doctor.seen import (
    Object,
    answered,
    apiservice,
    denied,
    deployment,
    endpointslice,
    items,
    node,
    pod,
    put,
    seen,
    service,
    unanswered,
)

NAME = "metrics-server-6d94bc8694-abcde"


def found_in(evidence: Evidence) -> dict[str, Finding]:
    found = list(backend(evidence))
    assert {finding.stage for finding in found} == {Stage.BACKEND}
    return {finding.id: finding for finding in found}


def sick_in(evidence: Evidence) -> dict[str, Finding]:
    return {each.id: each for each in found_in(evidence).values() if each.state is State.SICK}


def unready(made: Object | None = None, **container: Any) -> Object:
    """A pod whose only container has this status."""
    made = put(
        made or pod(),
        "status.conditions.3",
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
    )
    held = {
        "name": "metrics-server",
        "ready": False,
        "restartCount": 0,
        "state": {},
        "lastState": {},
        **container,
    }
    return put(made, "status.containerStatuses", [held])


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def ended(exit_code: int, reason: str = "Error", message: str = "") -> Object:
    return {"terminated": {"exitCode": exit_code, "reason": reason, "message": message}}


def crashing(exit_code: int, reason: str = "Error", message: str = "", made: Object | None = None) -> Object:
    return unready(
        made,
        restartCount=6,
        state=waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container"),
        lastState=ended(exit_code, reason, message),
    )


def running(started: str = "2026-06-01T10:00:05Z") -> Object:
    return unready(state={"running": {"startedAt": started}})


def only(evidence: Evidence, ailment: str) -> Finding:
    found = sick_in(evidence)
    assert list(found) == [ailment]
    return found[ailment]


def of_pod(made: Object, **changes: Any) -> Evidence:
    return seen({Asked.PODS: items(made), **{Asked[name]: what for name, what in changes.items()}})


def test_a_healthy_backend_shows_pod_service_and_address() -> None:
    found = found_in(seen())
    assert list(found) == ["pods", "service", "endpoints"]
    assert {each.state for each in found.values()} == {State.HEALTHY}
    assert found["pods"].details == [f"{NAME} on node-2, 0 restarts"]
    assert "10.244.1.5" in found["endpoints"].seen


@pytest.mark.parametrize(
    ("asked", "check_id"),
    [(Asked.PODS, "pods"), (Asked.SERVICE, "service"), (Asked.ENDPOINTSLICES, "endpoints")],
)
@pytest.mark.parametrize(
    "answer",
    [denied("things", namespace="kube-system"), unanswered("timeout"), answered(500), answered("[]"), None],
)
def test_what_may_not_be_looked_at_is_unseen_and_the_rest_goes_on(
    asked: Asked, check_id: str, answer: Answer | None
) -> None:
    found = found_in(seen({asked: answer}))
    assert found[check_id].state is State.UNSEEN
    assert len(found) == 3


def test_a_pod_that_no_node_takes_tells_the_schedulers_words() -> None:
    words = "0/3 nodes are available: 3 Insufficient memory."
    made = put(put(pod(), "spec.nodeName", ""), "status.phase", "Pending")
    made = put(made, "status.containerStatuses", [])
    made = put(
        made,
        "status.conditions",
        [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}],
    )
    found = only(of_pod(made), "pod-unschedulable")
    assert words in found.seen
    assert found.cure == f"kubectl -n kube-system describe pod {NAME}"


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"]
)
def test_an_image_that_cannot_be_had_is_told_from_a_crash(reason: str) -> None:
    found = only(of_pod(unready(state=waiting(reason, "no such manifest"))), "pod-image")
    assert f"{reason}: no such manifest" in found.seen


@pytest.mark.parametrize(
    "reason", ["CreateContainerConfigError", "CreateContainerError", "ContainerCreating", "PodInitializing"]
)
def test_a_container_that_is_not_made_yet_is_told_from_one_that_ended(reason: str) -> None:
    found = only(of_pod(unready(state=waiting(reason, 'secret "tls" not found'))), "pod-not-started")
    assert f'{reason}: secret "tls" not found' in found.seen


def test_an_init_container_that_fails_is_named() -> None:
    made = unready(state=waiting("PodInitializing"))
    made = put(
        made,
        "status.initContainerStatuses",
        [{"name": "certs", "state": waiting("CrashLoopBackOff"), "lastState": ended(2)}],
    )
    assert "certs ended with exit code 2" in only(of_pod(made), "pod-crashing").seen


def test_a_crash_tells_its_exit_code_its_last_words_and_the_logs_last_error() -> None:
    log = 'I0601 11:59:00.000000 1 a.go:1] "ok"\nError: unknown flag: --kubelet-secure\nI0601 11:59:01.000000 1 b] "x"\n'
    found = only(of_pod(crashing(1, message="bad\nflag"), LOG=log), "pod-crashing")
    assert "metrics-server ended with exit code 1, 6 restarts: bad flag" in found.seen
    assert found.details == ["log: Error: unknown flag: --kubelet-secure"]
    assert found.cure == f"kubectl -n kube-system logs {NAME} --previous"


def test_a_container_that_just_began_again_still_crashes() -> None:
    made = unready(
        restartCount=3, state={"running": {"startedAt": "2026-06-01T11:59:58Z"}}, lastState=ended(1)
    )
    only(of_pod(made), "pod-crashing")


def test_a_crash_of_long_ago_is_not_why_it_is_not_ready_now() -> None:
    made = unready(
        restartCount=1, state={"running": {"startedAt": "2026-06-01T11:00:00Z"}}, lastState=ended(1)
    )
    only(of_pod(made), "pod-not-ready")


@pytest.mark.parametrize(
    "words",
    [
        "panic: failed to create listener: failed to listen on 0.0.0.0:10250: listen tcp 0.0.0.0:10250: bind: address already in use",
        "Error: failed to create listener: failed to listen on :10250: listen tcp :10250: bind: address already in use: the "
        "kubelet (pid 812) listens there; choose another port with --secure-port",
    ],
)
def test_a_port_that_is_taken_is_known_by_the_logs_or_the_last_words(words: str) -> None:
    for evidence in (of_pod(crashing(1), LOG=f"{words}\n"), of_pod(crashing(255, message=words))):
        found = only(evidence, "pod-port-taken")
        assert "--secure-port=4443" in found.cure
        assert found.cure.endswith("kubectl -n kube-system edit deployment metrics-server")


def test_on_the_nodes_own_network_the_kubelet_has_the_port_even_where_no_log_says_so() -> None:
    on_host = put(pod(), "spec.hostNetwork", True)
    only(of_pod(crashing(255, made=on_host), LOG=403), "pod-port-taken")


def test_another_crash_on_the_nodes_own_network_is_a_crash() -> None:
    on_host = put(pod(), "spec.hostNetwork", True)
    only(of_pod(crashing(2, made=on_host), LOG="Error: no such file\n"), "pod-crashing")


def test_out_of_memory_suggests_what_so_many_nodes_take() -> None:
    limited = put(pod(), "spec.containers.0.resources", {"limits": {"memory": "40Mi"}})
    nodes = items(*(node(f"node-{number}") for number in range(2_000)))
    found = only(of_pod(crashing(137, "OOMKilled", made=limited), NODES=nodes), "pod-out-of-memory")
    assert "with a limit of 40Mi" in found.seen
    assert found.cure == (
        "kubectl -n kube-system set resources deployment metrics-server --limits=memory=450Mi --requests=memory=450Mi"
    )


@pytest.mark.parametrize(
    ("nodes", "limit_mib", "suggested"),
    [
        (0, 0, "200Mi"),
        (3, 40, "200Mi"),
        (600, 0, "200Mi"),
        (1000, 200, "400Mi"),
        (5000, 0, "950Mi"),
        (3, 1000, "2000Mi"),
    ],
)
def test_the_suggested_limit_grows_with_the_nodes_and_is_never_what_was_too_little(
    nodes: int, limit_mib: int, suggested: str
) -> None:
    assert memory_for(nodes, limit_mib << 20) == suggested


def test_a_pod_that_was_once_out_of_memory_and_is_ready_again_is_a_warning() -> None:
    made = put(pod(), "status.containerStatuses.0.lastState", ended(137, "OOMKilled"))
    found = found_in(of_pod(made))["pod-out-of-memory"]
    assert found.state is State.WARNING


def test_a_pod_that_is_not_ready_says_why_itself() -> None:
    why = "internal server error: no metrics to serve: dns at 3 of 3 nodes, the node's name does not resolve from here"
    log = (
        'E0601 11:59:00.000000 1 scraper.py:1] "Failed to scrape node" err="dns: lookup node1: no such host"\n'
        'I0601 11:59:01.000000 1 health.py:1] "Failed probe" probe="metric-storage-ready" err="no metrics to serve"\n'
    )
    found = only(of_pod(running(), READYZ=Answer("/readyz", 500, why), LOG=log), "pod-not-ready")
    assert found.details[0] == f"/readyz: {why}"
    assert "lookup node1: no such host" in found.details[1]
    assert "Failed probe" in found.details[2]


def test_a_pod_that_is_not_ready_is_so_without_its_words_too() -> None:
    found = only(of_pod(running(), READYZ=denied("pods/proxy"), LOG=None), "pod-not-ready")
    assert "ContainersNotReady" in found.seen


def test_beside_a_ready_pod_the_others_are_warnings() -> None:
    other = put(unready(state=waiting("ImagePullBackOff")), "metadata.name", "metrics-server-new")
    found = found_in(seen({Asked.PODS: items(pod(), other)}))
    assert found["pod-image"].state is State.WARNING
    assert "metrics-server-new" in found["pod-image"].seen


def test_pods_with_one_trouble_are_one_finding() -> None:
    several = [put(unready(state=waiting("ErrImagePull")), "metadata.name", f"pod-{n}") for n in range(3)]
    found = only(seen({Asked.PODS: items(*several)}), "pod-image")
    assert len(found.details) == 3


def test_the_log_of_one_pod_tells_nothing_of_another() -> None:
    first = put(crashing(1), "metadata.name", "pod-1")
    second = put(crashing(1), "metadata.name", "pod-2")
    evidence = seen({Asked.PODS: items(first, second), Asked.LOG: "bind: address already in use"})
    found = sick_in(evidence)
    assert "pod-1" in found["pod-port-taken"].seen
    assert "pod-2" in found["pod-crashing"].seen


def test_pods_that_go_do_not_count() -> None:
    going = put(running(), "metadata.deletionTimestamp", "2026-06-01T11:59:00Z")
    assert sick_in(seen({Asked.PODS: items(going, pod())})) == {}
    only(seen({Asked.PODS: items(going)}), "pod-missing")


def test_an_evicted_pod_beside_a_ready_one_is_no_trouble() -> None:
    evicted = put(put(unready(), "status.phase", "Failed"), "status.reason", "Evicted")
    assert found_in(seen({Asked.PODS: items(evicted, pod())}))["pods"].state is State.HEALTHY
    assert only(seen({Asked.PODS: items(evicted)}), "pod-missing").details == [f"{NAME}: Evicted"]


@pytest.mark.parametrize(
    ("deployments", "cure"),
    [
        (items(), "kubectl apply -f components.yaml"),
        (
            items(put(deployment(), "spec.replicas", 0)),
            "kubectl -n kube-system scale deployment metrics-server --replicas=1",
        ),
        (items(deployment()), "kubectl -n kube-system describe deployment,replicaset metrics-server"),
        (403, "kubectl -n kube-system get deployments,replicasets"),
    ],
)
def test_where_there_is_no_pod_the_deployment_tells_what_to_do(deployments: object, cure: str) -> None:
    found = sick_in(
        seen({Asked.PODS: items(), Asked.DEPLOYMENTS: deployments, Asked.ENDPOINTSLICES: items()})
    )
    assert found["pod-missing"].cure == cure


def test_a_deployment_that_is_scaled_to_nothing_is_told_while_its_last_pod_still_ends() -> None:
    ending = put(pod(), "metadata.deletionTimestamp", "2026-06-01T12:00:00Z")
    scaled = items(put(deployment(), "spec.replicas", 0))
    evidence = seen({Asked.PODS: items(ending), Asked.DEPLOYMENTS: scaled})
    assert "scale deployment metrics-server --replicas=1" in only(evidence, "pod-missing").cure
    assert only(seen({Asked.PODS: items(ending)}), "pod-missing").details == [f"{NAME}: is being deleted"]


def test_a_deployment_that_may_make_no_pod_tells_why() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: exceeded quota"}
    made = put(deployment(), "status.conditions", [failure])
    found = sick_in(seen({Asked.PODS: items(), Asked.DEPLOYMENTS: items(made)}))
    assert "exceeded quota" in found["pod-missing"].seen


def test_a_service_that_is_gone_is_made_again_from_the_deployment() -> None:
    changes = {
        Asked.SERVICE: 404,
        Asked.APISERVICE_V1BETA1: put(apiservice("v1beta1"), "spec.service.port", 4443),
    }
    found = only(seen(changes), "service-missing")
    assert found.cure == (
        "kubectl -n kube-system expose deployment metrics-server --name=metrics-server --port=4443 --target-port=https"
    )


def test_a_service_that_is_gone_with_everything_else_is_applied() -> None:
    gone = seen({Asked.SERVICE: 404, Asked.PODS: items(), Asked.DEPLOYMENTS: items()})
    assert sick_in(gone)["service-missing"].cure == "kubectl apply -f components.yaml"


def test_a_service_without_the_apiservices_port_is_named_with_those_that_it_has() -> None:
    found = only(seen({Asked.SERVICE: put(service(), "spec.ports.0.port", 8443)}), "service-port")
    assert "names port 443" in found.seen
    assert found.seen.endswith("which has 8443")


@pytest.mark.parametrize(
    ("target", "words"),
    [("web", "no container has a port of that name"), (4443, "the server listens on 10250 (--secure-port)")],
)
def test_a_service_that_leads_elsewhere_is_found(target: object, words: str) -> None:
    found = only(seen({Asked.SERVICE: put(service(), "spec.ports.0.targetPort", target)}), "service-port")
    assert words in found.seen


def test_a_container_port_that_was_forgotten_with_the_flag_is_found() -> None:
    moved = put(pod(), "spec.containers.0.args", ["--secure-port=4443"])
    assert "leads to 10250, and the server listens on 4443" in only(of_pod(moved), "service-port").seen


def test_what_nobody_can_tell_of_a_port_is_no_fault() -> None:
    untold = put(put(pod(), "spec.containers.0.args", []), "spec.containers.0.ports", [])
    evidence = seen(
        {Asked.PODS: items(untold), Asked.SERVICE: put(service(), "spec.ports.0.targetPort", 10250)}
    )
    assert sick_in(evidence) == {}


def test_a_selector_that_matches_none_of_the_pods_has_the_patch_that_does() -> None:
    stale = put(service(), "spec.selector", {"app": "metrics-server", "release": "x"})
    found = sick_in(seen({Asked.SERVICE: stale, Asked.PODS: items(), Asked.ENDPOINTSLICES: items()}))
    assert "pod-missing" not in found
    command = shlex.split(found["service-selects-nothing"].cure)
    assert command[:7] == [
        "kubectl",
        "-n",
        "kube-system",
        "patch",
        "service",
        "metrics-server",
        "--type=merge",
    ]
    assert json.loads(command[-1]) == {
        "spec": {"selector": {"app": None, "release": None, "k8s-app": "metrics-server"}}
    }


@pytest.mark.parametrize(
    "slices",
    [
        items(),
        items(endpointslice(ready=False)),
        items(put(endpointslice(), "endpoints", None)),
        items(put(endpointslice(), "ports", None)),
    ],
)
def test_no_address_that_is_ready_is_no_endpoint(slices: Object) -> None:
    found = only(seen({Asked.ENDPOINTSLICES: slices}), "endpoints-none")
    assert "kubernetes.io/service-name=metrics-server" in found.cure


def test_an_address_of_unknown_readiness_counts_as_ready() -> None:
    unknown = items(put(endpointslice(), "endpoints.0.conditions", {}))
    assert found_in(seen({Asked.ENDPOINTSLICES: unknown}))["endpoints"].state is State.HEALTHY


def test_an_installation_of_another_name_is_told_by_its_own() -> None:
    made = put(deployment(), "metadata.name", "ms-pymetrics-server")
    found = only(
        seen(
            {Asked.PODS: items(crashing(1, message="address already in use")), Asked.DEPLOYMENTS: items(made)}
        ),
        "pod-port-taken",
    )
    assert found.cure.endswith("edit deployment ms-pymetrics-server")

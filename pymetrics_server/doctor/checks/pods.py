"""Do the server's pods run and are they Ready? What each one lacks, in the order in which a pod comes to life."""

import re
from collections.abc import Iterator, Sequence

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.ours import (
    deployment_name,
    deployments_of,
    flag_of,
    unselected,
)
from pymetrics_server.doctor.checks.unread import one_line, said, unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy, typed, unseen
from pymetrics_server.doctor.objects import (
    ContainerStatus,
    Deployment,
    Node,
    Pod,
    Terminated,
    condition,
    listed,
)
from pymetrics_server.doctor.subject import server_container, unready_first
from pymetrics_server.meta.quantity import parse_bytes
from pymetrics_server.meta.timestamp import parse_rfc3339

_ID = "pods"
_ENDED = ("Succeeded", "Failed")
_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
_PORT_TAKEN = re.compile(r"address already in use|cannot (?:have|bind|listen on) .*port", re.I)
_KUBELET_PORT = "10250"
_ERROR_LINE = re.compile(r'^[EF]\d{4} |^Error: |^panic: |"err":')
_WHY_NOT_READY = re.compile(r"Failed probe")
_FRESH_NS = 120 * 1_000_000_000  # a container that began so lately may be one of many that crash
_MIB = 1 << 20
_STEP_MIB = 50
#: docs/performance.md: what it takes at 30 pods of two containers on each node.
_EMPTY_MIB, _NODE_KIB = 60, 115

_Trouble = tuple[Ailment, str]


def pods(evidence: Evidence) -> Iterator[Finding]:
    answer = evidence.answer(Asked.PODS)
    found = listed(answer, Pod)
    if found is None:
        yield unread(_ID, Stage.BACKEND, "the server's pods", answer)
        return
    alive = [pod for pod in found if not pod.metadata.deletion_timestamp and pod.status.phase not in _ENDED]
    if not alive:
        yield _none(evidence, found)
        return
    asked = unready_first(answer)
    troubles: dict[Ailment, list[tuple[Pod, str]]] = {}
    for pod in alive:
        log = _log(evidence) if pod == asked else ""
        if trouble := _trouble(evidence, pod, log):
            troubles.setdefault(trouble[0], []).append((pod, trouble[1]))
    state = State.WARNING if any(pod.ready for pod in alive) else State.SICK
    for ailment, several in troubles.items():
        yield _found(evidence, ailment, several, state)
    if not troubles:
        yield healthy(_ID, Stage.BACKEND, f"{_count(alive)} Ready", [_shown(pod) for pod in alive])


def memory_for(nodes: int, limit_bytes: int = 0) -> str:
    """A limit with half as much again as so many nodes take, and twice what was not enough: a quantity."""
    needed_mib = (_EMPTY_MIB + nodes * _NODE_KIB / 1024) * 1.5
    wanted_mib = max(needed_mib, 2 * limit_bytes / _MIB, 4 * _STEP_MIB)
    return f"{-(-int(wanted_mib) // _STEP_MIB) * _STEP_MIB}Mi"


def _none(evidence: Evidence, found: Sequence[Pod]) -> Finding:
    namespace = evidence.subject.namespace
    deployments = deployments_of(evidence)
    if found and not any(each.spec.replicas == 0 for each in deployments):
        details = [f"{pod.metadata.name}: {_end(pod)}" for pod in found]
        command = typed("kubectl", "-n", namespace, "get", "pods", "-w")
        return Ailment.POD_MISSING.found(
            "all pods of the server end or have ended", details=details, command=command
        )
    if not evidence.answer(Asked.DEPLOYMENTS).ok:
        command = typed("kubectl", "-n", namespace, "get", "deployments,replicasets")
        return Ailment.POD_MISSING.found(
            f"no pod of the server exists in {namespace}; its Deployments could not be read", command=command
        )
    if (other := unselected(evidence)) and other.status.replicas:
        return unseen(_ID, Stage.BACKEND, "the server's pods were not seen: its Service selects others")
    if not deployments:
        return Ailment.POD_MISSING.found(
            f"{namespace} has neither pods nor a Deployment of the server",
            command=typed("kubectl", "apply", "-f", "components.yaml"),
        )
    return _not_made(deployments[0], namespace)


def _end(pod: Pod) -> str:
    return "is being deleted" if pod.metadata.deletion_timestamp else pod.status.reason or pod.status.phase


def _not_made(deployment: Deployment, namespace: str) -> Finding:
    name = deployment.metadata.name
    if deployment.spec.replicas == 0:
        command = typed("kubectl", "-n", namespace, "scale", "deployment", name, "--replicas=1")
        return Ailment.POD_MISSING.found(f"the Deployment {namespace}/{name} has 0 replicas", command=command)
    failure = condition(deployment.status.conditions, "ReplicaFailure")
    why = f": {one_line(failure.message)}" if failure and failure.status == "True" else ""
    command = typed("kubectl", "-n", namespace, "describe", "deployment,replicaset", name)
    return Ailment.POD_MISSING.found(f"the Deployment {namespace}/{name} has no pod{why}", command=command)


def _trouble(evidence: Evidence, pod: Pod, log: str) -> _Trouble | None:
    scheduled = condition(pod.status.conditions, "PodScheduled")
    if not pod.spec.node_name or (scheduled and scheduled.status == "False"):
        return Ailment.POD_UNSCHEDULABLE, one_line(
            scheduled.message if scheduled else ""
        ) or "it has no node yet"
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if trouble := _of_container(evidence, pod, status, log):
            return trouble
    if pod.ready:
        return None
    if not any(status.state.running for status in pod.status.container_statuses):
        return Ailment.POD_NOT_STARTED, pod.status.reason or pod.status.phase
    unready = condition(pod.status.conditions, "Ready")
    return Ailment.POD_NOT_READY, one_line(
        unready.message or unready.reason
    ) if unready else "it is not Ready"


def _of_container(evidence: Evidence, pod: Pod, status: ContainerStatus, log: str) -> _Trouble | None:
    waiting, ended = status.state.waiting, status.state.terminated or status.last_state.terminated
    if waiting and waiting.reason in _IMAGE:
        return Ailment.POD_IMAGE, _sentence(waiting.reason, waiting.message)
    if ended and ended.reason == "OOMKilled":
        return (
            Ailment.POD_OUT_OF_MEMORY,
            f"{status.name} was killed, with a limit of {_limit(pod, status) or 'its node'}",
        )
    if status.ready or (status.state.terminated and not status.state.terminated.exit_code):
        return None
    if ended and not _runs_on(status, evidence.taken_ns):
        ailment = Ailment.POD_PORT_TAKEN if _port_taken(pod, ended, log) else Ailment.POD_CRASHING
        return ailment, _ending(status, ended)
    if waiting:
        return Ailment.POD_NOT_STARTED, _sentence(waiting.reason, waiting.message)
    return None


def _runs_on(status: ContainerStatus, now_ns: int) -> bool:
    """Whether what ended was long ago: it runs now, and not just since a moment ago."""
    running = status.state.running
    if running is None or not running.started_at:
        return False
    try:
        return now_ns - parse_rfc3339(running.started_at) > _FRESH_NS
    except ValueError:
        return True


def _port_taken(pod: Pod, ended: Terminated, log: str) -> bool:
    """By its words; where it left none, by the port that the kubelet has on the node's own network."""
    words = f"{ended.message}\n{log}"
    if _PORT_TAKEN.search(words):
        return True
    server = server_container(pod.spec)
    is_kubelets = server is not None and flag_of(server, "--secure-port") == _KUBELET_PORT
    return pod.spec.host_network and is_kubelets and not words.strip()


def _ending(status: ContainerStatus, ended: Terminated) -> str:
    times = f", {status.restart_count} restarts" if status.restart_count else ""
    words = f"{status.name} ended with exit code {ended.exit_code}{times}"
    return f"{words}: {one_line(ended.message)}" if ended.message else words


def _found(evidence: Evidence, ailment: Ailment, several: Sequence[tuple[Pod, str]], state: State) -> Finding:
    pod, words = several[0]
    name = pod.metadata.name
    details = [f"{each.metadata.name}: {why}" for each, why in several] if len(several) > 1 else []
    if ailment is Ailment.POD_NOT_READY:
        details += _readyz(evidence)
    if ailment in (Ailment.POD_NOT_READY, Ailment.POD_CRASHING, Ailment.POD_PORT_TAKEN):
        details += _last_errors(evidence)
    return ailment.found(
        f"pod {name} on {pod.spec.node_name or 'no node'}: {words}",
        state=state,
        details=details,
        namespace=evidence.subject.namespace,
        pod=name,
        deployment=deployment_name(evidence, pod),
        memory=_memory(evidence, pod),
    )


def _readyz(evidence: Evidence) -> list[str]:
    """Why it is not ready, as it answers itself through kube-apiserver."""
    answer = evidence.answer(Asked.READYZ)
    if answer.failure == "unasked" or answer.ok:
        return []
    return [f"/readyz: {said(answer)}"]


def _last_errors(evidence: Evidence) -> list[str]:
    """The last error of the log, and why it was last not ready."""
    lines = _log(evidence).splitlines()
    found = [
        next((line for line in reversed(lines) if sign.search(line)), "")
        for sign in (_ERROR_LINE, _WHY_NOT_READY)
    ]
    return [f"log: {one_line(line)}" for line in dict.fromkeys(found) if line]


def _log(evidence: Evidence) -> str:
    answer = evidence.answer(Asked.LOG)
    return answer.body if answer.ok else ""


def _memory(evidence: Evidence, pod: Pod) -> str:
    nodes = len(listed(evidence.answer(Asked.NODES), Node) or evidence.probes)
    try:
        limit_bytes = max(
            (parse_bytes(each.resources.limits.get("memory", "0")) for each in pod.spec.containers), default=0
        )
    except ValueError:
        limit_bytes = 0
    return memory_for(nodes, limit_bytes)


def _limit(pod: Pod, status: ContainerStatus) -> str:
    return next(
        (c.resources.limits.get("memory", "") for c in pod.spec.containers if c.name == status.name), ""
    )


def _shown(pod: Pod) -> str:
    restarts = sum(each.restart_count for each in pod.status.container_statuses)
    return f"{pod.metadata.name} on {pod.spec.node_name}, {restarts} restarts"


def _count(alive: Sequence[Pod]) -> str:
    return "1 pod is" if len(alive) == 1 else f"{len(alive)} pods are"


def _sentence(reason: str, message: str) -> str:
    return f"{reason}: {one_line(message)}" if message else reason

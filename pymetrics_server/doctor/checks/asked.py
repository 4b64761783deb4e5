"""Where in the pipeline a pod that was asked about is lost, stage by stage."""

from collections.abc import Iterator, Sequence

from pymetrics_server.doctor.asked_ailment import AskedAilment
from pymetrics_server.doctor.checks.troubles import looked
from pymetrics_server.doctor.checks.unread import unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, healthy
from pymetrics_server.doctor.objects import ContainerStatus, NodeMetrics, Pod, PodMetrics, Terminated, listed
from pymetrics_server.doctor.subject import options_of
from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.timestamp import parse_rfc3339

_ID = "asked-pod"
_SECOND_NS = 1_000_000_000
_RUNNING = "Running"
_MANY_RESTARTS = 3
_OF_LATE_NS = 600 * _SECOND_NS


def pod(evidence: Evidence) -> Iterator[Finding]:
    """Nothing where none was asked about, else one finding."""
    asked = evidence.subject.pod
    if not asked:
        return
    namespace, _, name = asked.partition("/")
    answer = evidence.answer(Asked.POD)
    found = answer.read(Pod)
    if answer.status == 404:
        yield AskedAilment.ASKED_POD_UNKNOWN.found(f"the pod {asked} does not exist", name=name)
    elif found is None:
        yield unread(_ID, Stage.SUBJECT, f"the pod {asked}", answer)
    elif found.status.phase != _RUNNING:
        phase = f"the pod {asked} is {found.status.phase or 'in no phase'}"
        details = (*_why(found), *_containers(evidence, found))
        yield AskedAilment.ASKED_POD_NOT_RUNNING.found(phase, details=details, namespace=namespace, name=name)
    else:
        yield _running(evidence, asked, found)


def _running(evidence: Evidence, asked: str, found: Pod) -> Finding:
    answer = evidence.answer(Asked.POD_METRICS)
    metrics = answer.read(PodMetrics)
    if metrics is not None:
        return healthy(_ID, Stage.SUBJECT, f"the pod {asked} is served", _values(evidence, metrics))
    if (
        answer.status != 404 or evidence.answer(Asked.SERVED_NODES).status == 404
    ):  # of the pod, or of the whole API
        return unread(_ID, Stage.SUBJECT, f"the metrics of the pod {asked}", answer)
    return _on_blind_node(evidence, asked, found) or _odd_container(evidence, asked, found)


def _on_blind_node(evidence: Evidence, asked: str, found: Pod) -> Finding | None:
    node = found.spec.node_name
    trouble = next((each for each in looked(evidence).troubles if each.node == node), None)
    if trouble is not None:
        seen = f"the pod {asked} runs on {node}, which cannot be scraped: {trouble.words or trouble.failure.cause}"
        return AskedAilment.ASKED_POD_ON_BLIND_NODE.found(seen)
    served = listed(evidence.answer(Asked.SERVED_NODES), NodeMetrics)
    if served and all(each.metadata.name != node for each in served):
        return AskedAilment.ASKED_POD_ON_BLIND_NODE.found(
            f"the pod {asked} runs on {node}, which is not served"
        )
    return None


def _odd_container(evidence: Evidence, asked: str, found: Pod) -> Finding:
    """One container without its rate is enough: the pod is left out rather than served too small."""
    namespace, _, name = asked.partition("/")
    details = _containers(evidence, found)
    statuses = found.status.container_statuses
    restarting = next((each for each in statuses if _restarts(evidence, each)), None)
    if restarting is not None:
        return AskedAilment.ASKED_POD_RESTARTS.found(
            f"the container {restarting.name} of {asked} has restarted {restarting.restart_count} times",
            details=details,
            namespace=namespace,
            name=name,
            container=restarting.name,
        )
    needed_ns = 2 * options_of(evidence.subject).metric_resolution_ns
    ages_ns = {each.name: age_ns for each in statuses if (age_ns := _age_ns(evidence, each)) is not None}
    youngest = min(ages_ns, key=lambda each: ages_ns[each], default="")
    if youngest and ages_ns[youngest] < needed_ns:
        left_ns = needed_ns - max(ages_ns[youngest], 0)
        return AskedAilment.ASKED_POD_TOO_YOUNG.found(
            f"the container {youngest} of {asked} runs for {_s(ages_ns[youngest])}",
            details=details,
            seconds=-(-left_ns // _SECOND_NS),
        )
    stopped = [each.name for each in statuses if each.state.running is None]
    what = f"of which {', '.join(stopped)} does not run" if stopped else "all of whose containers run"
    return AskedAilment.ASKED_POD_HAS_NO_SERIES.found(
        f"the pod {asked}, {what}, is not served although its node is",
        details=details,
        namespace=namespace,
        name=name,
    )


def _restarts(evidence: Evidence, status: ContainerStatus) -> bool:
    """Waiting for its next start, or often and of late."""
    if status.restart_count and status.state.running is None:
        return True
    ended = status.last_state.terminated
    if status.restart_count < _MANY_RESTARTS or ended is None:
        return False
    ended_ns = _since_ns(evidence, ended.finished_at)
    return ended_ns is not None and ended_ns < _OF_LATE_NS


def _containers(evidence: Evidence, found: Pod) -> Sequence[str]:
    """A line of each. Init containers that are finished cost a pod nothing."""
    sidecars = {each.name for each in found.spec.init_containers if each.restart_policy == "Always"}
    lines = [f"{each.name}: {_state(evidence, each)}" for each in found.status.container_statuses]
    for each in found.status.init_container_statuses:
        what = "sidecar" if each.name in sidecars else "init container"
        ended = each.state.terminated is not None and each.name not in sidecars
        lines.append(
            f"{each.name} ({what}): {_state(evidence, each)}{', which costs nothing' if ended else ''}"
        )
    return tuple(lines)


def _state(evidence: Evidence, status: ContainerStatus) -> str:
    state = status.state
    restarts = f", {status.restart_count} restarts" if status.restart_count else ""
    ended = status.last_state.terminated
    before = f", the last one ended as {_ended(ended)}" if ended is not None else ""
    if state.waiting is not None:
        return f"waits: {state.waiting.reason} {state.waiting.message}".rstrip() + restarts + before
    if state.terminated is not None:
        return f"is finished: {_ended(state.terminated)}{restarts}"
    age_ns = _age_ns(evidence, status)
    return f"runs{'' if age_ns is None else f' for {_s(age_ns)}'}{restarts}{before}"


def _ended(ended: Terminated) -> str:
    return f"{ended.reason or 'Terminated'}, exit code {ended.exit_code}"


def _why(found: Pod) -> Sequence[str]:
    status = found.status
    own = f"{status.reason}: {status.message}" if status.reason or status.message else ""
    conditions = tuple(
        f"{each.type} is {each.status}: {each.reason} {each.message}".rstrip()
        for each in status.conditions
        if each.status != "True" and (each.reason or each.message)
    )
    return (own, *conditions) if own else conditions


def _values(evidence: Evidence, metrics: PodMetrics) -> Sequence[str]:
    lines = [
        f"{each.name}: cpu {each.usage.get('cpu', 'absent')}, memory {each.usage.get('memory', 'absent')}"
        for each in metrics.containers or ()
    ]
    age_ns = _since_ns(evidence, metrics.timestamp)
    age = "" if age_ns is None else f", {_s(age_ns)} old"
    return (*lines, f"measured over {metrics.window or 'an unknown window'}{age}")


def _age_ns(evidence: Evidence, status: ContainerStatus) -> int | None:
    running = status.state.running
    return None if running is None else _since_ns(evidence, running.started_at)


def _since_ns(evidence: Evidence, time: str | None) -> int | None:
    try:
        return evidence.taken_ns - parse_rfc3339(time or "")
    except ValueError:
        return None


def _s(duration_ns: int) -> str:
    """In whole seconds."""
    return format_go(duration_ns - duration_ns % _SECOND_NS)

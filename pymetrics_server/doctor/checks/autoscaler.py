"""Why a HorizontalPodAutoscaler does not scale: its target, the pods that are counted, and what each of them lacks.

Kubernetes: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from pymetrics_server.doctor.asked_ailment import AskedAilment
from pymetrics_server.doctor.checks.samples import lines
from pymetrics_server.doctor.checks.unread import unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy, typed
from pymetrics_server.doctor.objects import Container, Hpa, HpaMetric, Pod, PodMetrics, Scale, listed
from pymetrics_server.doctor.subject import options_of
from pymetrics_server.meta.timestamp import parse_rfc3339

_ID = "asked-hpa"
_UTILIZATION = "Utilization"
_RESOURCE_TYPES = ("Resource", "ContainerResource")
#: Requests to begin with.
_EXAMPLES = {"cpu": "100m", "memory": "128Mi"}


class _Wanted(msgspec.Struct, frozen=True):
    """A resource metric; `container` "" means all of them."""

    resource: str
    container: str
    needs_request: bool


def hpa(evidence: Evidence) -> Iterator[Finding]:
    """Nothing where none was asked about."""
    asked = evidence.subject.hpa
    if not asked:
        return
    answer = evidence.answer(Asked.HPA)
    found = answer.read(Hpa)
    if answer.status == 404:
        yield AskedAilment.ASKED_HPA_UNKNOWN.found(f"the HorizontalPodAutoscaler {asked} does not exist")
    elif found is None:
        yield unread(_ID, Stage.SUBJECT, f"the HorizontalPodAutoscaler {asked}", answer)
    else:
        yield from _of_target(evidence, asked, found)


def _of_target(evidence: Evidence, asked: str, found: Hpa) -> Iterator[Finding]:
    target = _target(found)
    answer = evidence.answer(Asked.HPA_TARGET)
    namespace, _, name = asked.partition("/")
    if answer.status == 404:
        seen = f"{asked} scales {target}, which is not there"
        yield AskedAilment.ASKED_HPA_TARGET_MISSING.found(
            seen, details=_conditions(found), namespace=namespace, name=name
        )
        return
    scale = answer.read(Scale)
    if scale is None:
        yield unread(_ID, Stage.SUBJECT, f"the scale of {target}, which {asked} scales,", answer)
        return
    selector = scale.status.selector
    answer = evidence.answer(Asked.HPA_PODS)
    pods = listed(answer, Pod) if selector else []
    if pods is None:
        yield unread(_ID, Stage.SUBJECT, f"the pods that {asked} scales", answer)
    elif not pods:
        seen = f"{asked} scales {target}, whose selector {selector or '(none)'} matches no pod"
        yield AskedAilment.ASKED_HPA_SELECTS_NOTHING.found(
            seen, details=_conditions(found), namespace=namespace
        )
    else:
        yield from _of_pods(evidence, asked, found, pods)


def _of_pods(evidence: Evidence, asked: str, found: Hpa, pods: Sequence[Pod]) -> Iterator[Finding]:
    wanted, others = _wanted(found), _other_metrics(found)
    wrong: list[Finding] = []
    if wanted:
        wrong += _requests_missing(asked, found, pods, wanted)
        wrong += _completed(asked, found, pods)
        wrong += _without_metrics(evidence, asked, found, pods)
    if others:
        seen = f"{asked} {'also ' if wanted else ''}asks for metrics of the type {', '.join(others)}"
        wrong.append(
            AskedAilment.ASKED_HPA_OTHER_METRICS.found(seen, state=State.WARNING, details=_conditions(found))
        )
    yield from wrong
    if wrong:
        return
    resources = " and ".join(dict.fromkeys(each.resource for each in wanted))
    seen = f"{asked} scales {_target(found)} by {resources}: nothing lacks at its {len(pods)} pods"
    said = _conditions(found)
    if said:
        namespace, _, name = asked.partition("/")
        cure = typed("kubectl", "-n", namespace, "describe", "hpa", name)
        yield Finding(
            _ID, Stage.SUBJECT, State.WARNING, f"{seen}, but {said[0]}", cure=cure, details=said[1:]
        )
    else:
        yield healthy(_ID, Stage.SUBJECT, seen)


def _requests_missing(
    asked: str, found: Hpa, pods: Sequence[Pod], wanted: Sequence[_Wanted]
) -> Iterator[Finding]:
    """One finding for each resource. The requests of all pods are added up, finished ones' too: one that lacks ends it."""
    for resource in dict.fromkeys(each.resource for each in wanted if each.needs_request):
        lacking: dict[str, tuple[str, str]] = {}  # by its line: the pod, the container
        for pod in pods:
            for each in wanted:
                if each.needs_request and each.resource == resource:
                    for container, line in _lacking(pod, each).items():
                        lacking[line] = pod.metadata.name, container
        if not lacking:
            continue
        names = {name for name, _ in lacking.values()}
        containers = dict.fromkeys(container for _, container in lacking.values())
        yield AskedAilment.ASKED_HPA_REQUESTS_MISSING.found(
            f"{len(names)} of the {len(pods)} pods that {asked} counts have no {resource} request, in {', '.join(containers)}",
            details=(*lines(list(lacking)), *_conditions(found)),
            namespace=asked.partition("/")[0],
            target=_target(found).lower(),
            container=next(iter(containers)),
            request=f"{resource}={_EXAMPLES.get(resource, '1')}",
        )


def _lacking(pod: Pod, wanted: _Wanted) -> Mapping[str, str]:
    """A line for each container that has no request of it. With requests of the whole pod any of them is enough."""
    name = pod.metadata.name
    sidecars = [each for each in pod.spec.init_containers if each.restart_policy == "Always"]
    containers: Sequence[Container] = [*pod.spec.containers, *sidecars]
    if wanted.container:
        containers = [each for each in containers if each.name == wanted.container]
        if not containers:
            return {wanted.container: f"{name}: there is no container {wanted.container}"}
    lacking = {
        each.name: f"{name}: {each.name} requests no {wanted.resource}"
        for each in containers
        if wanted.resource not in each.resources.requests
    }
    of_pod = pod.spec.resources.requests
    if not wanted.container and of_pod and (wanted.resource in of_pod or len(lacking) < len(containers)):
        return {}
    return lacking


def _completed(asked: str, found: Hpa, pods: Sequence[Pod]) -> Iterator[Finding]:
    """Those that failed are passed over, those that succeeded are not."""
    done = [
        pod for pod in pods if pod.status.phase == "Succeeded" and pod.metadata.deletion_timestamp is None
    ]
    if done:
        names = [pod.metadata.name for pod in done]
        yield AskedAilment.ASKED_HPA_COMPLETED_PODS.found(
            f"{len(done)} of the {len(pods)} pods that {asked} counts are finished, such as {names[0]}",
            details=(*lines(names), *_conditions(found)),
            namespace=asked.partition("/")[0],
            pod=names[0],
        )


def _without_metrics(evidence: Evidence, asked: str, found: Hpa, pods: Sequence[Pod]) -> Iterator[Finding]:
    answer = evidence.answer(Asked.HPA_POD_METRICS)
    metrics = listed(answer, PodMetrics)
    if metrics is None:
        yield unread(_ID, Stage.SUBJECT, f"the metrics of the pods that {asked} scales", answer)
        return
    have = {each.metadata.name for each in metrics}
    running = [
        pod for pod in pods if pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None
    ]
    missing = [pod for pod in running if pod.metadata.name not in have and not _is_young(evidence, pod)]
    if missing:
        names = [pod.metadata.name for pod in missing]
        yield AskedAilment.ASKED_HPA_PODS_WITHOUT_METRICS.found(
            f"{len(missing)} of the {len(running)} running pods that {asked} counts are not served, such as {names[0]}",
            details=(
                *lines([f"{pod.metadata.name} on {pod.spec.node_name}" for pod in missing]),
                *_conditions(found),
            ),
            example=f"{asked.partition('/')[0]}/{names[0]}",
        )


def _is_young(evidence: Evidence, pod: Pod) -> bool:
    """It cannot have been scraped twice."""
    try:
        age_ns = evidence.taken_ns - parse_rfc3339(pod.status.start_time or "")
    except ValueError:
        return False
    return age_ns < 2 * options_of(evidence.subject).metric_resolution_ns


def _wanted(found: Hpa) -> Sequence[_Wanted]:
    """Without any metric it is the CPU's utilization."""
    wanted = []
    for metric in found.spec.metrics:
        each = _resource_of(metric)
        if each is not None:
            wanted.append(each)
    return wanted if found.spec.metrics else [_Wanted("cpu", "", needs_request=True)]


def _resource_of(metric: HpaMetric) -> _Wanted | None:
    each = metric.resource or metric.container_resource
    if metric.type not in _RESOURCE_TYPES or each is None:
        return None
    return _Wanted(each.name, each.container, needs_request=each.target.type == _UTILIZATION)


def _other_metrics(found: Hpa) -> Sequence[str]:
    types = dict.fromkeys(metric.type for metric in found.spec.metrics)
    return [each for each in types if each not in _RESOURCE_TYPES]


def _conditions(found: Hpa) -> Sequence[str]:
    """What the controller says itself."""
    return tuple(
        f"{each.type} is {each.status}: {each.reason}: {each.message}"
        for each in found.status.conditions or ()
        if each.status != "True" and each.type != "ScalingLimited"
    )


def _target(found: Hpa) -> str:
    target = found.spec.scale_target_ref
    return f"{target.kind}/{target.name}"

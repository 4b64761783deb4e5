"""What `doctor pod` and `doctor hpa` ask kube-apiserver beside the rest."""

from collections.abc import MutableMapping, Sequence

import msgspec

from pymetrics_server.doctor.asking import Asker
from pymetrics_server.doctor.evidence import Answer, Asked
from pymetrics_server.doctor.lists import UNPAGED
from pymetrics_server.doctor.objects import Hpa, Scale, ScaleTarget

_PLURALS = {
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "ReplicaSet"): "replicasets",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("v1", "ReplicationController"): "replicationcontrollers",
}


class _Resource(msgspec.Struct):
    name: str = ""
    kind: str = ""


class _Resources(msgspec.Struct):
    resources: Sequence[_Resource] = ()


async def about_pod(asker: Asker, pod: str, metrics: str, answers: MutableMapping[Asked, Answer]) -> None:
    """`pod` is NAMESPACE/NAME, "" where none is asked about; `metrics` is the API's root."""
    if not pod:
        return
    namespace, _, name = pod.partition("/")
    answers[Asked.POD] = await asker.ask(f"/api/v1/namespaces/{namespace}/pods/{name}")
    answers[Asked.POD_METRICS] = await asker.ask(f"{metrics}/namespaces/{namespace}/pods/{name}")


async def about_hpa(asker: Asker, hpa: str, metrics: str, answers: MutableMapping[Asked, Answer]) -> None:
    """The HorizontalPodAutoscaler, what it scales, and that one's pods. Each names the next."""
    if not hpa:
        return
    namespace, _, name = hpa.partition("/")
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
    answer = answers[Asked.HPA] = await asker.ask(path)
    found = answer.read(Hpa)
    if found is None:
        return
    answer = answers[Asked.HPA_TARGET] = await _scale(asker, namespace, found.spec.scale_target_ref)
    scale = answer.read(Scale)
    if scale is None or not scale.status.selector:
        return
    selects = {"labelSelector": scale.status.selector}
    answers[Asked.HPA_PODS] = await asker.ask_list(f"/api/v1/namespaces/{namespace}/pods", selects)
    path = f"{metrics}/namespaces/{namespace}/pods"
    answers[Asked.HPA_POD_METRICS] = await asker.ask_list(path, selects, UNPAGED)


async def _scale(asker: Asker, namespace: str, target: ScaleTarget) -> Answer:
    root = f"/apis/{target.api_version}" if "/" in target.api_version else f"/api/{target.api_version}"
    plural = _PLURALS.get((target.api_version, target.kind))
    if plural is None:
        answer = await asker.ask(root)
        found = answer.read(_Resources)
        if found is None:
            return answer
        of_kind = (r.name for r in found.resources if r.kind == target.kind and "/" not in r.name)
        plural = next(of_kind, "")
        if not plural:
            words = f"{target.api_version} has no kind {target.kind}"
            return Answer(root, 404, words, words=words)
    return await asker.ask(f"{root}/namespaces/{namespace}/{plural}/{target.name}/scale")

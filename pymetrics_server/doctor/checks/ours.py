"""Which of the objects are the server's, by their labels, their images or their flags, and what follows of that."""

from collections.abc import Mapping, Sequence

from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.objects import Container, Deployment, Pod, PodSpec, Service, listed

#: metrics-server's own flags, which no other provider has.
_FLAGS = (
    "--kubelet-preferred-address-types",
    "--kubelet-insecure-tls",
    "--kubelet-use-node-status-port",
    "--metric-resolution",
)
_NAME = "metrics-server"
_NAME_LABELS = ("k8s-app", "app.kubernetes.io/name", "app")


def named_as_ours(labels: Mapping[str, str]) -> bool:
    return any(labels.get(key, "").endswith(_NAME) for key in _NAME_LABELS)


def is_ours(labels: Mapping[str, str], spec: PodSpec) -> bool:
    """A metrics-server, this one or the original."""
    return named_as_ours(labels) or any(_is_server(each) for each in spec.containers)


def flag_of(container: Container, name: str) -> str:
    """The value of `--name`, the last where it is given twice; "" where it is not given."""
    return flag_among([*container.command, *container.args], name)


def flag_among(given: Sequence[str], name: str) -> str:
    value = ""
    for place, arg in enumerate(given):
        if arg.startswith(f"{name}="):
            value = arg.partition("=")[2]
        elif arg == name and place + 1 < len(given):
            value = given[place + 1]
    return value


def deployments_of(evidence: Evidence) -> list[Deployment]:
    """Those that look like the server's."""
    found = listed(evidence.answer(Asked.DEPLOYMENTS), Deployment) or []
    return [each for each in found if is_ours(each.spec.template.metadata.labels, each.spec.template.spec)]


def is_installed(evidence: Evidence) -> bool:
    """Whether there is a pod or a Deployment of the server, or nobody can tell."""
    if evidence.in_pod or not (evidence.answer(Asked.PODS).ok and evidence.answer(Asked.DEPLOYMENTS).ok):
        return True
    return bool(listed(evidence.answer(Asked.PODS), Pod) or deployments_of(evidence))


def deployment_name(evidence: Evidence, pod: Pod | None = None) -> str:
    """Of the one that made `pod`, else the first of ours, else as the manifests call it."""
    found = deployments_of(evidence)
    for each in found:
        if pod is not None and selects(each.spec.selector.match_labels, pod.metadata.labels):
            return each.metadata.name
    return found[0].metadata.name if found else evidence.subject.service


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """As a Service's: one that is empty selects nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _is_server(container: Container) -> bool:
    image = container.image.rpartition("/")[2]
    return _NAME in image or any(
        arg.startswith(flag) for arg in (*container.command, *container.args) for flag in _FLAGS
    )


def unselected(evidence: Evidence) -> Deployment | None:
    """A Deployment of ours whose pods the Service should select and does not; None where nobody can tell."""
    service = evidence.answer(Asked.SERVICE).read(Service)
    pods = listed(evidence.answer(Asked.PODS), Pod)
    if service is None or not service.spec.selector or pods is None:
        return None
    if any(selects(service.spec.selector, pod.metadata.labels) for pod in pods):
        return None
    found = [each for each in deployments_of(evidence) if each.spec.replicas != 0]
    if any(selects(service.spec.selector, each.spec.template.metadata.labels) for each in found):
        return None
    return found[0] if found else None

"""Whose pipeline it is: which Service, which of its pods' containers is the server, and as whom it runs. Plain functions."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from itertools import dropwhile

import msgspec

from pymetrics_server.doctor.evidence import Answer, Subject
from pymetrics_server.doctor.objects import ApiService, Container, Deployment, Pod, PodSpec, Service, listed
from pymetrics_server.errors import ConfigError
from pymetrics_server.options import Options, parse

#: How the server is labelled: by its own manifests, and by its chart.
LABELS: Sequence[Mapping[str, str]] = (
    {"k8s-app": "metrics-server"},
    {"app.kubernetes.io/name": "metrics-server"},
)

_ACCOUNT = "system:serviceaccount:"
_FLAGS_OF_THE_SERVER = ("--kubelet-", "--metric-resolution", "--secure-port", "--cert-dir")
_ARGS_OF_THE_MANIFESTS = (
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    "--kubelet-use-node-status-port",
)


class _Claims(msgspec.Struct):
    sub: str = ""


def service_of(apiservices: Sequence[Answer]) -> tuple[str, str] | None:
    """(namespace, name) that the first of them names."""
    for answer in apiservices:
        found = answer.read(ApiService)
        if found is not None and found.spec.service is not None:
            return found.spec.service.namespace, found.spec.service.name
    return None


def labels_selected(service: Answer) -> Mapping[str, str]:
    """Empty where it selects nothing."""
    found = service.read(Service)
    return {} if found is None else found.spec.selector


def label_selector(labels: Mapping[str, str]) -> dict[str, str]:
    """As a query's parameter."""
    return {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())}


def known_from(subject: Subject, service: Answer, pods: Answer, deployments: Answer) -> Subject | None:
    """`subject` with the arguments and the account of its pod, or where there is none, of its Deployment; None without
    both."""
    spec = _spec(service, pods, deployments)
    if spec is None:
        return None
    container = server_container(spec)
    return msgspec.structs.replace(
        subject,
        account=f"{_ACCOUNT}{subject.namespace}:{spec.service_account_name or 'default'}",
        server_args=() if container is None else (*_flags(container.command), *container.args),
    )


def server_container(spec: PodSpec) -> Container | None:
    """Beside sidecars it is the one with the server's flags."""
    for container in spec.containers:
        if any(arg.startswith(_FLAGS_OF_THE_SERVER) for arg in (*container.command, *container.args)):
            return container
    return spec.containers[0] if spec.containers else None


def unready_first(pods: Answer) -> Pod | None:
    """The first that is not ready; where all are, the first."""
    found = listed(pods, Pod) or []
    return next((pod for pod in found if not pod.ready), found[0] if found else None)


def options_of(subject: Subject) -> Options:
    """What the server was told; where that is not known or not understood, the defaults."""
    try:
        return parse(subject.server_args or _ARGS_OF_THE_MANIFESTS)
    except ConfigError:
        return parse(())


def port_of(subject: Subject, container: Container) -> int:
    """Where the server listens."""
    if any(arg.startswith("--secure-port") for arg in subject.server_args) or not container.ports:
        return options_of(subject).secure_port
    named = (port.container_port for port in container.ports if port.name == "https")
    return next(named, container.ports[0].container_port)


def account_of_token(token: str) -> str:
    """Whose a ServiceAccount's token is; "" where it does not tell. Nothing is proven by it."""
    payload = [*token.split("."), ""][1]
    padded = payload + "=" * (-len(payload) % 4)
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Claims)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return ""
    return claims.sub if claims.sub.startswith(_ACCOUNT) else ""


def namespace_of(account: str) -> str:
    return account.removeprefix(_ACCOUNT).partition(":")[0] if account.startswith(_ACCOUNT) else ""


def account_of(namespace: str, name: str) -> str:
    return f"{_ACCOUNT}{namespace}:{name}"


def _flags(command: Sequence[str]) -> Sequence[str]:
    """Behind the program and what is its own."""
    return list(dropwhile(lambda word: not word.startswith("--"), command))


def _spec(service: Answer, pods: Answer, deployments: Answer) -> PodSpec | None:
    found = listed(pods, Pod)
    if found:
        return found[0].spec
    selected = labels_selected(service)
    templates = [deployment.spec.template for deployment in listed(deployments, Deployment) or ()]
    for labels in (selected, *LABELS) if selected else LABELS:
        for template in templates:
            if labels.items() <= template.metadata.labels.items():
                return template.spec
    return None

"""Do the server's pods run, does its Service lead to them, and does an address stand behind it?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.ours import (
    deployment_name,
    deployments_of,
    flag_of,
    unselected,
)
from pymetrics_server.doctor.checks.pods import pods
from pymetrics_server.doctor.checks.unread import unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, healthy, typed
from pymetrics_server.doctor.objects import (
    ApiService,
    EndpointSlice,
    Pod,
    PodSpec,
    Service,
    ServicePort,
    listed,
)
from pymetrics_server.doctor.subject import server_container

_HTTPS_PORT = 443


def backend(evidence: Evidence) -> Iterator[Finding]:
    yield from pods(evidence)
    answer = evidence.answer(Asked.SERVICE)
    service = answer.read(Service)
    if answer.status == 404:
        yield _missing(evidence)
        return
    if service is None:
        yield unread("service", Stage.BACKEND, f"the Service {_named(evidence)}", answer)
    else:
        yield _service(evidence, service)
    yield _endpoints(evidence)


def _missing(evidence: Evidence) -> Finding:
    subject = evidence.subject
    command = typed("kubectl", "apply", "-f", "components.yaml")
    if deployments_of(evidence):
        command = typed(
            "kubectl",
            "-n",
            subject.namespace,
            "expose",
            "deployment",
            deployment_name(evidence),
            f"--name={subject.service}",
            f"--port={_wanted_port(evidence)}",
            "--target-port=https",
        )
    return Ailment.SERVICE_MISSING.found(f"there is no Service {_named(evidence)}", command=command)


def _service(evidence: Evidence, service: Service) -> Finding:
    """One finding: what is wrong with it, or that nothing is."""
    facts = _facts(evidence)
    if (other := unselected(evidence)) is not None:
        labels = other.spec.selector.match_labels or other.spec.template.metadata.labels
        selector = ", ".join(f"{key}={value}" for key, value in service.spec.selector.items())
        seen = f"the Service {_named(evidence)} selects {selector}, which {other.metadata.name}'s pods do not have"
        return Ailment.SERVICE_SELECTS_NOTHING.found(
            seen, patch=_patch(service.spec.selector, labels), **facts
        )
    wanted = _wanted_port(evidence)
    port = next((each for each in service.spec.ports if each.port == wanted), None)
    if port is None:
        has = ", ".join(str(each.port) for each in service.spec.ports) or "none"
        seen = f"the APIService names port {wanted} of the Service {_named(evidence)}, which has {has}"
        return Ailment.SERVICE_PORT.found(seen, **facts)
    for spec in _specs(evidence):
        if wrong := _target_fault(port, spec):
            return Ailment.SERVICE_PORT.found(f"the Service {_named(evidence)}: {wrong}", **facts)
    seen = f"the Service {_named(evidence)} leads from port {port.port} to {port.target_port or port.port}"
    return healthy("service", Stage.BACKEND, seen)


def _target_fault(port: ServicePort, spec: PodSpec) -> str:
    """Why the Service's port does not lead to where the server listens; "" where it does, or nobody can tell."""
    target = str(port.target_port or port.port)
    number = target
    if not target.isdigit():
        by_name = {
            each.name: each.container_port for container in spec.containers for each in container.ports
        }
        if target not in by_name:
            return f"its targetPort is {target}, and no container has a port of that name"
        number = str(by_name[target])
    server = server_container(spec)
    listens = flag_of(server, "--secure-port") if server else ""
    if listens and listens != number:
        return (
            f"its targetPort {target} leads to {number}, and the server listens on {listens} (--secure-port)"
        )
    return ""


def _endpoints(evidence: Evidence) -> Finding:
    answer = evidence.answer(Asked.ENDPOINTSLICES)
    slices = listed(answer, EndpointSlice)
    if slices is None:
        return unread("endpoints", Stage.BACKEND, f"the EndpointSlices of {_named(evidence)}", answer)
    ready, unready = _addresses(slices)
    if not ready:
        are = f"{', '.join(unready)} is not ready" if unready else "it has no address"
        return Ailment.ENDPOINTS_NONE.found(
            f"behind the Service {_named(evidence)}: {are}", **_facts(evidence)
        )
    also = f"; not ready: {', '.join(unready)}" if unready else ""
    return healthy(
        "endpoints", Stage.BACKEND, f"{', '.join(ready)} behind the Service {_named(evidence)}{also}"
    )


def _addresses(slices: Sequence[EndpointSlice]) -> tuple[list[str], list[str]]:
    """Those that are ready and those that are not. A slice without a port leads nowhere."""
    ready: list[str] = []
    unready: list[str] = []
    for each in slices:
        for endpoint in each.endpoints or ():
            is_ready = endpoint.conditions.ready is not False and each.ports
            (ready if is_ready else unready).extend(endpoint.addresses or ())
    return ready, unready


def _wanted_port(evidence: Evidence) -> int:
    """The one that an APIService of this Service names."""
    for asked in (Asked.APISERVICE_V1BETA1, Asked.APISERVICE_V1):
        found = evidence.answer(asked).read(ApiService)
        reference = found.spec.service if found else None
        if reference and f"{reference.namespace}/{reference.name}" == _named(evidence):
            return reference.port
    return _HTTPS_PORT


def _specs(evidence: Evidence) -> list[PodSpec]:
    """Of the pods; where there are none, of what would make them."""
    alive = [
        pod.spec
        for pod in listed(evidence.answer(Asked.PODS), Pod) or ()
        if not pod.metadata.deletion_timestamp and pod.status.phase in ("Pending", "Running")
    ]
    return alive or [each.spec.template.spec for each in deployments_of(evidence)]


def _patch(before: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """A merge patch: what the selector has too much must be named to go."""
    selector: dict[str, str | None] = {**dict.fromkeys(before), **wanted}
    return msgspec.json.encode({"spec": {"selector": selector}}).decode()


def _facts(evidence: Evidence) -> dict[str, Any]:
    return {"namespace": evidence.subject.namespace, "service": evidence.subject.service}


def _named(evidence: Evidence) -> str:
    return f"{evidence.subject.namespace}/{evidence.subject.service}"

"""Are v1beta1.metrics.k8s.io and v1.metrics.k8s.io registered, whose are they, and does kube-apiserver reach them?"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

from cryptography.x509 import load_der_x509_certificate

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.condition import Decoded, decoded
from pymetrics_server.doctor.checks.ours import flag_of, is_ours, named_as_ours
from pymetrics_server.doctor.checks.proxy import Proxied, is_exempt, proxied
from pymetrics_server.doctor.checks.serverlog import client_refused
from pymetrics_server.doctor.checks.unread import one_line, said, unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy
from pymetrics_server.doctor.objects import (
    ApiService,
    Condition,
    EndpointSlice,
    Pod,
    Service,
    ServiceReference,
    condition,
    listed,
)
from pymetrics_server.errors import UntrustedError
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.x509 import bundle_der

_V1BETA1, _V1 = "v1beta1.metrics.k8s.io", "v1.metrics.k8s.io"
_NO_CONDITION = Condition("Available", "Unknown", "NoCondition", "kube-apiserver has not looked at it yet")
_DISCOVERY_FAILED = "FailedDiscoveryCheck"
_UNREACHED = "error trying to reach service"


def apiservices(evidence: Evidence) -> Iterator[Finding]:
    """The older version first: autoscalers ask it, and kubectl where there is no v1."""
    beta = evidence.answer(Asked.APISERVICE_V1BETA1).read(ApiService)
    yield from _v1beta1(evidence, beta)
    yield from _v1(evidence, beta)


def _v1beta1(evidence: Evidence, found: ApiService | None) -> Iterator[Finding]:
    answer = evidence.answer(Asked.APISERVICE_V1BETA1)
    if answer.status == 404:
        v1 = evidence.answer(Asked.APISERVICE_V1)
        also = ", and v1 is" if v1.ok else ", nor is v1" if v1.status == 404 else ""
        yield Ailment.APISERVICE_MISSING.found(f"{_V1BETA1} is not registered{also}")
        return
    if found is None:
        yield unread("apiservice-v1beta1", Stage.APISERVICE, f"APIService {_V1BETA1}", answer)
        return
    available = _available(found)
    if other := _other_provider(evidence, found):
        yield _of_another(other, available)
    elif wrong := _bundle_fault(found, evidence.taken_ns):
        yield Ailment.APISERVICE_UNTRUSTED.found(f"{_V1BETA1}: {wrong}", **_facts(evidence, _V1BETA1))
    elif available.status != "True":
        yield _unavailable(evidence, available)
    elif unreached := _unreached(evidence):
        seen = f"{_V1BETA1} is available by its condition, and requests fail: {unreached.words}"
        if unreached.ailment is Ailment.APISERVICE_UNAUTHORIZED:
            seen += _refusal(evidence)
        yield unreached.ailment.found(seen, **_facts(evidence, _V1BETA1))
    else:
        yield healthy(
            "apiservice-v1beta1",
            Stage.APISERVICE,
            f"{_V1BETA1} is available at {_shown(found.spec.service)}",
            _verified(found),
        )


def _v1(evidence: Evidence, beta: ApiService | None) -> Iterator[Finding]:
    answer = evidence.answer(Asked.APISERVICE_V1)
    found = answer.read(ApiService)
    if answer.status == 404:
        if beta is not None:
            seen = f"{_V1} is not registered: clients ask v1beta1"
            yield healthy("apiservice-v1", Stage.APISERVICE, seen)
    elif found is None:
        yield unread("apiservice-v1", Stage.APISERVICE, f"APIService {_V1}", answer)
    elif (available := _available(found)).status != "True":
        seen = f"{_V1} at {_shown(found.spec.service)} is not available ({available.reason}): "
        words = decoded(available.message).words
        yield Ailment.APISERVICE_V1_STALE.found(seen + words, details=_told(available))
    elif beta is not None and beta.spec.service != found.spec.service:
        seen = f"{_V1} belongs to {_shown(found.spec.service)}, {_V1BETA1} to {_shown(beta.spec.service)}"
        yield Ailment.APISERVICE_OTHER_PROVIDER.found(seen, state=State.WARNING, apiservice=_V1)
    elif wrong := _bundle_fault(found, evidence.taken_ns):
        yield Ailment.APISERVICE_UNTRUSTED.found(f"{_V1}: {wrong}", **_facts(evidence, _V1))
    else:
        seen = f"{_V1} is available at {_shown(found.spec.service)}"
        yield healthy("apiservice-v1", Stage.APISERVICE, seen, _verified(found))


def _unavailable(evidence: Evidence, available: Condition) -> Finding:
    told = Decoded(Ailment.APISERVICE_UNAVAILABLE, one_line(available.message))
    if available.reason == _DISCOVERY_FAILED:
        told = decoded(available.message)
    seen = f"{_V1BETA1} is not available ({available.reason}): {told.words}"
    details = _told(available)
    refusal = _refusal(evidence)
    if told.ailment is Ailment.APISERVICE_UNAUTHORIZED or (
        told.ailment is Ailment.APISERVICE_EOF and refusal
    ):
        return Ailment.APISERVICE_UNAUTHORIZED.found(
            seen + refusal, details=details, **_facts(evidence, _V1BETA1)
        )
    if available.reason == _DISCOVERY_FAILED and not told.answered:
        host = told.host
        if not host or is_exempt("", host):  # an address of kube-apiserver's own machine is no Service's
            host = _cluster_ip(evidence)
        if between := proxied(evidence, host):
            return _through_proxy(seen, host, between, details)
    if told.ailment in (Ailment.APISERVICE_TIMEOUT, Ailment.APISERVICE_REFUSED):
        details += _way(evidence)
    return told.ailment.found(seen, details=details, **_facts(evidence, _V1BETA1))


def _refusal(evidence: Evidence) -> str:
    refused = client_refused(evidence.answer(Asked.LOG).body)
    return f": the server refuses the certificate that it is shown, {one_line(refused)}" if refused else ""


def _through_proxy(seen: str, host: str, between: Proxied, details: Sequence[str]) -> Finding:
    asks = f"{between.pod} asks {host} through {between.proxy}, with NO_PROXY={between.no_proxy or 'unset'}"
    return Ailment.APISERVICE_PROXY.found(f"{seen}; {asks}", details=details, no_proxy=between.leaves_out)


def _way(evidence: Evidence) -> list[str]:
    """How kube-apiserver gets to the pod, as far as it can be seen."""
    answer = evidence.answer(Asked.APISERVER_PODS)
    pods = listed(answer, Pod)
    if pods is None:
        return []
    if not pods:
        return ["kube-apiserver runs as no pod: the control plane is managed, or outside of the pod network"]
    routing = [flag_of(each, "--enable-aggregator-routing") for pod in pods for each in pod.spec.containers]
    if "true" in routing:
        return ["kube-apiserver connects to the pod's own address (--enable-aggregator-routing)"]
    return [
        f"kube-apiserver connects to the Service's address {_cluster_ip(evidence)}: its machine needs kube-proxy, "
        "or --enable-aggregator-routing"
    ]


def _unreached(evidence: Evidence) -> Decoded | None:
    """What comes in the place of metrics, where kube-apiserver's own look at the server was some time ago, or proved nothing.
    Who asks is known to kube-apiserver, which has shown the APIService."""
    for asked in (Asked.SERVED_NODES, Asked.SERVED_PODS):
        answer = evidence.answer(asked)
        words = said(answer)
        if answer.status == 503 and _UNREACHED in words:
            return decoded(words)
        if answer.status == 401:
            return Decoded(Ailment.APISERVICE_UNAUTHORIZED, f"the server answers 401: {words}")
        if answer.status >= 500:
            return Decoded(Ailment.APISERVICE_UNAVAILABLE, f"{answer.status}: {words}")
    return None


def _other_provider(evidence: Evidence, found: ApiService) -> str:
    """Who it is; "" where it is a metrics-server, or nobody can tell."""
    reference = found.spec.service
    if reference is None:
        return "kube-apiserver itself, from a CustomResourceDefinition"
    if "metrics-server" in reference.name:
        return ""
    known = _is_subject(evidence, reference)
    pods = (listed(evidence.answer(Asked.PODS), Pod) if known else None) or []
    service = evidence.answer(Asked.SERVICE).read(Service) if known else None
    if any(is_ours(pod.metadata.labels, pod.spec) for pod in pods):
        return ""
    if pods:
        images = dict.fromkeys(each.image for pod in pods for each in pod.spec.containers)
        return f"{_shown(reference)}, with {', '.join(images)}"
    is_named = service is not None and named_as_ours(service.metadata.labels)
    return _shown(reference) if "adapter" in reference.name and not is_named else ""


def _of_another(other: str, available: Condition) -> Finding:
    seen = f"{_V1BETA1} belongs to {other}"
    if available.status == "True":
        return Ailment.APISERVICE_OTHER_PROVIDER.found(seen, apiservice=_V1BETA1)
    seen = f"{seen}, and is not available ({available.reason}): {decoded(available.message).words}"
    return Ailment.APISERVICE_OTHER_PROVIDER.found(seen, details=_told(available), apiservice=_V1BETA1)


def _bundle_fault(found: ApiService, now_ns: int) -> str:
    if not found.spec.ca_bundle:
        return ""
    try:
        ders = bundle_der(b64decode(found.spec.ca_bundle, validate=True))
    except (binascii.Error, ValueError, UntrustedError) as err:
        return f"its caBundle cannot be read: {one_line(str(err))}"
    ends_s = [load_der_x509_certificate(der).not_valid_after_utc.timestamp() for der in ders]
    end_ns = int(max(ends_s, default=0)) * 1_000_000_000
    return f"its caBundle ended at {format_rfc3339(end_ns)}" if end_ns < now_ns else ""


def _verified(found: ApiService) -> list[str]:
    if found.spec.ca_bundle:
        return ["kube-apiserver verifies the server's certificate with the caBundle"]
    if found.spec.insecure_skip_tls_verify:
        return ["kube-apiserver does not verify the server's certificate (insecureSkipTLSVerify)"]
    return ["kube-apiserver verifies the server's certificate with its system's CAs: there is no caBundle"]


def _facts(evidence: Evidence, apiservice: str) -> dict[str, Any]:
    subject = evidence.subject
    return {
        "apiservice": apiservice,
        "namespace": subject.namespace,
        "service": subject.service,
        "account": subject.account,
        "port": _pod_port(evidence),
        "no_proxy": _cluster_ip(evidence) or "the Services' addresses",
    }


def _pod_port(evidence: Evidence) -> int:
    """Where the server listens: behind the Service's address it is the pod's port that must be open."""
    slices = listed(evidence.answer(Asked.ENDPOINTSLICES), EndpointSlice) or ()
    return next((port.port for each in slices for port in each.ports or () if port.port), 10250)


def _available(found: ApiService) -> Condition:
    return condition(found.status.conditions, "Available") or _NO_CONDITION


def _told(available: Condition) -> list[str]:
    since = f" since {available.last_transition_time}" if available.last_transition_time else ""
    return [f"{available.status}{since}: {one_line(available.message)}"]


def _cluster_ip(evidence: Evidence) -> str:
    service = evidence.answer(Asked.SERVICE).read(Service)
    return service.spec.cluster_ip if service else ""


def _is_subject(evidence: Evidence, reference: ServiceReference) -> bool:
    return (reference.namespace, reference.name) == (evidence.subject.namespace, evidence.subject.service)


def _shown(reference: ServiceReference | None) -> str:
    return f"{reference.namespace}/{reference.name}" if reference else "kube-apiserver itself"

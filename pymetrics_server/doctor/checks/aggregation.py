"""Is kube-apiserver there, and can the APIs behind it believe what it says of a user? The aggregation layer's set-up.

Kubernetes: https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import Certificate, load_der_x509_certificate

from pymetrics_server.doctor.ailment import Ailment
from pymetrics_server.doctor.checks.ours import flag_of
from pymetrics_server.doctor.checks.unread import said, unread
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Command, Finding, Stage, State, healthy, typed
from pymetrics_server.doctor.objects import ConfigMap, Pod, Version, listed
from pymetrics_server.errors import UntrustedError
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.x509 import bundle_der, describe

_ID = "front-proxy"
_CONFIGMAP = "ConfigMap kube-system/extension-apiserver-authentication"
_SOON_NS = 30 * 86_400 * 1_000_000_000
_HTTPS_PORT = 443

#: What kube-apiserver removes from a user's request before it says who that is.
_REMOVED = frozenset({"x-remote-user", "x-remote-group", "x-remote-extra-", "x-remote-uid"})
_HEADERS = (
    "requestheader-username-headers",
    "requestheader-group-headers",
    "requestheader-extra-headers-prefix",
    "requestheader-uid-headers",
)


def apiserver(evidence: Evidence) -> Iterator[Finding]:
    """One finding. A refusal is an answer as well: kube-apiserver is there."""
    answer = evidence.answer(Asked.VERSION)
    where = evidence.server or "kube-apiserver"
    facts: dict[str, Any] = {
        "host_port": _host_port(evidence.server),
    }
    words = said(answer).removeprefix(f"cannot reach {where}: ")
    if answer.failure == "unasked":
        yield unread("apiserver", Stage.APISERVER, "kube-apiserver's version", answer)
    elif answer.failure == "untrusted":
        yield Ailment.APISERVER_UNTRUSTED.found(
            f"{where} shows a certificate that is not trusted: {words}", **facts
        )
    elif answer.failure == "credentials" or answer.status == 401:
        yield Ailment.APISERVER_CREDENTIALS.found(
            f"{where} does not accept our credentials: {words}", **facts
        )
    elif not answer.status:
        yield Ailment.APISERVER_UNREACHABLE.found(f"{where} cannot be reached: {words}", **facts)
    elif answer.status >= 500:
        yield Ailment.APISERVER_UNREACHABLE.found(f"{where} answers {answer.status}: {words}", **facts)
    else:
        version = answer.read(Version)
        shown = (
            f"kube-apiserver {version.git_version}" if version and version.git_version else "kube-apiserver"
        )
        yield healthy("apiserver", Stage.APISERVER, f"{shown} answers at {where} in {answer.took_ms} ms")


def front_proxy(evidence: Evidence) -> Iterator[Finding]:
    answer = evidence.answer(Asked.TRUST)
    if answer.status == 404:
        yield Ailment.AGGREGATION_OFF.found(f"{_CONFIGMAP} does not exist", command=_anew({}))
        return
    found = answer.read(ConfigMap)
    if found is None:
        yield unread(_ID, Stage.AGGREGATION, _CONFIGMAP, answer)
        return
    wrong = [
        *_authority(found.data, evidence.taken_ns),
        *_names_and_headers(found.data),
        *_certificate(evidence, found.data),
    ]
    yield from wrong
    if not wrong:
        names = ", ".join(_names(found.data, "requestheader-allowed-names") or ()) or "any name"
        yield healthy(
            _ID,
            Stage.AGGREGATION,
            f"the aggregation layer is set up for {names}",
            [describe(der) for der in bundle_der(_pem(found.data, "requestheader-client-ca-file"))],
        )


def _authority(data: Mapping[str, str], now_ns: int) -> Iterator[Finding]:
    """The CA that signs for kube-apiserver: several may stand there while they change, one that is valid will do."""
    pem = _pem(data, "requestheader-client-ca-file")
    if not pem.strip():
        yield Ailment.AGGREGATION_OFF.found(
            f"{_CONFIGMAP} has no requestheader-client-ca-file", command=_anew(data)
        )
        return
    try:
        ders = bundle_der(pem)
    except UntrustedError as err:
        yield Ailment.FRONT_PROXY_CA_UNUSABLE.found(f"the front-proxy CA cannot be read: {err}")
        return
    details = [describe(der) for der in ders]
    begins_and_ends = [_validity_ns(load_der_x509_certificate(der)) for der in ders]
    ends = [end for begin, end in begins_and_ends if begin <= now_ns <= end]
    if not ends:
        when = ", ".join(
            f"from {format_rfc3339(begin)} to {format_rfc3339(end)}" for begin, end in begins_and_ends
        )
        seen = f"the front-proxy CA is valid {when}; now it is {format_rfc3339(now_ns)}"
        yield Ailment.FRONT_PROXY_CA_EXPIRED.found(seen, details=details, command=_anew(data, "--force"))
    elif max(ends) - now_ns < _SOON_NS:
        seen = f"the front-proxy CA ends at {format_rfc3339(max(ends))}"
        yield Ailment.FRONT_PROXY_CA_EXPIRES_SOON.found(seen, state=State.WARNING, details=details)


def _names_and_headers(data: Mapping[str, str]) -> Iterator[Finding]:
    if _names(data, "requestheader-allowed-names") == () and _shares_keys(data):
        seen = "requestheader-allowed-names is empty, and the front-proxy CA stands in client-ca-file too"
        yield Ailment.FRONT_PROXY_NAMES_OPEN.found(seen, state=State.WARNING)
    if data.get("requestheader-client-ca-file", "").strip() and _names(data, _HEADERS[0]) == ():
        yield Ailment.FRONT_PROXY_HEADERS_MISSING.found(f"{_CONFIGMAP} has no {_HEADERS[0]}")
    unusual = [name for key in _HEADERS for name in _names(data, key) or () if name.lower() not in _REMOVED]
    if unusual:
        seen = f"who asks is read from headers with unusual names: {', '.join(unusual)}"
        yield Ailment.FRONT_PROXY_HEADERS_UNUSUAL.found(seen, state=State.WARNING)


def _certificate(evidence: Evidence, data: Mapping[str, str]) -> Iterator[Finding]:
    """Only where kube-apiserver runs as a pod can its own certificate be asked after."""
    pods = listed(evidence.answer(Asked.APISERVER_PODS), Pod) or ()
    without = [
        pod.metadata.name
        for pod in pods
        for container in pod.spec.containers
        if flag_of(container, "--requestheader-client-ca-file")
        and not flag_of(container, "--proxy-client-cert-file")
    ]
    if without:
        yield Ailment.FRONT_PROXY_CERTIFICATE_MISSING.found(
            f"{', '.join(without)} has no --proxy-client-cert-file", command=_anew(data)
        )


def _anew(data: Mapping[str, str], *more: str) -> Command:
    """A CA and a pair by a name that is allowed already: servers that run believe no other until they hear of it."""
    names = _names(data, "requestheader-allowed-names") or ()
    name = ("--name", names[0]) if names else ()
    return typed(
        "pymetrics-server", "certs", "aggregator", "--out", "/etc/kubernetes/aggregator", *name, *more
    )


def _names(data: Mapping[str, str], key: str) -> tuple[str, ...] | None:
    """Empty where there is none; None where it cannot be read."""
    text = data.get(key, "")
    try:
        return msgspec.json.decode(text, type=tuple[str, ...] | None) or () if text.strip() else ()
    except (msgspec.MsgspecError, ValueError):
        return None


def _shares_keys(data: Mapping[str, str]) -> bool:
    """A CA made anew with the same key vouches for the same certificates."""
    try:
        front_proxy, clients = (
            {_public_key(der) for der in bundle_der(_pem(data, key))}
            for key in ("requestheader-client-ca-file", "client-ca-file")
        )
    except UntrustedError:
        return False
    return bool(front_proxy & clients)


def _public_key(der: bytes) -> bytes:
    key = load_der_x509_certificate(der).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _validity_ns(cert: Certificate) -> Sequence[int]:
    return [
        int(at.timestamp()) * 1_000_000_000 for at in (cert.not_valid_before_utc, cert.not_valid_after_utc)
    ]


def _pem(data: Mapping[str, str], key: str) -> bytes:
    return data.get(key, "").encode()


def _host_port(server: str) -> str:
    try:
        parts = urlsplit(server)
        port = parts.port or _HTTPS_PORT
    except ValueError:
        return server
    host = parts.hostname or server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""What no combination of flags may say: metrics-server's checks in their order and words, ours behind them."""

from collections.abc import Mapping, Sequence
from typing import cast

from pymetrics_server.meta.duration import format_go
from pymetrics_server.meta.quantity import parse_nano
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.meta.selectors import SelectorError, parse_label_selector
from pymetrics_server.options.components import component_violation
from pymetrics_server.options.flags import Options, Value
from pymetrics_server.options.origins import cors_violation, hsts_violation, together

KUBELET_ENDPOINTS = ("auto", "summary", "resource")
KUBELET_TLS_VERIFY = ("address", "node-name", "chain", "insecure")
TLS_VERSIONS = ("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13")
_AES = (
    "AES_128_GCM_SHA256",
    "AES_256_GCM_SHA384",
    "AES_128_CBC_SHA256",
    "AES_128_CBC_SHA",
    "AES_256_CBC_SHA",
)
_CHACHA = ("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
#: Go's names of what OpenSSL can do.
TLS_CIPHER_SUITES = frozenset(
    {
        *(f"TLS_ECDHE_RSA_WITH_{cipher}" for cipher in (*_AES, *_CHACHA)),
        *(f"TLS_ECDHE_ECDSA_WITH_{cipher}" for cipher in (*_AES, *_CHACHA)),
        *(f"TLS_RSA_WITH_{cipher}" for cipher in _AES),
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
)
LOGGING_FORMATS = ("text", "json")
_SHORTEST_RESOLUTION_NS = 10_000_000_000
_HIGHEST_PORT = _HIGHEST_CURVE = 65_535
#: P-256, P-384, P-521, X25519 and the three with ML-KEM: what the original knows by number.
_CURVES = frozenset({23, 24, 25, 29, 4587, 4588, 4589})
_HIGHEST_GOAWAY_CHANCE = 0.02


def violations(options: Options, inert: Mapping[str, Value]) -> list[str]:
    """All of them; only the first is ever told. `inert` are given values of flags without effect, by name."""
    return [
        *kubelet_violations(options),
        *resolution_violations(options),
        *_logging_violations(options, inert),
        *_generic_violations(options, inert),
        *_start_violations(options, inert),
    ]


def kubelet_violations(options: Options) -> list[str]:
    ca = bool(options.kubelet_certificate_authority)
    certificate = bool(options.kubelet_client_certificate)
    key = bool(options.kubelet_client_key)
    insecure_tls = options.kubelet_insecure_tls
    no_tls = options.deprecated_kubelet_completely_insecure
    no_tls_flag = "--deprecated-kubelet-completely-insecure"
    found = {
        "cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls": ca and insecure_tls,
        "need both --kubelet-client-key and --kubelet-client-certificate": certificate != key,
        f"cannot use both --kubelet-client-key and {no_tls_flag}": key and no_tls,
        f"cannot use both --kubelet-client-certificate and {no_tls_flag}": certificate and no_tls,
        f"cannot use both --kubelet-insecure-tls and {no_tls_flag}": insecure_tls and no_tls,
        f"cannot use both --kubelet-certificate-authority and {no_tls_flag}": ca and no_tls,
        "kubelet-request-timeout should be positive": options.kubelet_request_timeout_ns <= 0,
    }
    return [message for message, wrong in found.items() if wrong]


def resolution_violations(options: Options) -> list[str]:
    resolution_ns = options.metric_resolution_ns
    timeout_ns = options.kubelet_request_timeout_ns
    found: list[str] = []
    if resolution_ns < _SHORTEST_RESOLUTION_NS:
        found.append(
            "metric-resolution should be a time duration at least 10s, "
            f"but value {format_go(resolution_ns)} provided"
        )
    if resolution_ns * 9 // 10 < timeout_ns:
        found.append(
            "metric-resolution should be larger than kubelet-request-timeout, but metric-resolution value "
            f"{format_go(resolution_ns)} kubelet-request-timeout value {format_go(timeout_ns)} provided"
        )
    return found


def _logging_violations(options: Options, inert: Mapping[str, Value]) -> list[str]:
    """One at most, that names all that is wrong."""
    found: list[str] = []
    flush_frequency_ns = _number(inert, "log-flush-frequency", 1)
    if flush_frequency_ns <= 0:
        shown = format_go(int(flush_frequency_ns))
        found.append(f'flushFrequency: Invalid value: "{shown}": Must be greater than zero')
    if options.logging_format not in LOGGING_FORMATS:
        found.append(f"format: Invalid value: {go_quote(options.logging_format)}: Unsupported log format")
    if options.vmodule and options.logging_format not in ("", "text"):
        found.append("vmodule: Forbidden: Only supported for text log format")
    for kind in ("text", "json"):
        wrong = {
            "splitStream": bool(inert.get(f"log-{kind}-split-stream", False)),
            "infoBufferSize": parse_nano(str(inert.get(f"log-{kind}-info-buffer-size", "0"))) != 0,
        }
        found.extend(
            f"options.{kind}.{name}: Forbidden: Feature LoggingAlphaOptions is disabled"
            for name, is_set in wrong.items()
            if is_set
        )
    return [together(found)] if found else []


def _number(inert: Mapping[str, Value], name: str, default: float = 0) -> float:
    value = inert.get(name, default)
    return value if isinstance(value, int | float) else default


def _generic_violations(options: Options, inert: Mapping[str, Value]) -> list[str]:
    goaway_chance = _number(inert, "goaway-chance")
    found = {
        "--livez-grace-period can not be a negative value": _number(inert, "livez-grace-period") < 0,
        "--max-requests-inflight can not be negative value": options.max_requests_inflight < 0,
        "--max-mutating-requests-inflight can not be negative value": (
            _number(inert, "max-mutating-requests-inflight") < 0
        ),
        "--request-timeout can not be negative value": options.request_timeout_ns < 0,
        "--goaway-chance can not be less than 0 or greater than 0.02": (
            goaway_chance < 0 or goaway_chance > _HIGHEST_GOAWAY_CHANCE  # not a number is neither
        ),
        "--min-request-timeout can not be negative value": _number(inert, "min-request-timeout") < 0,
        "--storage-initialization-timeout can not be negative value": (
            _number(inert, "storage-initialization-timeout") < 0
        ),
        "--shutdown-delay-duration can not be negative value": options.shutdown_delay_duration_ns < 0,
        "shutdown-watch-termination-grace-period, if provided, can not be a negative value": (
            _number(inert, "shutdown-watch-termination-grace-period") < 0
        ),
    }
    of_headers = (
        hsts_violation(options.strict_transport_security_directives),
        cors_violation(options.cors_allowed_origins),
    )
    return [*(message for message, wrong in found.items() if wrong), *filter(None, of_headers)]


def _start_violations(options: Options, inert: Mapping[str, Value]) -> list[str]:
    """What metrics-server stumbles over later in its start, as far as the arguments alone tell; and our own flags."""
    found = [
        component_violation(
            _texts(inert, "emulated-version"),
            _texts(inert, "min-compatibility-version"),
            _texts(inert, "feature-gates"),
        )
    ]
    if options.secure_port > 0:
        found.extend(_serving_violations(options))
        found.append(_curves_violation(cast("tuple[int, ...]", inert.get("tls-curve-preferences", ()))))
        if options.tls_min_version and options.tls_min_version not in TLS_VERSIONS:
            found.append(f"unknown tls version {go_quote(options.tls_min_version)}")
        if not all(pair.cert_file and pair.key_file for pair in options.tls_sni_cert_key):
            found.append("failed to load SNI cert and key: missing filename for serving cert")
    found.extend(
        f"only trailing * allowed in {go_quote(path)}"
        for path in options.authorization_always_allow_paths
        if "*" in path[:-1]
    )
    try:
        parse_label_selector(options.node_selector)
    except SelectorError as err:
        found.append(str(err))
    if options.kubelet_endpoint not in KUBELET_ENDPOINTS:
        found.append(
            f"kubelet-endpoint should be one of {', '.join(KUBELET_ENDPOINTS)}, "
            f"but value {go_quote(options.kubelet_endpoint)} provided"
        )
    found.append(_verification_violation(options))
    if options.metric_max_age_ns < 0:
        found.append("metric-max-age should not be negative")
    return list(filter(None, found))


def _verification_violation(options: Options) -> str:
    """ "" where there is none."""
    flag = f"--kubelet-tls-verify={options.kubelet_tls_verify}"
    if options.kubelet_tls_verify not in KUBELET_TLS_VERIFY:
        return (
            f"kubelet-tls-verify should be one of {', '.join(KUBELET_TLS_VERIFY)}, "
            f"but value {go_quote(options.kubelet_tls_verify)} provided"
        )
    if options.kubelet_tls_verify == "insecure":
        if options.kubelet_certificate_authority:
            return (
                f"cannot use both --kubelet-certificate-authority and {flag}: drop the first to verify nothing, "
                "or the second to verify by it"
            )
        return ""
    contradicting = {
        "--kubelet-insecure-tls": options.kubelet_insecure_tls,
        "--deprecated-kubelet-completely-insecure": options.deprecated_kubelet_completely_insecure,
    }
    for insecure, given in contradicting.items():
        if given:
            return (
                f"cannot use both {insecure} and {flag}: drop the first to verify certificates, or the second to verify "
                "nothing"
            )
    return ""


def _texts(inert: Mapping[str, Value], name: str) -> tuple[str, ...]:
    return cast("tuple[str, ...]", inert.get(name, ()))  # of the flag's kind


def _serving_violations(options: Options) -> list[str]:
    found: list[str] = []
    if options.secure_port > _HIGHEST_PORT:
        host = f"[{options.bind_address}]" if ":" in options.bind_address else options.bind_address
        found.append(
            f"failed to create listener: failed to listen on {host}:{options.secure_port}: "
            f"listen tcp: address {options.secure_port}: invalid port"
        )
    if bool(options.tls_cert_file) != bool(options.tls_private_key_file):
        found.append("missing filename for serving cert")
    found.extend(
        f"Cipher suite {name} not supported or doesn't exist"
        for name in options.tls_cipher_suites
        if name not in TLS_CIPHER_SUITES
    )
    return found


def _curves_violation(curves: Sequence[int]) -> str:
    """ "" where there is none."""
    seen: set[int] = set()
    for curve in curves:
        if not 0 < curve <= _HIGHEST_CURVE:
            return f"curve preference {curve} is out of range (must be 1-{_HIGHEST_CURVE})"
        if curve in seen:
            return f"duplicate curve preference {curve}"
        seen.add(curve)
        if curve not in _CURVES:
            return f"curve preference {curve} is not supported by the current Go version"
    return ""

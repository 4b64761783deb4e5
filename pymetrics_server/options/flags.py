"""Every flag that has an effect: `Options` is the table, its fields are the flags.

A field's name is the flag's, with `_` for `-` and the unit `_ns` behind a duration. The parser, the help
and the values all come from here. Names, defaults and meanings are metrics-server's but for those of
OURS_ALONE.
"""

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from pymetrics_server.log import FileLevel
from pymetrics_server.meta.verification import Verification


@dataclass(frozen=True, slots=True)
class NamedCertKey:
    """A pair of files; `names` is what TLS clients ask for it by, () what its certificate says."""

    cert_file: str
    key_file: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.cert_file},{self.key_file}" + (f":{','.join(self.names)}" if self.names else "")


Value = (
    bool
    | int
    | float
    | str
    | tuple[str, ...]
    | tuple[int, ...]
    | tuple[NamedCertKey, ...]
    | tuple[FileLevel, ...]
)

_SECOND_NS = 1_000_000_000
_SHORTEST_MAX_AGE_NS = 60 * _SECOND_NS
_FLAG = "flag"

#: Flags that metrics-server does not have; its --help is not in its own help.
OURS_ALONE = frozenset({"kubelet-endpoint", "kubelet-tls-verify", "metric-max-age", "telemetry-per-node"})

#: Stands behind what is wrong with the flag, too.
CORS_HELP = (
    "Regular expressions of origins whose pages may read the answers (CORS); none given: no such header. "
    "Each names the whole host: it has ^ or // before it and $ or : behind it, as in "
    r"'^https://example\.com(:|$)'."
)


class Kind(Enum):
    """How a value is read; the text is what the help calls it."""

    BOOL = "bool"
    INT = "int"
    INT32S = "int32Slice"  # comma separated
    FLOAT = "float"
    FLOAT32 = "float32"
    TEXT = "string"
    TEXTS = "strings"  # comma separated
    DURATION = "duration"
    QUANTITY = "quantity"
    IP = "ip"
    LEVEL = "Level"
    FILE_LEVELS = "pattern=N,..."
    GATES = "colonSeparatedMultimapStringString"
    NAMED_CERT_KEYS = "namedCertKey"  # one each time the flag is given


class Group(Enum):
    """The sections of the help, in metrics-server's order."""

    SERVER = "Metrics server flags"
    GENERIC = "Generic flags"
    KUBELET = "Kubelet client flags"
    SERVING = "Apiserver secure serving flags"
    AUTHENTICATION = "Apiserver authentication flags"
    AUTHORIZATION = "Apiserver authorization flags"
    AUDIT = "Apiserver audit log flags"
    FEATURES = "Features flags"
    LOGGING = "Logging flags"


@dataclass(frozen=True, slots=True)
class Flag:
    """`field` names the flag's place in Options; "" where the flag has no effect, and `help` then says why."""

    name: str
    kind: Kind
    default: Value
    group: Group
    help: str
    shorthand: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class _Description:
    kind: Kind
    default: Value
    group: Group
    help: str
    shorthand: str


def _flag(kind: Kind, default: Value, group: Group, text: str, shorthand: str = "") -> Any:
    return dataclasses.field(
        default=default, metadata={_FLAG: _Description(kind, default, group, text, shorthand)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed, validated. Durations are nanoseconds; "" and () are "not given"."""

    help: bool = _flag(Kind.BOOL, False, Group.SERVER, "Print this text and exit.", "h")
    kubeconfig: str = _flag(
        Kind.TEXT,
        "",
        Group.SERVER,
        "Path of the kubeconfig for watching nodes and pods and for scraping kubelets (default: in-cluster).",
    )
    metric_max_age_ns: int = _flag(
        Kind.DURATION,
        0,
        Group.SERVER,
        "How long the last good metrics of a node stay served while its scrapes fail; 0s is the larger of "
        "1m0s and three times the resolution.",
    )
    metric_resolution_ns: int = _flag(
        Kind.DURATION, 60 * _SECOND_NS, Group.SERVER, "How often each node is scraped; at least 10s."
    )
    telemetry_per_node: bool = _flag(
        Kind.BOOL, False, Group.SERVER, "Give /metrics a series for each node where that is a choice."
    )
    version: bool = _flag(Kind.BOOL, False, Group.SERVER, "Print the version and exit.")

    deprecated_kubelet_completely_insecure: bool = _flag(
        Kind.BOOL, False, Group.KUBELET, "DEPRECATED: plain HTTP towards kubelets, without any credentials."
    )
    kubelet_certificate_authority: str = _flag(
        Kind.TEXT, "", Group.KUBELET, "Path of the CA bundle that proves kubelets' serving certificates."
    )
    kubelet_client_certificate: str = _flag(
        Kind.TEXT, "", Group.KUBELET, "Path of the client certificate shown to kubelets."
    )
    kubelet_client_key: str = _flag(
        Kind.TEXT, "", Group.KUBELET, "Path of the key of the client certificate shown to kubelets."
    )
    kubelet_endpoint: Literal["auto", "summary", "resource"] = _flag(
        Kind.TEXT,
        "auto",
        Group.KUBELET,
        "What kubelets are asked for: summary (/stats/summary), resource (/metrics/resource), or auto, which "
        "asks for the second where the first is refused.",
    )
    kubelet_insecure_tls: bool = _flag(
        Kind.BOOL, False, Group.KUBELET, "Do not verify kubelets' serving certificates. For testing only."
    )
    kubelet_port: int = _flag(
        Kind.INT, 10250, Group.KUBELET, "Kubelets' port, where the node's status is not asked or has none."
    )
    kubelet_preferred_address_types: tuple[str, ...] = _flag(
        Kind.TEXTS,
        ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"),
        Group.KUBELET,
        "The types of node address to try, in this order.",
    )
    kubelet_request_timeout_ns: int = _flag(
        Kind.DURATION,
        10 * _SECOND_NS,
        Group.KUBELET,
        "How long one node's scrape may take; at most 9/10 of the resolution.",
    )
    kubelet_tls_verify: Literal["address", "node-name", "chain", "insecure"] = _flag(
        Kind.TEXT,
        "address",
        Group.KUBELET,
        "What is verified of kubelets' serving certificates: address (the CA, and the address that is dialled), "
        "node-name (the CA, and the node's name: for certificates that do not name the IP), chain (the CA alone: any "
        "serving certificate of it is believed of any node), or insecure (nothing, which is what --kubelet-insecure-tls means).",
    )
    kubelet_use_node_status_port: bool = _flag(
        Kind.BOOL, False, Group.KUBELET, "Prefer the kubelet's port from the node's status to --kubelet-port."
    )
    node_selector: str = _flag(
        Kind.TEXT,
        "",
        Group.KUBELET,
        "Label selector: only matching nodes are scraped and listed (e.g. -l key1=value1,key2=value2).",
        "l",
    )

    cors_allowed_origins: tuple[str, ...] = _flag(Kind.TEXTS, (), Group.GENERIC, CORS_HELP)
    max_requests_inflight: int = _flag(
        Kind.INT, 400, Group.GENERIC, "Reading requests served at once; above it they get 429. 0: no limit."
    )
    request_timeout_ns: int = _flag(
        Kind.DURATION, 60 * _SECOND_NS, Group.GENERIC, "How long one request may take."
    )
    shutdown_delay_duration_ns: int = _flag(
        Kind.DURATION, 0, Group.GENERIC, "How long to keep serving after SIGTERM while /readyz already fails."
    )
    shutdown_send_retry_after: bool = _flag(
        Kind.BOOL,
        False,
        Group.GENERIC,
        "While shutting down, answer new requests with 429 and Retry-After until those in flight have ended.",
    )
    strict_transport_security_directives: tuple[str, ...] = _flag(
        Kind.TEXTS,
        (),
        Group.GENERIC,
        "Directives of the header Strict-Transport-Security, which no answer has where none is given "
        "(e.g. max-age=31536000,includeSubDomains,preload).",
    )

    bind_address: str = _flag(
        Kind.IP,
        "0.0.0.0",  # noqa: S104  metrics-server's default
        Group.SERVING,
        "The address to listen on; 0.0.0.0 or :: for all.",
    )
    cert_dir: str = _flag(
        Kind.TEXT,
        "apiserver.local.config/certificates",
        Group.SERVING,
        "Where the self-signed certificate is kept; not used where --tls-cert-file is given.",
    )
    permit_port_sharing: bool = _flag(
        Kind.BOOL,
        False,
        Group.SERVING,
        "Let several instances listen on the same address and port (SO_REUSEPORT).",
    )
    secure_port: int = _flag(Kind.INT, 443, Group.SERVING, "The port to serve HTTPS on.")
    tls_cert_file: str = _flag(
        Kind.TEXT, "", Group.SERVING, "Path of the serving certificate, with its intermediates behind it."
    )
    tls_cipher_suites: tuple[str, ...] = _flag(
        Kind.TEXTS,
        (),
        Group.SERVING,
        "Cipher suites of TLS 1.2, by Go's names (e.g. TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256); none given: "
        "OpenSSL's choice. Those of TLS 1.3 are always on.",
    )
    tls_min_version: str = _flag(
        Kind.TEXT,
        "",
        Group.SERVING,
        "Lowest TLS version: VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13.",
    )
    tls_private_key_file: str = _flag(Kind.TEXT, "", Group.SERVING, "Path of the key of --tls-cert-file.")
    tls_sni_cert_key: tuple[NamedCertKey, ...] = _flag(
        Kind.NAMED_CERT_KEYS,
        (),
        Group.SERVING,
        "Paths of a further certificate and its key, and the names that clients ask for it by; without names, "
        "those in the certificate (e.g. a.crt,a.key:metrics.example,*.example). May be given several times: "
        "named before found, earlier before later.",
    )

    authentication_kubeconfig: str = _flag(
        Kind.TEXT, "", Group.AUTHENTICATION, "Path of the kubeconfig for TokenReviews (default: in-cluster)."
    )
    authentication_skip_lookup: bool = _flag(
        Kind.BOOL,
        False,
        Group.AUTHENTICATION,
        "Do not read the ConfigMap extension-apiserver-authentication; these flags alone count.",
    )
    authentication_token_webhook_cache_ttl_ns: int = _flag(
        Kind.DURATION, 10 * _SECOND_NS, Group.AUTHENTICATION, "How long a TokenReview's answer is remembered."
    )
    client_ca_file: str = _flag(
        Kind.TEXT, "", Group.AUTHENTICATION, "Path of the CA bundle whose client certificates name a user."
    )
    requestheader_allowed_names: tuple[str, ...] = _flag(
        Kind.TEXTS, (), Group.AUTHENTICATION, "Common names that a front proxy may have; none given: any."
    )
    requestheader_client_ca_file: str = _flag(
        Kind.TEXT,
        "",
        Group.AUTHENTICATION,
        "Path of the CA bundle whose client certificates are front proxies'.",
    )
    requestheader_extra_headers_prefix: tuple[str, ...] = _flag(
        Kind.TEXTS,
        ("x-remote-extra-",),
        Group.AUTHENTICATION,
        "Prefixes of headers that carry a user's extra.",
    )
    requestheader_group_headers: tuple[str, ...] = _flag(
        Kind.TEXTS, ("x-remote-group",), Group.AUTHENTICATION, "Headers that carry a user's groups."
    )
    requestheader_uid_headers: tuple[str, ...] = _flag(
        Kind.TEXTS, (), Group.AUTHENTICATION, "Headers that carry a user's UID."
    )
    requestheader_username_headers: tuple[str, ...] = _flag(
        Kind.TEXTS, ("x-remote-user",), Group.AUTHENTICATION, "Headers that carry a user's name."
    )

    authorization_always_allow_paths: tuple[str, ...] = _flag(
        Kind.TEXTS, ("/healthz", "/readyz", "/livez"), Group.AUTHORIZATION, "Paths that everyone may read."
    )
    authorization_kubeconfig: str = _flag(
        Kind.TEXT,
        "",
        Group.AUTHORIZATION,
        "Path of the kubeconfig for SubjectAccessReviews (default: in-cluster).",
    )
    authorization_webhook_cache_authorized_ttl_ns: int = _flag(
        Kind.DURATION,
        10 * _SECOND_NS,
        Group.AUTHORIZATION,
        "How long a SubjectAccessReview's yes is remembered.",
    )
    authorization_webhook_cache_unauthorized_ttl_ns: int = _flag(
        Kind.DURATION,
        10 * _SECOND_NS,
        Group.AUTHORIZATION,
        "How long a SubjectAccessReview's no is remembered.",
    )

    logging_format: str = _flag(Kind.TEXT, "text", Group.LOGGING, "How log lines are written: text or json.")
    v: int = _flag(Kind.LEVEL, 0, Group.LOGGING, "How much is logged; more at higher numbers.", "v")
    vmodule: tuple[FileLevel, ...] = _flag(
        Kind.FILE_LEVELS,
        (),
        Group.LOGGING,
        "Verbosity by the name of the source file without .py, where it is above --v (e.g. scraper=4,conn*=2); "
        "for the text format only.",
    )

    inert: tuple[str, ...] = ()  # names of the given flags that have no effect here

    @property
    def effective_metric_max_age_ns(self) -> int:
        return self.metric_max_age_ns or max(_SHORTEST_MAX_AGE_NS, 3 * self.metric_resolution_ns)

    @property
    def kubelet_verification(self) -> Verification:
        if self.deprecated_kubelet_completely_insecure:
            return Verification.HTTP
        return Verification(self.kubelet_tls_verify)


def effective_flags() -> tuple[Flag, ...]:
    """The flags of Options, in its order."""
    found: list[Flag] = []
    for field in dataclasses.fields(Options):
        described = field.metadata.get(_FLAG)
        if isinstance(described, _Description):
            name = field.name.removesuffix("_ns").replace("_", "-")
            found.append(
                Flag(
                    name,
                    described.kind,
                    described.default,
                    described.group,
                    described.help,
                    described.shorthand,
                    field.name,
                )
            )
    return tuple(found)

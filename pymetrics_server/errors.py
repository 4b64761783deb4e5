"""Every failure of ours, and the one taxonomy that names why.

    PymetricsError
    ├── ConfigError             a flag, file or kubeconfig that cannot be used; the process says so and exits
    ├── ListenError             the port cannot be had
    ├── KubeletError            a scrape of one node failed; costs that node its freshness and nothing else
    │   └── DecodeError         the kubelet answered, but not with what the endpoint promises
    ├── ApiserverError          kube-apiserver refused or could not be reached
    │   └── ResourceExpiredError    410 Gone: the reflector lists again
    ├── UntrustedError          a certificate does not prove what it says
    ├── UnauthorizedError       who asks could not be proven: 401
    └── AuthorizationError      whether they may could not be found out: 500

Foreign exceptions (aiohttp, ssl, OSError) are translated where they are raised: kubelet/,
cluster/, serving/. A FailureClass carries the most likely cause and the next thing to do, so that logs,
readyz, metrics and diagnosis say the same words.
"""

from enum import Enum


class FailureClass(Enum):
    """Why a scrape failed: (label for logs and metrics, most likely cause, what to do next)."""

    NO_ADDRESS = (
        "no_address",
        "the Node lists no address of the preferred types",
        "compare `kubectl get node NODE -o jsonpath='{.status.addresses}'` with --kubelet-preferred-address-types",
    )
    DNS = (
        "dns",
        "the node's name does not resolve from here",
        "put InternalIP first in --kubelet-preferred-address-types",
    )
    CONNECT_TIMEOUT = (
        "connect_timeout",
        "nothing answers: a firewall, a security group or overlapping pod and node networks",
        "open the kubelet's port (10250) from this pod's network to the node",
    )
    REFUSED = (
        "refused",
        "nothing listens on that port of the node",
        "check --kubelet-port and --kubelet-use-node-status-port, and that the kubelet runs",
    )
    UNREACHABLE = (
        "unreachable",
        "there is no route to the node",
        "check the node's address and this pod's network",
    )
    LOCAL_LIMIT = (
        "local_limit",
        "this process can open no further connection: its limit of open files or ports is reached",
        "raise the container's limit of open files, or look for what holds them (`ls /proc/1/fd | wc -l`)",
    )
    TLS_UNKNOWN_ISSUER = (
        "tls_unknown_issuer",
        "the kubelet's certificate is signed by a CA that is not trusted, or by itself",
        "set serverTLSBootstrap on the kubelet and approve its CSRs, or give its CA with --kubelet-certificate-authority",
    )
    TLS_NAME_MISMATCH = (
        "tls_name_mismatch",
        "the kubelet's certificate does not name the address it was reached at, or with --kubelet-tls-verify=node-name the node",
        "set --kubelet-tls-verify=node-name if the certificate names the node, else reissue it with the node's IP among its "
        "names (serverTLSBootstrap)",
    )
    TLS_EXPIRED = (
        "tls_expired",
        "the kubelet's certificate is out of date",
        "renew it (`kubectl get csr`), or mend this machine's or the node's clock",
    )
    TLS_ALERT_INTERNAL = (
        "tls_alert_internal",
        "the kubelet has no serving certificate yet: its CSR is pending or denied",
        "`kubectl get csr` and approve the node's kubelet-serving request",
    )
    TLS_OTHER = ("tls_other", "the TLS handshake failed", "look at the kubelet's log at that instant")
    UNAUTHENTICATED = (
        "unauthenticated",
        "the kubelet does not accept our credentials",
        "enable webhook token authentication on the kubelet (authentication.webhook.enabled)",
    )
    FORBIDDEN = (
        "forbidden",
        "our ServiceAccount may not read that endpoint",
        "grant it to this pod's ServiceAccount with `kubectl create clusterrole system:metrics-server:granted-kubelets "
        "--verb=get --resource=nodes/stats,nodes/metrics` and `kubectl create clusterrolebinding "
        "system:metrics-server:granted-kubelets --clusterrole=system:metrics-server:granted-kubelets "
        "--serviceaccount=NAMESPACE:NAME`",
    )
    NOT_FOUND = (
        "not_found",
        "the kubelet does not have that endpoint",
        "try --kubelet-endpoint=auto, or mend the node's annotation metrics.k8s.io/resource-metrics-path",
    )
    SERVER_ERROR = (
        "server_error",
        "the kubelet failed while it collected",
        "look at the kubelet's and the container runtime's log",
    )
    BAD_STATUS = ("bad_status", "the kubelet answered with an unexpected status", "look at the kubelet's log")
    SLOW_RESPONSE = (
        "slow_response",
        "the kubelet did not answer in time: the node is overloaded or its runtime hangs",
        "raise --kubelet-request-timeout, and look at the node's load",
    )
    DISCONNECTED = (
        "disconnected",
        "the connection broke before the answer was whole",
        "look at the node and the network between",
    )
    TOO_LARGE = (
        "too_large",
        "the answer is larger than any kubelet's",
        "check what listens on the kubelet's port",
    )
    PARSE_ERROR = (
        "parse_error",
        "the answer is not what the endpoint promises",
        "check what listens on the kubelet's port",
    )
    EMPTY_ANSWER = (
        "empty_answer",
        "the kubelet tells nothing of its node and its pods: it has just started, or its container runtime does not answer",
        "look at the kubelet's and the container runtime's log",
    )
    INTERNAL = (
        "internal",
        "a fault of this server, met while it read that node's answer",
        "report it with the traceback that stands in the log",
    )

    def __init__(self, label: str, cause: str, cure: str) -> None:
        self.label = label
        self.cause = cause
        self.cure = cure


class PymetricsError(Exception):
    """Base of all of ours; never raised itself."""


class ConfigError(PymetricsError):
    """The message stands behind `Error: ` as it is."""


class ListenError(PymetricsError):
    """The message names the address and what to change."""


class KubeletError(PymetricsError):
    """One scrape failed. `detail` is what was seen, in the words of whoever saw it, cut to one line. `cure` is the
    class's where nothing better is known of this one.
    """

    def __init__(self, failure: FailureClass, detail: str = "", *, status: int = 0, cure: str = "") -> None:
        super().__init__(f"{failure.label}: {detail}" if detail else failure.label)
        self.failure = failure
        self.detail = detail
        self.cure = cure or failure.cure
        self.status = status  # the HTTP status where the kubelet answered one, else 0


class DecodeError(KubeletError):
    """Whole answer refused; what can be saved of a flawed one is saved instead."""

    def __init__(self, detail: str, failure: FailureClass = FailureClass.PARSE_ERROR) -> None:
        super().__init__(failure, detail)


class ApiserverError(PymetricsError):
    """kube-apiserver said no (`status` its HTTP code), or could not be asked (`status` 0)."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ResourceExpiredError(ApiserverError):
    def __init__(self, message: str) -> None:
        super().__init__(message, 410)


class UnauthorizedError(PymetricsError):
    """The message is for the log; the client hears `Unauthorized` and no more."""


class UntrustedError(PymetricsError):
    """The message is crypto/x509's where it has one: those are the words that operators search for."""


class AuthorizationError(PymetricsError):
    """The message goes to the client, behind `Internal Server Error: "PATH": `."""


def system_words(err: OSError) -> str:
    """What the operating system says, in Go's case, without its number and the path."""
    return (err.strerror or str(err)).lower()

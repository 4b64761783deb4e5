"""What was seen of a cluster: kube-apiserver's answers as they came, and what each kubelet showed. Plain values.

Everything is JSON, so that a bundle holds it; nothing in it is a secret (see bundle).
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


class Asked(StrEnum):
    """The questions to kube-apiserver. Those about objects of ours are asked of `Subject.namespace`.

    Lists come whole, as {"items": [...]}, whatever the pages. Of every object managedFields and what kubectl last applied
    are left out, of nodes their images too, and the values of annotations and environment variables that may be secrets.
    """

    VERSION = "version"  # GET /version
    TRUST = "extension-apiserver-authentication"  # the ConfigMap in kube-system
    APISERVICE_V1BETA1 = "apiservice-v1beta1"
    APISERVICE_V1 = "apiservice-v1"
    SERVICE = "service"  # the one that the APIService names
    ENDPOINTSLICES = "endpointslices"  # of that Service
    PODS = "pods"  # that its selector selects
    DEPLOYMENTS = "deployments"  # in its namespace
    APISERVER_PODS = (
        "kube-apiserver-pods"  # component=kube-apiserver in kube-system, empty where it is managed
    )
    NODES = "nodes"
    CSRS = "certificatesigningrequests"  # those for kubelets' serving certificates, without spec.request
    READYZ = "readyz"  # of our first pod that is not ready, else the first, through pods/proxy: metric-storage-ready, or where that may not be read /readyz?verbose
    LOG = "log"  # of the same pod, its last lines
    SERVED_NODES = "served-nodes"  # NodeMetrics through the aggregator
    SERVED_PODS = "served-pods"  # PodMetrics, of each only metadata.{namespace,name}, timestamp and window
    POD = "pod"  # asked about with `doctor pod`
    POD_METRICS = "pod-metrics"
    HPA = "hpa"  # asked about with `doctor hpa`
    HPA_TARGET = "hpa-target"  # the scale subresource of what it scales
    HPA_PODS = "hpa-pods"
    HPA_POD_METRICS = "hpa-pod-metrics"
    RUNNING_PODS = "running-pods"  # of each only metadata.{namespace,name,creationTimestamp}; phase Running, all namespaces
    ROOT_CA = "kube-root-ca.crt"  # the ConfigMap of the CA that every pod is given


class Answer(msgspec.Struct, frozen=True):
    """`status` 0: none came, and `failure` says why (unreachable, untrusted, timeout, refused, credentials, too-large), `words`
    what was seen. A refusal (300 and above) has its message in `words`, and in `body` too. `words` beside an `ok` answer tell
    what it lacks: a list that was cut short.
    """

    path: str
    status: int = 0
    body: str = ""
    failure: str = ""
    words: str = ""
    took_ms: int = 0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def read(self, kind: type[_T]) -> _T | None:
        """The body as a `kind`, lenient of unknown fields; None where there is no such body."""
        if not self.ok:
            return None
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.MsgspecError, ValueError):
            return None


class Grant(msgspec.Struct, frozen=True):
    """One thing that the server does, and whether it may. `allowed` None: could not be asked, `reason` says why."""

    verb: str
    resource: str  # nodes/stats: with its subresource
    group: str = ""
    namespace: str = ""
    name: str = ""
    allowed: bool | None = None
    reason: str = ""


class SeenCertificate(msgspec.Struct, frozen=True):
    subject: str
    issuer: str
    names: Sequence[str]
    not_before_s: int  # since the Unix epoch
    not_after_s: int
    is_self_signed: bool


class NodeProbe(msgspec.Struct, frozen=True):
    """One node, looked at from where the doctor runs. `failure` is a FailureClass' label, "" where its kubelet answered
    with a whole sample. `credentials` tells what was shown: "ours" the server's own, "user" those of the kubeconfig,
    "none" (a 401 or 403 then tells nothing of the server).

    With the address_type "proxy" it was asked through kube-apiserver (nodes/proxy), and stands behind the node's other
    probe: a `failure` of it tells of the way from kube-apiserver, or with status 403 that the user may not ask so.
    """

    node: str
    address: str = ""
    address_type: str = ""
    port: int = 10250
    credentials: str = "none"
    failure: str = ""
    detail: str = ""
    status: int = 0
    certificate: SeenCertificate | None = None
    endpoint: str = ""  # summary or resource
    cpu_nanocores: int | None = None
    cpu_ns: int | None = None  # the counter
    memory_bytes: int | None = None
    pods: int = 0
    containers: int = 0
    sample_age_ms: int | None = None  # by this machine's clock; below 0: the node's is ahead
    took_ms: int = 0


class Subject(msgspec.Struct, frozen=True):
    """Whose pipeline it is: from the APIService where there is one, else the names of the manifests."""

    namespace: str = "kube-system"
    service: str = "metrics-server"
    account: str = "system:serviceaccount:kube-system:metrics-server"
    server_args: Sequence[str] = ()  # of the Deployment's container
    pod: str = ""  # NAMESPACE/NAME that was asked about
    hpa: str = ""


class Evidence(msgspec.Struct, frozen=True):
    taken_ns: int  # since the Unix epoch
    server: str
    kubeconfig: str  # "" inside a pod
    in_pod: bool
    subject: Subject
    answers: Mapping[Asked, Answer] = {}
    grants: Sequence[Grant] = ()
    probes: Sequence[NodeProbe] = ()
    probed_all: bool = True  # False: time ran out before every node was looked at
    kubectl_version: str = ""  # gitVersion of the kubectl on PATH, "" where there is none
    nodes_reachable_from_here: bool = (
        True  # False: outside, and no way to any kubelet: its probes tell nothing of the server
    )
    probe_caveat: str = ""  # in what the probes were made otherwise than the server scrapes

    def answer(self, asked: Asked) -> Answer:
        """With status 0 and the failure "unasked" where it was not asked."""
        return self.answers.get(asked) or Answer("", failure="unasked", words="it was not asked")

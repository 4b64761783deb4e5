"""Kubernetes' objects, as far as the checks read them: lenient of whatever else stands in them, and of `null` where
kube-apiserver writes it. Plain values, named as in the API; what is absent is empty.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from pymetrics_server.doctor.evidence import Answer

_T = TypeVar("_T")


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    status: str = ""  # True, False or Unknown; a CSR's may have none
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class Status(msgspec.Struct, frozen=True):
    """metav1.Status: what kube-apiserver says instead of an object."""

    status: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0


class Version(msgspec.Struct, frozen=True, rename="camel"):
    git_version: str = ""


class ConfigMap(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    data: Mapping[str, str] = {}


class ServiceReference(msgspec.Struct, frozen=True):
    namespace: str = ""
    name: str = ""
    port: int = 443


class ApiServiceSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Without a `service` kube-apiserver serves the group itself, from a CustomResourceDefinition."""

    service: ServiceReference | None = None
    ca_bundle: str | None = None  # base64 of PEM
    insecure_skip_tls_verify: bool = msgspec.field(name="insecureSkipTLSVerify", default=False)


class ApiServiceStatus(msgspec.Struct, frozen=True):
    conditions: Sequence[Condition] = ()


class ApiService(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: ApiServiceSpec = ApiServiceSpec()
    status: ApiServiceStatus = ApiServiceStatus()


class ServicePort(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    port: int = 0
    target_port: int | str = 0  # 0: the same as `port`


class ServiceSpec(msgspec.Struct, frozen=True):
    type: str = "ClusterIP"
    selector: Mapping[str, str] = {}
    ports: Sequence[ServicePort] = ()
    cluster_ip: str = msgspec.field(name="clusterIP", default="")


class Service(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: ServiceSpec = ServiceSpec()


class EndpointConditions(msgspec.Struct, frozen=True):
    ready: bool | None = None  # unknown counts as ready


class Endpoint(msgspec.Struct, frozen=True):
    addresses: Sequence[str] | None = None
    conditions: EndpointConditions = EndpointConditions()


class EndpointPort(msgspec.Struct, frozen=True):
    name: str | None = None
    port: int | None = None


class EndpointSlice(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    endpoints: Sequence[Endpoint] | None = None
    ports: Sequence[EndpointPort] | None = None


class EnvVar(msgspec.Struct, frozen=True):
    name: str = ""
    value: str = ""


class ContainerPort(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    container_port: int = 0


class Resources(msgspec.Struct, frozen=True):
    """Quantities, by the resource's name."""

    requests: Mapping[str, str] = {}
    limits: Mapping[str, str] = {}


class Container(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    image: str = ""
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    env: Sequence[EnvVar] = ()
    ports: Sequence[ContainerPort] = ()
    resources: Resources = Resources()
    restart_policy: str = ""  # Always: a sidecar among the initContainers


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""
    host_network: bool = False
    service_account_name: str = ""
    containers: Sequence[Container] = ()
    init_containers: Sequence[Container] = ()
    resources: Resources = Resources()  # of the whole pod, where it has any


class Waiting(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


class Running(msgspec.Struct, frozen=True, rename="camel"):
    started_at: str | None = None


class Terminated(msgspec.Struct, frozen=True, rename="camel"):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None


class ContainerState(msgspec.Struct, frozen=True):
    """One of three; none of them in a `lastState` that never was."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    conditions: Sequence[Condition] = ()
    container_statuses: Sequence[ContainerStatus] = ()
    init_container_statuses: Sequence[ContainerStatus] = ()


class Pod(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        found = condition(self.status.conditions, "Ready")
        return found is not None and found.status == "True"


class LabelSelector(msgspec.Struct, frozen=True, rename="camel"):
    match_labels: Mapping[str, str] = {}


class PodTemplate(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


class DeploymentSpec(msgspec.Struct, frozen=True):
    replicas: int | None = None  # 1
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class DeploymentStatus(msgspec.Struct, frozen=True):
    replicas: int = 0
    conditions: Sequence[Condition] = ()


class Deployment(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class CsrSpec(msgspec.Struct, frozen=True, rename="camel"):
    signer_name: str = ""
    username: str = ""


class CsrStatus(msgspec.Struct, frozen=True):
    certificate: str | None = None  # base64 of PEM, once it is signed
    conditions: Sequence[Condition] = ()  # Approved, Denied, Failed; none of them: pending


class Csr(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: CsrSpec = CsrSpec()
    status: CsrStatus = CsrStatus()


class NodeAddress(msgspec.Struct, frozen=True):
    type: str = ""
    address: str = ""


class NodeInfo(msgspec.Struct, frozen=True, rename="camel"):
    kubelet_version: str = ""
    container_runtime_version: str = ""


class NodeStatus(msgspec.Struct, frozen=True, rename="camel"):
    addresses: Sequence[NodeAddress] = ()
    conditions: Sequence[Condition] = ()
    node_info: NodeInfo = NodeInfo()


class Node(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> bool:
        found = condition(self.status.conditions, "Ready")
        return found is not None and found.status == "True"


class MetricTarget(msgspec.Struct, frozen=True):
    type: str = ""  # Utilization, AverageValue or Value


class ResourceMetric(msgspec.Struct, frozen=True):
    name: str = ""  # cpu or memory
    container: str = ""  # of a ContainerResource
    target: MetricTarget = MetricTarget()


class HpaMetric(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""  # Resource, ContainerResource, Pods, Object or External
    resource: ResourceMetric | None = None
    container_resource: ResourceMetric | None = None


class ScaleTarget(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""


class HpaSpec(msgspec.Struct, frozen=True, rename="camel"):
    scale_target_ref: ScaleTarget = ScaleTarget()
    metrics: Sequence[HpaMetric] = ()


class HpaStatus(msgspec.Struct, frozen=True):
    conditions: Sequence[Condition] | None = None


class Hpa(msgspec.Struct, frozen=True):
    """autoscaling/v2"""

    metadata: Metadata = Metadata()
    spec: HpaSpec = HpaSpec()
    status: HpaStatus = HpaStatus()


class ScaleStatus(msgspec.Struct, frozen=True):
    replicas: int = 0
    selector: str = ""


class Scale(msgspec.Struct, frozen=True):
    """autoscaling/v1: the scale subresource."""

    metadata: Metadata = Metadata()
    status: ScaleStatus = ScaleStatus()


class NodeMetrics(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    timestamp: str = ""
    window: str = ""
    usage: Mapping[str, str] = {}


class ContainerMetrics(msgspec.Struct, frozen=True):
    name: str = ""
    usage: Mapping[str, str] = {}


class PodMetrics(msgspec.Struct, frozen=True):
    metadata: Metadata = Metadata()
    timestamp: str = ""
    window: str = ""
    containers: Sequence[ContainerMetrics] | None = None


class _Items(msgspec.Struct):
    items: Sequence[msgspec.Raw] | None


def condition(conditions: Sequence[Condition], kind: str) -> Condition | None:
    return next((each for each in conditions if each.type == kind), None)


def listed(answer: Answer, kind: type[_T]) -> list[_T] | None:
    """The items of a list, but those that are no `kind`; None where there is no list."""
    found = answer.read(_Items)
    if found is None:
        return None
    items: list[_T] = []
    for raw in found.items or ():
        try:
            items.append(msgspec.json.decode(raw, type=kind))
        except (msgspec.MsgspecError, ValueError):
            continue
    return items

"""The kinds of object that the stand-in kube-apiserver knows, and how nodes and pods are written as such."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.standin.views import NodeView, PodView
from pymetrics_server.version import KUBERNETES_MAJOR, KUBERNETES_MINOR

#: Where nodes' leases are.
LEASE_NAMESPACE = "kube-node-lease"
GIT_VERSION = f"v{KUBERNETES_MAJOR}.{KUBERNETES_MINOR}.0+standin"


class ResourceType(msgspec.Struct, frozen=True):
    group: str  # "" is core
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool = False
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("get", "list", "watch")

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


_CREATE = ("create",)
NODES = ResourceType("", "v1", "nodes", "node", "Node", short_names=("no",))
PODS = ResourceType("", "v1", "pods", "pod", "Pod", namespaced=True, short_names=("po",), categories=("all",))
NAMESPACES = ResourceType("", "v1", "namespaces", "namespace", "Namespace", short_names=("ns",))
CONFIGMAPS = ResourceType(
    "", "v1", "configmaps", "configmap", "ConfigMap", namespaced=True, short_names=("cm",)
)
LEASES = ResourceType("coordination.k8s.io", "v1", "leases", "lease", "Lease", namespaced=True)
APISERVICES = ResourceType(
    "apiregistration.k8s.io", "v1", "apiservices", "apiservice", "APIService", categories=("api-extensions",)
)
SERVICES = ResourceType(
    "", "v1", "services", "service", "Service", namespaced=True, short_names=("svc",), categories=("all",)
)
ENDPOINTSLICES = ResourceType(
    "discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", namespaced=True
)
DEPLOYMENTS = ResourceType(
    "apps",
    "v1",
    "deployments",
    "deployment",
    "Deployment",
    namespaced=True,
    short_names=("deploy",),
    categories=("all",),
)
CSRS = ResourceType(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "certificatesigningrequest",
    "CertificateSigningRequest",
    short_names=("csr",),
)
HPAS = ResourceType(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "horizontalpodautoscaler",
    "HorizontalPodAutoscaler",
    namespaced=True,
    short_names=("hpa",),
    categories=("all",),
)
TOKENREVIEWS = ResourceType(
    "authentication.k8s.io", "v1", "tokenreviews", "tokenreview", "TokenReview", verbs=_CREATE
)
SUBJECTACCESSREVIEWS = ResourceType(
    "authorization.k8s.io",
    "v1",
    "subjectaccessreviews",
    "subjectaccessreview",
    "SubjectAccessReview",
    verbs=_CREATE,
)
SELFSUBJECTACCESSREVIEWS = ResourceType(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "selfsubjectaccessreview",
    "SelfSubjectAccessReview",
    verbs=_CREATE,
)

TYPES = (
    NODES,
    PODS,
    NAMESPACES,
    CONFIGMAPS,
    LEASES,
    SERVICES,
    ENDPOINTSLICES,
    DEPLOYMENTS,
    CSRS,
    HPAS,
    APISERVICES,
    TOKENREVIEWS,
    SUBJECTACCESSREVIEWS,
    SELFSUBJECTACCESSREVIEWS,
)


def find_type(group: str, version: str, plural: str) -> ResourceType | None:
    return next((t for t in TYPES if (t.group, t.version, t.plural) == (group, version, plural)), None)


def node_body(view: NodeView, address: str, kubelet_port: int) -> dict[str, Any]:
    created = format_rfc3339(view.boot_ns)
    quantities = {
        "cpu": str(view.cpu_count),
        "memory": f"{view.memory_capacity_bytes // 1024}Ki",
        "pods": "110",
    }
    info = {
        "machineID": view.uid,
        "systemUUID": view.uid,
        "bootID": view.uid,
        "kernelVersion": "standin",
        "osImage": "simulated" if view.simulated else "this machine",
        "containerRuntimeVersion": "standin://1",
        "kubeletVersion": GIT_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": view.labels.get("kubernetes.io/arch", "amd64"),
    }
    return {
        "metadata": {
            "name": view.name,
            "uid": view.uid,
            "creationTimestamp": created,
            "labels": dict(view.labels),
        },
        "spec": {},
        "status": {
            "capacity": quantities,
            "allocatable": quantities,
            "conditions": [
                {
                    **_condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", created),
                    "lastHeartbeatTime": format_rfc3339(view.time_ns),
                }
            ],
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": view.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": info,
        },
    }


def lease_body(node: str, created_ns: int) -> dict[str, Any]:
    """Never renewed, and without a time that would say so: kubectl describes no node without its lease."""
    return {
        "metadata": {
            "name": node,
            "namespace": LEASE_NAMESPACE,
            "creationTimestamp": format_rfc3339(created_ns),
        },
        "spec": {"holderIdentity": node},
    }


def pod_body(pod: PodView, node: str, address: str) -> dict[str, Any]:
    started = format_rfc3339(pod.start_ns)
    return {
        "metadata": {
            "name": pod.name,
            "namespace": pod.namespace,
            "uid": pod.uid,
            "creationTimestamp": started,
            "labels": dict(pod.labels),
        },
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "containers": [{"name": c.name, "image": "standin", "resources": {}} for c in pod.containers],
        },
        "status": {
            "phase": "Running",
            "conditions": [_condition("Ready", "True", "", "", started)],
            "hostIP": address,
            "podIP": address,
            "startTime": started,
            "containerStatuses": [
                {
                    "name": c.name,
                    "image": "standin",
                    "imageID": "",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": format_rfc3339(c.start_ns)}},
                }
                for c in pod.containers
            ],
        },
    }


def namespace_body(name: str, created_ns: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": format_rfc3339(created_ns),
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def configmap_body(namespace: str, name: str, data: Mapping[str, str], created_ns: int) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": format_rfc3339(created_ns)},
        "data": dict(data),
    }


def apiservice_body(group: str, version: str, created_ns: int) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{version}.{group}", "creationTimestamp": format_rfc3339(created_ns)},
        "spec": {
            "service": {"namespace": "kube-system", "name": "metrics-server", "port": 443},
            "group": group,
            "version": version,
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }


def available_status(*, available: bool, reason: str, message: str, since_ns: int) -> dict[str, Any]:
    """Of an APIService."""
    status = "True" if available else "False"
    return {"conditions": [_condition("Available", status, reason, message, format_rfc3339(since_ns))]}


def _condition(kind: str, status: str, reason: str, message: str, since: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }

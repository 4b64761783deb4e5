"""The objects that make a server beside the stand-in cluster findable: as the manifests name them, but on loopback.

A pod of it has no cluster network: its address is this machine's, its port the one that it really listens on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymetrics_server.meta.timestamp import format_rfc3339

NAMESPACE = "kube-system"
NAME = "metrics-server"
LABELS = {"k8s-app": NAME}
SERVICE_PORT = 443
PORT_NAME = "https"
_CLUSTER_IP = "10.96.0.43"


def service_body(created_ns: int) -> dict[str, Any]:
    return {
        "metadata": _metadata(NAME, created_ns, LABELS),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": _CLUSTER_IP,
            "clusterIPs": [_CLUSTER_IP],
            "selector": LABELS,
            "ports": [
                {"name": PORT_NAME, "port": SERVICE_PORT, "protocol": "TCP", "targetPort": PORT_NAME},
            ],
        },
    }


def endpointslice_body(address: str, port: int, created_ns: int, pod: str = "") -> dict[str, Any]:
    """As the EndpointSlice controller writes it for a pod that is ready."""
    endpoint: dict[str, Any] = {"addresses": [address], "conditions": {"ready": True, "serving": True}}
    if pod:
        endpoint["targetRef"] = {"kind": "Pod", "namespace": NAMESPACE, "name": pod}
    return {
        "metadata": _metadata(f"{NAME}-standin", created_ns, {"kubernetes.io/service-name": NAME, **LABELS}),
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": PORT_NAME, "port": port, "protocol": "TCP"}],
    }


def deployment_body(args: Sequence[str], port: int, created_ns: int) -> dict[str, Any]:
    return {
        "metadata": _metadata(NAME, created_ns, LABELS),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod_spec(args, port)},
        },
        "status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1},
    }


def pod_spec(args: Sequence[str], port: int) -> dict[str, Any]:
    return {
        "serviceAccountName": NAME,
        "containers": [
            {
                "name": NAME,
                "image": "standin",
                "args": list(args),
                "ports": [{"name": PORT_NAME, "containerPort": port, "protocol": "TCP"}],
                "resources": {},
            }
        ],
    }


def server_pod(body: dict[str, Any], args: Sequence[str], port: int) -> dict[str, Any]:
    """The pod of this machine whose first container is the server, with what a Deployment would have given it."""
    first, *others = body["spec"]["containers"]
    (known,) = pod_spec(args, port)["containers"]
    spec = {
        **body["spec"],
        "serviceAccountName": NAME,
        "containers": [{**known, "name": first["name"]}, *others],
    }
    return {**body, "spec": spec}


def _metadata(name: str, created_ns: int, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "creationTimestamp": format_rfc3339(created_ns),
        "labels": dict(labels),
    }

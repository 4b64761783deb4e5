"""Evidence made by hand: a healthy cluster of three nodes, in which each test changes one thing.

`seen({Asked.SERVICE: put(service(), "spec.ports.0.port", 8443)})`: a dict is answered as JSON, a string as it is, a
number as kube-apiserver's Status of that code, an Answer as it is; None was not asked.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from pymetrics_server.doctor.evidence import (
    Answer,
    Asked,
    Evidence,
    Grant,
    NodeProbe,
    SeenCertificate,
    Subject,
)
from pymetrics_server.x509 import make_ca

Object = dict[str, Any]

NOW_NS = 1_780_315_200_000_000_000
NOW = "2026-06-01T12:00:00Z"
NODE_NAMES = ("node-1", "node-2", "node-3")
ACCOUNT = "system:serviceaccount:kube-system:metrics-server"
LABELS = {"k8s-app": "metrics-server"}
_DAY_S = 86_400
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    503: "ServiceUnavailable",
}


def seen(changes: Mapping[Asked, Any] | None = None, **fields: Any) -> Evidence:
    """`fields` are those of Evidence: grants, probes, subject, kubectl_version and so on."""
    asked: dict[Asked, Any] = {**healthy_answers(), **(changes or {})}
    healthy = Evidence(
        taken_ns=NOW_NS,
        server="https://10.0.0.100:6443",
        kubeconfig="/home/jane/.kube/config",
        in_pod=False,
        subject=Subject(server_args=pod()["spec"]["containers"][0]["args"]),
        answers={question: answered(what) for question, what in asked.items() if what is not None},
        grants=grants(),
        probes=tuple(probe(name) for name in NODE_NAMES),
        kubectl_version="v1.36.2",
    )
    return msgspec.structs.replace(healthy, **fields)


def healthy_answers() -> dict[Asked, Any]:
    return {
        Asked.VERSION: {"major": "1", "minor": "36", "gitVersion": "v1.36.2"},
        Asked.TRUST: trust(),
        Asked.APISERVICE_V1BETA1: apiservice("v1beta1"),
        Asked.APISERVICE_V1: apiservice("v1"),
        Asked.SERVICE: service(),
        Asked.ENDPOINTSLICES: items(endpointslice()),
        Asked.PODS: items(pod()),
        Asked.DEPLOYMENTS: items(deployment()),
        Asked.APISERVER_PODS: items(apiserver_pod()),
        Asked.NODES: items(*(node(name) for name in NODE_NAMES)),
        Asked.CSRS: items(),
        Asked.READYZ: "ok",
        Asked.LOG: 'I0601 11:59:00.000000       1 scraper.go:1] "Scraping"\n',
        Asked.SERVED_NODES: items(*(node_metrics(name) for name in NODE_NAMES)),
        Asked.SERVED_PODS: items(pod_metrics()),
    }


def answered(what: Any, path: str = "/some/path") -> Answer:
    if isinstance(what, Answer):
        return what
    if isinstance(what, int):
        return Answer(path, what, json.dumps(status(what)))
    return Answer(path, 200, what if isinstance(what, str) else json.dumps(what), took_ms=7)


def unanswered(failure: str, words: str = "") -> Answer:
    """`failure`: unreachable, untrusted, timeout, refused or credentials."""
    return Answer("/some/path", failure=failure, words=words or f"the words of {failure}")


def status(code: int, message: str = "") -> Object:
    reason = _REASONS.get(code, "InternalError")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or f"the message of {reason}",
        "reason": reason,
        "code": code,
    }


def denied(
    resource: str, *, group: str = "", verb: str = "get", user: str = "jane", namespace: str = ""
) -> Answer:
    """kube-apiserver's 403 to whoever runs the doctor."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    what = f"{resource}.{group}" if group else resource
    message = f'{what} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    return Answer("/some/path", 403, json.dumps(status(403, message)))


def items(*objects: Object) -> Object:
    return {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": list(objects)}


def put(made: Object, path: str, value: Any) -> Object:
    """A copy with `value` at a path such as `spec.containers.0.image`; what lacks on the way to it is made."""
    copied = copy.deepcopy(made)
    at: Any = copied
    *way, last = path.split(".")
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[int(last) if isinstance(at, list) else last] = value
    return copied


@lru_cache
def front_proxy_ca(days: int = 3650, made_ns: int = NOW_NS) -> str:
    """PEM."""
    return make_ca("front-proxy-ca", made_ns, days).cert_pem.decode()


@lru_cache
def client_ca() -> str:
    return make_ca("kubernetes", NOW_NS).cert_pem.decode()


def trust(ca_pem: str | None = None, **data: str) -> Object:
    """`data` takes the keys with underscores: requestheader_allowed_names."""
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": client_ca(),
            "requestheader-client-ca-file": front_proxy_ca() if ca_pem is None else ca_pem,
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            **{key.replace("_", "-"): value for key, value in data.items()},
        },
    }


def apiservice(
    version: str,
    available: str = "True",
    reason: str = "Passed",
    message: str = "all checks passed",
    service: str = "kube-system/metrics-server",
) -> Object:
    namespace, _, name = service.partition("/")
    return {
        "kind": "APIService",
        "metadata": {"name": f"{version}.metrics.k8s.io", "labels": dict(LABELS)},
        "spec": {
            "group": "metrics.k8s.io",
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": namespace, "name": name, "port": 443},
        },
        "status": {
            "conditions": [
                {
                    "type": "Available",
                    "status": available,
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": NOW,
                }
            ]
        },
    }


def service() -> Object:
    return {
        "kind": "Service",
        "metadata": {"name": "metrics-server", "namespace": "kube-system", "labels": dict(LABELS)},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.7.7",
            "selector": dict(LABELS),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}],
        },
    }


def endpointslice(*, ready: bool = True) -> Object:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": "metrics-server-x7k2p",
            "labels": {"kubernetes.io/service-name": "metrics-server"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.1.5"], "conditions": {"ready": ready}, "nodeName": "node-2"}],
        "ports": [{"name": "https", "port": 10250, "protocol": "TCP"}],
    }


def pod(name: str = "metrics-server-6d94bc8694-abcde", node: str = "node-2") -> Object:
    template = deployment()["spec"]["template"]
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {**LABELS, "pod-template-hash": "6d94bc8694"},
            "creationTimestamp": "2026-06-01T10:00:00Z",
        },
        "spec": {**template["spec"], "nodeName": node},
        "status": {
            "phase": "Running",
            "podIP": "10.244.1.5",
            "hostIP": "10.0.0.2",
            "startTime": "2026-06-01T10:00:00Z",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": "True"},
                {"type": "ContainersReady", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
            "containerStatuses": [
                {
                    "name": "metrics-server",
                    "ready": True,
                    "restartCount": 0,
                    "image": "pymetrics-server:0.1.0",
                    "state": {"running": {"startedAt": "2026-06-01T10:00:05Z"}},
                    "lastState": {},
                }
            ],
        },
    }


def deployment() -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": "metrics-server", "namespace": "kube-system", "labels": dict(LABELS)},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": dict(LABELS)},
            "template": {
                "metadata": {"creationTimestamp": None, "labels": dict(LABELS)},
                "spec": {
                    "serviceAccountName": "metrics-server",
                    "containers": [
                        {
                            "name": "metrics-server",
                            "image": "pymetrics-server:0.1.0",
                            "args": [
                                "--cert-dir=/tmp",
                                "--secure-port=10250",
                                "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
                                "--kubelet-use-node-status-port",
                                "--metric-resolution=15s",
                            ],
                            "ports": [{"name": "https", "containerPort": 10250, "protocol": "TCP"}],
                            "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
                        }
                    ],
                },
            },
        },
        "status": {
            "replicas": 1,
            "readyReplicas": 1,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


def apiserver_pod(**env: str) -> Object:
    """As kubeadm makes it."""
    return {
        "kind": "Pod",
        "metadata": {
            "name": "kube-apiserver-node-1",
            "namespace": "kube-system",
            "labels": {"component": "kube-apiserver", "tier": "control-plane"},
        },
        "spec": {
            "hostNetwork": True,
            "nodeName": "node-1",
            "containers": [
                {
                    "name": "kube-apiserver",
                    "command": [
                        "kube-apiserver",
                        "--service-cluster-ip-range=10.96.0.0/12",
                        "--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt",
                        "--proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt",
                        "--proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key",
                    ],
                    "env": [{"name": name, "value": value} for name, value in env.items()],
                }
            ],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def node(name: str, address: str = "") -> Object:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address or _address(name)},
                {"type": "Hostname", "address": name},
            ],
            "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "kubeletVersion": "v1.36.2",
                "containerRuntimeVersion": "containerd://2.1.0",
                "operatingSystem": "linux",
            },
        },
    }


def csr(name: str, node_name: str, *conditions: str) -> Object:
    """Of a kubelet's serving certificate; `conditions` Approved, Denied or Failed, none of them: pending."""
    return {
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "creationTimestamp": "2026-06-01T11:00:00Z"},
        "spec": {"signerName": "kubernetes.io/kubelet-serving", "username": f"system:node:{node_name}"},
        "status": {"conditions": [{"type": each, "status": "True"} for each in conditions]},
    }


def node_metrics(name: str, timestamp: str = "2026-06-01T11:59:50Z") -> Object:
    return {
        "metadata": {"name": name},
        "timestamp": timestamp,
        "window": "15s",
        "usage": {"cpu": "250m", "memory": "1Gi"},
    }


def pod_metrics(
    name: str = "kube-system/metrics-server-6d94bc8694-abcde", timestamp: str = "2026-06-01T11:59:50Z"
) -> Object:
    namespace, _, plain = name.partition("/")
    return {
        "metadata": {"name": plain, "namespace": namespace},
        "timestamp": timestamp,
        "window": "15s",
        "containers": [{"name": "metrics-server", "usage": {"cpu": "5m", "memory": "60Mi"}}],
    }


def grants(*, without: Sequence[str] = (), unasked: str = "") -> tuple[Grant, ...]:
    """All that the server needs; `without` names resources that it may not have (nodes/stats), `unasked` is why
    nobody could tell."""
    wanted = [
        *(Grant("get", f"nodes/{each}") for each in ("stats", "metrics")),
        *(Grant(verb, resource) for resource in ("nodes", "pods") for verb in ("list", "watch")),
        Grant("create", "tokenreviews", "authentication.k8s.io"),
        Grant("create", "subjectaccessreviews", "authorization.k8s.io"),
        *(
            Grant(verb, "configmaps", "", "kube-system", "extension-apiserver-authentication")
            for verb in ("list", "watch")
        ),
    ]
    if unasked:
        return tuple(msgspec.structs.replace(each, reason=unasked) for each in wanted)
    return tuple(msgspec.structs.replace(each, allowed=each.resource not in without) for each in wanted)


def probe(node_name: str, **fields: Any) -> NodeProbe:
    """A kubelet that answered a whole sample, with `fields` changed."""
    healthy = NodeProbe(
        node=node_name,
        address=_address(node_name),
        address_type="InternalIP",
        credentials="ours",
        status=200,
        certificate=certificate(node_name),
        endpoint="summary",
        cpu_nanocores=250_000_000,
        cpu_ns=9_000_000_000_000,
        memory_bytes=1 << 30,
        pods=12,
        containers=20,
        sample_age_ms=4_000,
        took_ms=15,
    )
    return msgspec.structs.replace(healthy, **fields)


def certificate(node_name: str, **fields: Any) -> SeenCertificate:
    healthy = SeenCertificate(
        subject=f"CN=system:node:{node_name},O=system:nodes",
        issuer="CN=kubernetes",
        names=(node_name, _address(node_name)),
        not_before_s=NOW_NS // 1_000_000_000 - 30 * _DAY_S,
        not_after_s=NOW_NS // 1_000_000_000 + 335 * _DAY_S,
        is_self_signed=False,
    )
    return msgspec.structs.replace(healthy, **fields)


def _address(node_name: str) -> str:
    """node-7 has 10.0.0.7, whoever has no number 10.0.0.250."""
    number = node_name.rpartition("-")[2]
    return f"10.0.0.{number if number.isdigit() else 250}"

"""What the original's own manifests make of a cluster, as objects.

metrics-server: manifests/base. The order in which `kubectl apply -f` sends them is theirs, too.
"""

import yaml

from tests.cluster.real.client import Object

IMAGE = "metrics-server:v0.9.0"

_NAME = "metrics-server"
_NAMESPACE = "kube-system"
_RBAC = "rbac.authorization.k8s.io"
_SUBJECTS = [{"kind": "ServiceAccount", "name": _NAME, "namespace": _NAMESPACE}]
_ARGUMENTS = (
    "--cert-dir=/tmp",
    "--secure-port=10250",
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    "--kubelet-use-node-status-port",
    "--metric-resolution=15s",
)


def objects() -> list[Object]:
    return [
        _object("v1", "ServiceAccount", _NAME),
        _role(
            "system:aggregated-metrics-reader",
            [_rule("metrics.k8s.io", ["pods", "nodes"], ["get", "list", "watch"])],
            {f"{_RBAC}/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")},
        ),
        _role(
            "system:metrics-server",
            [_rule("", ["nodes/metrics"], ["get"]), _rule("", ["pods", "nodes"], ["get", "list", "watch"])],
        ),
        _binding("RoleBinding", "metrics-server-auth-reader", "extension-apiserver-authentication-reader"),
        _binding("ClusterRoleBinding", "metrics-server:system:auth-delegator", "system:auth-delegator"),
        _binding("ClusterRoleBinding", "system:metrics-server", "system:metrics-server"),
        _object("v1", "Service", _NAME, spec=_service_spec()),
        _object("apps/v1", "Deployment", _NAME, spec=_deployment_spec()),
        _object(
            "apiregistration.k8s.io/v1",
            "APIService",
            "v1beta1.metrics.k8s.io",
            False,
            spec=_apiservice_spec(),
        ),
    ]


def in_one_file() -> str:
    return yaml.safe_dump_all(objects())


def _object(version: str, kind: str, name: str, namespaced: bool = True, **rest: object) -> Object:
    metadata: Object = {"name": name, "labels": {"k8s-app": _NAME}}
    if namespaced:
        metadata["namespace"] = _NAMESPACE
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _role(name: str, rules: list[Object], labels: Object | None = None) -> Object:
    made = _object(f"{_RBAC}/v1", "ClusterRole", name, False, rules=rules)
    made["metadata"]["labels"] |= labels or {}
    return made


def _binding(kind: str, name: str, role: str) -> Object:
    namespaced = kind == "RoleBinding"
    role_ref = {"apiGroup": _RBAC, "kind": "Role" if namespaced else "ClusterRole", "name": role}
    return _object(f"{_RBAC}/v1", kind, name, namespaced, roleRef=role_ref, subjects=_SUBJECTS)


def _service_spec() -> Object:
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https", "appProtocol": "https"}
    return {"selector": {"k8s-app": _NAME}, "ports": [port]}


def _apiservice_spec() -> Object:
    return {
        "service": {"name": _NAME, "namespace": _NAMESPACE},
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }


def _deployment_spec() -> Object:
    labels = {"k8s-app": _NAME}
    pod = {
        "serviceAccountName": _NAME,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "volumes": [{"name": "tmp-dir", "emptyDir": {}}],
        "containers": [_container()],
    }
    return {
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }


def _container() -> Object:
    return {
        "name": _NAME,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": list(_ARGUMENTS),
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
        "ports": [{"name": "https", "containerPort": 10250, "protocol": "TCP"}],
        "readinessProbe": {**_probe("/readyz"), "initialDelaySeconds": 20},
        "livenessProbe": _probe("/livez"),
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "allowPrivilegeEscalation": False,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp-dir", "mountPath": "/tmp"}],
    }


def _probe(path: str) -> Object:
    asked = {"path": path, "port": "https", "scheme": "HTTPS"}
    return {"httpGet": asked, "periodSeconds": 10, "failureThreshold": 3}

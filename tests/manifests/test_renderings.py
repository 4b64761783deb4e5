"""What holds for base, for every component, and for each two of them."""

import json
from collections.abc import Sequence
from functools import cache

import pytest
import yaml
from kubernetes_validate import latest_version, validate  # type: ignore[import-untyped]  # ships no types

from pymetrics_server.options import Options, parse
from tests.manifests.rendering import (
    COMPONENTS,
    MANIFESTS,
    OVERLAYS,
    Object,
    container,
    documents,
    identity,
    in_one_file,
    kustomized,
    only,
)

Rendered = tuple[Sequence[str], list[Object]]

OLDEST = "1.26"  # what manifests/README.md promises
LABELS = {"k8s-app": "metrics-server"}
NO_SCHEMA = ("monitoring.coreos.com/v1", "cert-manager.io/v1")
IN_BASE = {
    ("ServiceAccount", "kube-system", "metrics-server"),
    ("ClusterRole", "", "system:metrics-server"),
    ("ClusterRole", "", "system:aggregated-metrics-reader"),
    ("ClusterRoleBinding", "", "system:metrics-server"),
    ("ClusterRoleBinding", "", "metrics-server:system:auth-delegator"),
    ("RoleBinding", "kube-system", "metrics-server-auth-reader"),
    ("Service", "kube-system", "metrics-server"),
    ("Deployment", "kube-system", "metrics-server"),
    ("APIService", "", "v1.metrics.k8s.io"),
    ("APIService", "", "v1beta1.metrics.k8s.io"),
}
ADDED = {
    "high-availability": {("PodDisruptionBudget", "kube-system", "metrics-server")},
    "insecure-kubelet-tls": set(),
    "host-network": set(),
    "monitoring": {
        ("ServiceMonitor", "kube-system", "metrics-server"),
        ("PrometheusRule", "kube-system", "metrics-server"),
        ("ConfigMap", "kube-system", "metrics-server-dashboard"),
        ("ClusterRole", "", "metrics-server:metrics-reader"),
        ("ClusterRole", "", "metrics-server:status-reader"),
    },
    "cert-manager": {
        ("Issuer", "kube-system", "metrics-server-self-signed"),
        ("Issuer", "kube-system", "metrics-server-ca"),
        ("Certificate", "kube-system", "metrics-server-ca"),
        ("Certificate", "kube-system", "metrics-server"),
    },
}


def test_nothing_is_there_but_what_is_listed_and_both_apiservices_go_when_it_is_deleted(
    rendered: Rendered,
) -> None:
    components, found = rendered
    identities = [identity(d) for d in found]
    assert len(set(identities)) == len(identities)
    assert set(identities) == IN_BASE.union(*(ADDED[name] for name in components))


def test_kubernetes_knows_every_field(rendered: Rendered) -> None:
    assert_valid(rendered[1])


def test_kubernetes_knows_every_field_of_the_one_file() -> None:
    assert_valid(documents(in_one_file()))


def assert_valid(found: Sequence[Object]) -> None:
    for document in found:
        if document["apiVersion"] not in NO_SCHEMA:
            _assert_valid(json.dumps(document))


@cache
def _assert_valid(document: str) -> None:
    """By text: most of what is rendered is the same each time, and a look at it takes 50 ms."""
    for version in (OLDEST, latest_version()):
        validate(json.loads(document), version, strict=True)


def test_labels_and_selectors_are_metrics_servers_which_cannot_be_changed_in_place(
    rendered: Rendered,
) -> None:
    _, found = rendered
    assert all(d["metadata"]["labels"].items() >= LABELS.items() for d in found)
    deployment = only(found, "Deployment")["spec"]
    assert deployment["selector"] == {"matchLabels": LABELS}
    assert deployment["template"]["metadata"]["labels"] == LABELS
    assert only(found, "Service")["spec"]["selector"] == LABELS
    for budget in (d for d in found if d["kind"] == "PodDisruptionBudget"):
        assert budget["spec"]["selector"] == {"matchLabels": LABELS}


def test_role_references_are_metrics_servers_which_cannot_be_changed_in_place(rendered: Rendered) -> None:
    bindings = {d["metadata"]["name"]: d for d in rendered[1] if d["kind"].endswith("RoleBinding")}
    assert {name: (d["roleRef"]["kind"], d["roleRef"]["name"]) for name, d in bindings.items()} == {
        "system:metrics-server": ("ClusterRole", "system:metrics-server"),
        "metrics-server:system:auth-delegator": ("ClusterRole", "system:auth-delegator"),
        "metrics-server-auth-reader": ("Role", "extension-apiserver-authentication-reader"),
    }
    account = {"kind": "ServiceAccount", "name": "metrics-server", "namespace": "kube-system"}
    assert all(d["subjects"] == [account] for d in bindings.values())
    pod = only(rendered[1], "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "metrics-server"


def test_rights_are_these_and_no_more(rendered: Rendered) -> None:
    components, found = rendered
    granted = {
        (d["metadata"]["name"], place, verb)
        for d in found
        if d["kind"] in ("ClusterRole", "Role")
        for rule in d["rules"]
        for place in [
            *rule.get("nonResourceURLs", []),
            *(f"{g}:{r}" for g in rule.get("apiGroups", []) for r in rule["resources"]),
        ]
        for verb in rule["verbs"]
    }
    server, reader = "system:metrics-server", "system:aggregated-metrics-reader"
    expected = {
        (server, ":nodes/stats", "get"),
        (server, ":nodes/metrics", "get"),
        *((server, f":{r}", v) for r in ("nodes", "pods") for v in ("list", "watch")),
        *((reader, f"metrics.k8s.io:{r}", v) for r in ("nodes", "pods") for v in ("get", "list", "watch")),
    }
    if "monitoring" in components:
        expected |= {
            ("metrics-server:metrics-reader", "/metrics", "get"),
            ("metrics-server:status-reader", "/statusz", "get"),
            ("metrics-server:status-reader", "/flagz", "get"),
        }
    assert granted == expected


def test_the_way_from_the_apiservices_to_the_listener_has_no_gap(rendered: Rendered) -> None:
    _, found = rendered
    (port,) = only(found, "Service")["spec"]["ports"]
    (container_port,) = container(found)["ports"]
    assert (port["name"], port["port"], port["appProtocol"]) == ("https", 443, "https")
    assert port["targetPort"] == container_port["name"]
    assert options(found).secure_port == container_port["containerPort"]
    for probe in ("readinessProbe", "livenessProbe"):
        asked = container(found)[probe]["httpGet"]
        assert (asked["port"], asked["scheme"]) == (container_port["name"], "HTTPS")
    for version in ("v1", "v1beta1"):
        spec = only(found, "APIService", f"{version}.metrics.k8s.io")["spec"]
        assert (spec["group"], spec["version"]) == ("metrics.k8s.io", version)
        assert spec["service"] == {"name": "metrics-server", "namespace": "kube-system"}  # port 443


def test_every_argument_is_understood_and_only_one_component_trusts_any_kubelet(rendered: Rendered) -> None:
    components, found = rendered
    parsed = options(found)
    assert parsed.kubelet_insecure_tls == ("insecure-kubelet-tls" in components)
    assert not parsed.deprecated_kubelet_completely_insecure
    assert parsed.kubelet_use_node_status_port
    assert parsed.metric_resolution_ns == 15_000_000_000
    flags = [a.partition("=")[0] for a in container(found)["args"]]
    assert len(set(flags)) == len(flags)
    assert [m["mountPath"] for m in container(found)["volumeMounts"]].count(parsed.cert_dir) == 1


def test_every_pod_may_run_where_pod_security_is_restricted(rendered: Rendered) -> None:
    """Kubernetes: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (each of its rows)"""
    components, found = rendered
    pod = only(found, "Deployment")["spec"]["template"]["spec"]
    (alone,) = pod["containers"]
    assert not {"initContainers", "ephemeralContainers", "hostPID", "hostIPC", "securityContext"} & pod.keys()
    assert pod.get("hostNetwork", False) == ("host-network" in components)  # which says so
    assert all("hostPort" not in port for port in alone["ports"])
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "projected", "secret"}
    assert alone["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_base_with_its_components(name: str) -> None:
    folder = MANIFESTS / "overlays" / name
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization["resources"] == ["../../base"]
    assert kustomization["components"] == [f"../../components/{c}" for c in OVERLAYS[name]]
    added = (ADDED[component] for component in OVERLAYS[name])
    assert {identity(d) for d in kustomized(folder)} == IN_BASE.union(*added)


def test_the_readme_says_which_kubernetes_is_needed() -> None:
    assert f"Kubernetes {OLDEST} or newer" in (MANIFESTS / "README.md").read_text()


def test_every_component_and_overlay_is_tested() -> None:
    assert {p.name for p in (MANIFESTS / "components").iterdir()} == set(COMPONENTS)
    assert {p.name for p in (MANIFESTS / "overlays").iterdir()} == set(OVERLAYS)


def options(found: Sequence[Object]) -> Options:
    return parse(container(found)["args"])

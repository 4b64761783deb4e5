"""What a real kube-apiserver says to the manifests.

KUBEBUILDER_ASSETS=/path/to/binaries python -m pytest tests/manifests
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.cluster.real.assets import find_assets
from tests.cluster.real.client import Kubectl
from tests.cluster.real.control_plane import ControlPlane
from tests.manifests.rendering import MANIFESTS, Object, combined, documents, in_one_file, only

NO_ASSETS = "set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
FOREIGN = ("monitoring.coreos.com/v1", "cert-manager.io/v1")  # there, they are CustomResourceDefinitions

#: What cannot be changed in place of what metrics-server's own manifests deploy, and what it takes to be valid.
ORIGINAL = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: metrics-server, namespace: kube-system, labels: {k8s-app: metrics-server}}
spec:
  selector: {matchLabels: {k8s-app: metrics-server}}
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  template:
    metadata: {labels: {k8s-app: metrics-server}}
    spec:
      serviceAccountName: metrics-server
      containers:
        - name: metrics-server
          image: metrics-server:v0.9.0
          args: [--cert-dir=/tmp, --secure-port=10250]
          ports: [{name: https, containerPort: 10250, protocol: TCP}]
          volumeMounts: [{name: tmp-dir, mountPath: /tmp}]
      volumes: [{name: tmp-dir, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system, labels: {k8s-app: metrics-server}}
spec:
  selector: {k8s-app: metrics-server}
  ports: [{name: https, port: 443, protocol: TCP, targetPort: https, appProtocol: https}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:metrics-server}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:metrics-server}
subjects: [{kind: ServiceAccount, name: metrics-server, namespace: kube-system}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  service: {name: metrics-server, namespace: kube-system}
  group: metrics.k8s.io
  version: v1beta1
  insecureSkipTLSVerify: true
  groupPriorityMinimum: 100
  versionPriority: 100
"""
RESTRICTED = """
apiVersion: v1
kind: Namespace
metadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}}
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(name="kubectl", scope="module")
def _kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    assets = find_assets()
    if assets is None:
        pytest.skip(NO_ASSETS)
    control_plane = ControlPlane(assets, tmp_path_factory.mktemp("control-plane"))
    try:
        control_plane.start()
        yield control_plane.kubectl
    finally:
        control_plane.stop()


@pytest.fixture(autouse=True)
def _nothing_deployed(kubectl: Kubectl) -> Iterator[None]:
    yield
    kubectl("delete", "--ignore-not-found", "-f", "-", stdin=in_one_file())


def apply(kubectl: Kubectl, found: Sequence[Object], *flags: str) -> str:
    known = [d for d in found if d["apiVersion"] not in FOREIGN]
    return kubectl("apply", "--validate=strict", *flags, "-f", "-", stdin=yaml.safe_dump_all(known))


def test_every_object_is_accepted(kubectl: Kubectl, rendered: tuple[Sequence[str], list[Object]]) -> None:
    apply(kubectl, rendered[1], "--dry-run=server")


def test_the_one_file_takes_the_place_of_metrics_server_and_gives_it_back(kubectl: Kubectl) -> None:
    apply(kubectl, documents(ORIGINAL))
    told = kubectl("apply", "-f", str(MANIFESTS / "components.yaml"))
    assert "deployment.apps/metrics-server configured" in told
    image = "jsonpath={.spec.template.spec.containers[*].image}"
    where = ("-n", "kube-system", "get", "deployment", "metrics-server", "-o", image)
    assert kubectl(*where).startswith("pymetrics-server:")
    apply(kubectl, documents(ORIGINAL))
    assert kubectl(*where) == "metrics-server:v0.9.0"


def test_what_was_applied_is_deleted_whole(kubectl: Kubectl) -> None:
    everything = ("get", "-A", "-l", "k8s-app=metrics-server", "-o", "name")
    kinds = "serviceaccounts,services,deployments,clusterroles,clusterrolebindings,rolebindings,apiservices"
    kubectl("apply", "-k", str(MANIFESTS / "base"))
    assert len(kubectl(*everything, kinds).splitlines()) == 10
    kubectl("delete", "-k", str(MANIFESTS / "base"))
    assert kubectl(*everything, kinds) == ""


def test_a_namespace_that_enforces_restricted_takes_the_pod_but_not_one_in_its_nodes_network(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    kubectl("apply", "-f", "-", stdin=RESTRICTED)
    host = tmp_path / "host"
    host.mkdir()
    every = ("high-availability", "insecure-kubelet-tls", "monitoring", "cert-manager")
    for components, folder, taken in ((every, tmp_path, True), (("host-network",), host, False)):
        pod = only(combined(components, folder), "Deployment")["spec"]["template"]
        pod = {**pod, "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "m", "namespace": "restricted"}}
        done = kubectl.run("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
        assert (done.returncode == 0) == taken, done.stderr
        assert taken or "violates PodSecurity" in done.stderr


def test_who_comes_back_from_a_verified_certificate_must_delete_the_apiservices_first(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    apply(kubectl, documents(in_one_file()))
    apply(kubectl, combined(("cert-manager",), tmp_path))
    names = ["v1.metrics.k8s.io", "v1beta1.metrics.k8s.io"]
    for name in names:  # as cert-manager's cainjector does
        kubectl("patch", "apiservice", name, "--type=merge", "-p", '{"spec": {"caBundle": "bm8gQ0E="}}')
    back = kubectl.run("apply", "-f", str(MANIFESTS / "components.yaml"))
    assert "insecureSkipTLSVerify" in back.stderr
    kubectl("delete", "apiservice", *names)
    kubectl("apply", "-f", str(MANIFESTS / "components.yaml"))

"""What is applied to a cluster: valid, one with manifests/base, and named as by metrics-server's own chart."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from pymetrics_server.options import parse
from tests.chart.rendering import (
    CHART,
    VALUES,
    Object,
    container_of,
    helm,
    needs_helm,
    of_kind,
    pod_of,
    rendered,
    the,
    values_file,
)

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="needs: pip install kubernetes-validate"
)

pytestmark = needs_helm

BASE = CHART.parent / "base"
_CUSTOM = {"Certificate", "Issuer", "ServiceMonitor"}
_EACH = [pytest.param([], id="defaults"), *(pytest.param([path], id=path.stem) for path in VALUES)]


def base() -> list[Object]:
    texts = (path.read_text() for path in sorted(BASE.glob("*.yaml")))
    documents = [d for text in texts for d in yaml.safe_load_all(text) if d]
    return [d for d in documents if d["kind"] != "Kustomization"]


def names(objects: Sequence[Object]) -> set[tuple[str, str, str]]:
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}


def check(objects: Sequence[Object], kubernetes: str) -> None:
    for found in objects:
        if found["kind"] in _CUSTOM:
            assert found["spec"]
        else:
            kubernetes_validate.validate(found, kubernetes, strict=True)
    assert len(names(objects)) == len(objects)


@pytest.mark.parametrize("values", _EACH)
def test_helm_lint_finds_nothing(values: list[Path]) -> None:
    done = helm("lint", "--strict", str(CHART), *(f"--values={path}" for path in values))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", _EACH)
def test_every_object_is_valid(values: list[Path]) -> None:
    check(rendered(values=values), "1.36")


def test_an_older_kubernetes_gets_no_field_that_it_does_not_know() -> None:
    check(rendered(values=[values_file("everything")], kubernetes="1.25.0"), "1.25")


@pytest.mark.parametrize("values", _EACH)
def test_the_way_to_the_server_is_one_from_the_apiservice_to_its_flags(values: list[Path]) -> None:
    objects = rendered(values=values)
    service, container, deployment = (
        the(objects, "Service"),
        container_of(objects),
        the(objects, "Deployment"),
    )
    ((entry,), (port,)) = service["spec"]["ports"], container["ports"]
    assert parse(container["args"]).secure_port == port["containerPort"]
    assert entry["targetPort"] == port["name"] == "https"
    assert {container[p]["httpGet"]["port"] for p in ("livenessProbe", "readinessProbe")} == {"https"}
    pods = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pods
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pods
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod_of(objects)["volumes"]}
    for registered in of_kind(objects, "APIService"):
        asked = registered["spec"]["service"]
        assert (asked["name"], asked["namespace"]) == tuple(
            service["metadata"][k] for k in ("name", "namespace")
        )
        assert asked["port"] == entry["port"]


@pytest.mark.parametrize("values", _EACH)
def test_roles_are_bound_to_the_account_that_the_pods_have(values: list[Path]) -> None:
    objects = rendered(values=values)
    account = pod_of(objects)["serviceAccountName"]
    namespace = the(objects, "Deployment")["metadata"]["namespace"]
    for binding in (*of_kind(objects, "ClusterRoleBinding"), *of_kind(objects, "RoleBinding")):
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account, namespace)
    for made in of_kind(objects, "ServiceAccount"):
        assert (made["metadata"]["name"], made["metadata"]["namespace"]) == (account, namespace)


def test_the_default_pod_is_that_of_the_plain_manifests() -> None:
    ours, plain = container_of(objects := rendered()), container_of(base())
    assert parse(ours["args"]) == parse(plain["args"])
    assert ours.keys() == plain.keys()
    for key in plain.keys() - {"args", "volumeMounts"}:
        assert ours[key] == plain[key], key
    assert [m["mountPath"] for m in ours["volumeMounts"]] == [m["mountPath"] for m in plain["volumeMounts"]]
    pod, plain_pod = pod_of(objects), pod_of(base())
    assert pod.keys() == plain_pod.keys()
    for key in plain_pod.keys() - {"containers", "volumes"}:
        assert pod[key] == plain_pod[key], key
    assert [{**v, "name": ""} for v in pod["volumes"]] == [{**v, "name": ""} for v in plain_pod["volumes"]]
    strategies = [the(o, "Deployment")["spec"]["strategy"] for o in (objects, base())]
    assert strategies[0] == strategies[1]


def test_the_default_service_and_registrations_are_those_of_the_plain_manifests() -> None:
    ours, plain = rendered(), base()
    assert the(ours, "Service")["spec"]["ports"] == the(plain, "Service")["spec"]["ports"]
    specs = [
        {o["metadata"]["name"]: o["spec"] for o in of_kind(objects, "APIService")}
        for objects in (ours, plain)
    ]
    for spec in specs[1].values():
        spec["service"].setdefault("port", 443)
    assert specs[0] == specs[1]


def test_the_default_rights_are_those_of_the_plain_manifests() -> None:
    def rights(objects: list[Object]) -> list[Object]:
        roles = [role["rules"] for role in of_kind(objects, "ClusterRole")]
        return sorted(roles, key=str)

    def bound(objects: list[Object]) -> list[Object]:
        kinds = ("ClusterRoleBinding", "RoleBinding")
        found = (binding for kind in kinds for binding in of_kind(objects, kind))
        return sorted(({"to": b["roleRef"], "who": b["subjects"]} for b in found), key=str)

    ours, plain = rendered(), base()
    assert rights(ours) == rights(plain)
    assert bound(ours) == bound(plain)
    assert {o["kind"] for o in ours} == {o["kind"] for o in plain}
    assert len(ours) == len(plain)


@pytest.mark.parametrize(
    ("release", "full"), [("metrics-server", "metrics-server"), ("ours", "ours-metrics-server")]
)
def test_objects_have_the_names_of_metrics_servers_chart(release: str, full: str) -> None:
    assert names(rendered(release=release)) == {
        ("APIService", "", "v1.metrics.k8s.io"),
        ("APIService", "", "v1beta1.metrics.k8s.io"),
        ("ClusterRole", "", f"system:{full}"),
        ("ClusterRole", "", f"system:{full}-aggregated-reader"),
        ("ClusterRoleBinding", "", f"system:{full}"),
        ("ClusterRoleBinding", "", f"{full}:system:auth-delegator"),
        ("Deployment", "kube-system", full),
        ("RoleBinding", "kube-system", f"{full}-auth-reader"),
        ("Service", "kube-system", full),
        ("ServiceAccount", "kube-system", full),
    }


def test_the_immutable_selector_is_that_of_metrics_servers_chart() -> None:
    selector = {"app.kubernetes.io/name": "metrics-server", "app.kubernetes.io/instance": "ours"}
    deployment = the(rendered(release="ours"), "Deployment")
    assert deployment["spec"]["selector"]["matchLabels"] == selector
    assert deployment["spec"]["template"]["metadata"]["labels"] == selector
    assert container_of([deployment])["name"] == "metrics-server"


def test_labels_tell_which_chart_and_version_this_is() -> None:
    for found in rendered("--set=commonLabels.team=platform"):
        labels = found["metadata"]["labels"]
        assert labels["helm.sh/chart"].startswith("pymetrics-server-")
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["team"] == "platform"


def test_metrics_servers_own_defaults_change_only_how_soon_probes_begin() -> None:
    """A values file is merged over the defaults: its empty node selector does not take ours away."""
    ours, theirs = rendered(), rendered(values=[values_file("metrics-server-defaults")])
    assert container_of(theirs)["readinessProbe"].pop("initialDelaySeconds") == 20
    assert container_of(theirs)["livenessProbe"].pop("initialDelaySeconds") == 0
    del container_of(ours)["readinessProbe"]["initialDelaySeconds"]
    assert ours == theirs


def test_on_the_nodes_network_the_old_pod_leaves_the_port_to_the_new_one() -> None:
    objects = rendered(values=[values_file("host-network")])
    strategy = the(objects, "Deployment")["spec"]["strategy"]
    assert strategy == {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    assert pod_of(objects)["hostNetwork"] is True


def test_a_certificate_of_helm_is_proven_by_the_bundle_it_comes_with() -> None:
    objects = rendered(values=[values_file("helm-tls")])
    secret = the(objects, "Secret")
    bundles = [o["spec"]["caBundle"] for o in of_kind(objects, "APIService")]
    assert bundles == [secret["data"]["tls.crt"]] * 2
    certificate = x509.load_pem_x509_certificate(base64.b64decode(bundles[0]))
    hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(hosts.get_values_for_type(x509.DNSName)) == {
        "metrics-server.kube-system.svc",
        "metrics-server.kube-system",
        "metrics-server.kube-system.svc.cluster.example",
    }
    (volume,) = (v for v in pod_of(objects)["volumes"] if "secret" in v)
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert parse(container_of(objects)["args"]).tls_cert_file == "/tmp/tls-certs/tls.crt"


def test_without_a_cluster_to_look_into_helm_makes_a_new_certificate_each_time() -> None:
    """What renders the chart without one has to use another tls.type."""
    first, second = (
        helm("template", "ours", str(CHART), f"--values={values_file('helm-tls')}").stdout for _ in range(2)
    )
    assert "tls.crt" in first
    assert first != second


def test_cert_manager_is_told_what_to_make_and_where_to_put_its_ca() -> None:
    objects = rendered(values=[values_file("cert-manager")])
    certificate, issuer = the(objects, "Certificate"), the(objects, "Issuer")
    assert certificate["spec"]["issuerRef"]["name"] == issuer["metadata"]["name"] == "metrics-server-issuer"
    assert certificate["spec"]["secretName"] == "metrics-server"
    assert "metrics-server.kube-system.svc" in certificate["spec"]["dnsNames"]
    for registered in of_kind(objects, "APIService"):
        annotations = registered["metadata"]["annotations"]
        assert annotations["cert-manager.io/inject-ca-from"] == "kube-system/metrics-server"
        assert registered["spec"].keys().isdisjoint({"caBundle", "insecureSkipTLSVerify"})


def test_kube_apiserver_is_never_told_to_skip_the_proof_that_cert_manager_brings() -> None:
    """kube-apiserver takes no CA bundle where it skips the proof, and to skip it is the default."""
    for registered in of_kind(rendered("--set=tls.type=cert-manager"), "APIService"):
        assert "cert-manager.io/inject-ca-from" in registered["metadata"]["annotations"]
        assert "insecureSkipTLSVerify" not in registered["spec"]


def test_without_its_injector_cert_manager_leaves_the_choice_between_skipping_and_a_bundle() -> None:
    given = ("--set=tls.type=cert-manager", "--set=tls.certManager.addInjectorAnnotations=false", "--set=apiService.caBundle=pem")  # fmt: skip
    for skips in (True, False):
        objects = rendered(*given, f"--set=apiService.insecureSkipTLSVerify={str(skips).lower()}")
        for registered in of_kind(objects, "APIService"):
            assert ("insecureSkipTLSVerify" in registered["spec"]) is skips
            assert ("caBundle" in registered["spec"]) is not skips


def test_an_issuer_that_is_there_is_used() -> None:
    objects = rendered(values=[values_file("existing-issuer")])
    issuer = {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "ours"}
    assert the(objects, "Certificate")["spec"]["issuerRef"] == issuer
    assert of_kind(objects, "Issuer") == []


def test_a_secret_that_is_there_is_served_and_proven_by_the_given_bundle() -> None:
    objects = rendered(values=[path := values_file("existing-secret")])
    (volume,) = (v for v in pod_of(objects)["volumes"] if "secret" in v)
    assert volume["secret"]["secretName"] == "serving"
    given = yaml.safe_load(path.read_text())["apiService"]["caBundle"]
    bundles = {base64.b64decode(o["spec"]["caBundle"]).decode() for o in of_kind(objects, "APIService")}
    assert bundles == {given}
    assert of_kind(objects, "Secret") == []


def test_opening_metrics_keeps_the_probes_open() -> None:
    """They do not depend on kube-apiserver, which would be asked about paths that are not always allowed."""
    objects = rendered(values=[values_file("monitoring")])
    allowed = parse(container_of(objects)["args"]).authorization_always_allow_paths
    assert set(allowed) == {*parse([]).authorization_always_allow_paths, "/metrics"}
    monitor = the(objects, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert (
        monitor["spec"]["selector"]["matchLabels"].items()
        <= the(objects, "Service")["metadata"]["labels"].items()
    )


def test_what_is_switched_off_is_not_there() -> None:
    objects = rendered(values=[values_file("nothing-created")])
    assert {o["kind"] for o in objects} == {"Deployment", "Service"}
    assert pod_of(objects)["serviceAccountName"] == "theirs"


def test_every_value_reaches_its_place() -> None:
    given = yaml.safe_load((path := values_file("everything")).read_text())
    objects = rendered(values=[path])
    deployment, pod, container = the(objects, "Deployment"), pod_of(objects), container_of(objects)
    for value, place in {
        "imagePullSecrets": pod["imagePullSecrets"],
        "podSecurityContext": pod["securityContext"],
        "hostUsers": pod["hostUsers"],
        "priorityClassName": pod["priorityClassName"],
        "affinity": pod["affinity"],
        "tolerations": pod["tolerations"],
        "topologySpreadConstraints": pod["topologySpreadConstraints"],
        "dnsConfig": pod["dnsConfig"],
        "schedulerName": pod["schedulerName"],
        "containerPort": container["ports"][0]["containerPort"],
        "replicas": deployment["spec"]["replicas"],
        "revisionHistoryLimit": deployment["spec"]["revisionHistoryLimit"],
        "updateStrategy": deployment["spec"]["strategy"],
        "deploymentAnnotations": deployment["metadata"]["annotations"],
        "podAnnotations": deployment["spec"]["template"]["metadata"]["annotations"],
    }.items():
        assert place == given[value], value
    assert container["image"] == "images.example/pymetrics-server:1.2.3"
    assert container["args"][-2:] == given["args"]
    assert container["securityContext"]["runAsUser"] == 65534
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert pod["nodeSelector"]["example.com/pool"] == "system"
    assert given["podLabels"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert {v["name"] for v in pod["volumes"]} == {"tmp", "certs", "kubelet-ca"}
    assert the(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 0
    assert the(objects, "Service")["spec"]["type"] == "NodePort"
    assert the(objects, "ServiceAccount")["secrets"] == given["serviceAccount"]["secrets"]
    assert the(objects, "APIService")["metadata"]["name"] == "v1beta1.metrics.k8s.io"
    elsewhere = {o["metadata"]["namespace"] for o in objects if "namespace" in o["metadata"]}
    assert elsewhere == {"elsewhere", "kube-system"}
    (endpoint,) = the(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint.items() >= {k: given["serviceMonitor"][k] for k in ("interval", "scrapeTimeout")}.items()


def test_an_alias_of_a_parent_chart_names_the_objects(tmp_path: Path) -> None:
    """Depending on it as `metrics-server` keeps the values' place and every name."""
    parent = {"apiVersion": "v2", "name": "platform", "version": "1.0.0"}
    one = {"name": "pymetrics-server", "version": "*", "repository": "", "alias": "metrics-server"}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump({**parent, "dependencies": [one]}))
    (tmp_path / "values.yaml").write_text(
        yaml.safe_dump({"metrics-server": {"enabled": True, "replicas": 2}})
    )
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "pymetrics-server").symlink_to(CHART)
    done = helm("template", "platform", str(tmp_path))
    assert done.returncode == 0, done.stderr
    deployment = the([d for d in yaml.safe_load_all(done.stdout) if d], "Deployment")
    assert deployment["metadata"]["name"] == "platform-metrics-server"
    assert deployment["spec"]["replicas"] == 2

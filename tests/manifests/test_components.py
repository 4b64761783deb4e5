"""What each component is there for."""

from pathlib import Path

import pytest

from pymetrics_server.options import parse
from tests.manifests.rendering import Object, combined, container, only

KUBELETS_PORT = 10250


@pytest.fixture(name="production")
def _production(tmp_path: Path) -> list[Object]:
    return combined(("high-availability", "monitoring", "cert-manager"), tmp_path)


def test_two_replicas_roll_on_two_nodes_while_one_of_them_serves(tmp_path: Path) -> None:
    found = combined(("high-availability",), tmp_path)
    spec = only(found, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    (apart,) = spec["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"] == spec["selector"]
    budget = only(found, "PodDisruptionBudget")["spec"]
    assert (budget["minAvailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert budget["selector"] == spec["selector"]
    assert parse(container(found)["args"]).shutdown_delay_duration_ns == 5_000_000_000


def test_in_its_nodes_network_it_keeps_off_the_kubelets_port_and_two_never_want_the_same_one(
    tmp_path: Path,
) -> None:
    found = combined(("host-network",), tmp_path)
    pod = only(found, "Deployment")["spec"]["template"]["spec"]
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    (port,) = container(found)["ports"]
    assert port["containerPort"] != KUBELETS_PORT
    strategy = only(found, "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


def test_kube_apiserver_verifies_the_certificate_that_cert_manager_has_issued(
    production: list[Object],
) -> None:
    certificate = only(production, "Certificate")["spec"]
    assert "metrics-server.kube-system.svc" in certificate["dnsNames"]
    assert "server auth" in certificate["usages"]
    for version in ("v1", "v1beta1"):
        service = only(production, "APIService", f"{version}.metrics.k8s.io")
        assert service["metadata"]["annotations"] == {
            "cert-manager.io/inject-ca-from": "kube-system/metrics-server"
        }
        assert "insecureSkipTLSVerify" not in service["spec"]


def test_the_issued_pair_is_the_one_that_is_served(production: list[Object]) -> None:
    secret = only(production, "Certificate")["spec"]["secretName"]
    pod = only(production, "Deployment")["spec"]["template"]["spec"]
    (volume,) = (v for v in pod["volumes"] if v.get("secret") == {"secretName": secret})
    (mount,) = (m for m in container(production)["volumeMounts"] if m["name"] == volume["name"])
    assert mount["readOnly"]
    options = parse(container(production)["args"])
    assert options.tls_cert_file == f"{mount['mountPath']}/tls.crt"
    assert options.tls_private_key_file == f"{mount['mountPath']}/tls.key"


def test_what_is_served_may_be_renewed_without_a_new_ca(production: list[Object]) -> None:
    issuers = {d["metadata"]["name"]: d["spec"] for d in production if d["kind"] == "Issuer"}
    served, ca = (
        only(production, "Certificate", name)["spec"] for name in ("metrics-server", "metrics-server-ca")
    )
    assert issuers[served["issuerRef"]["name"]] == {"ca": {"secretName": ca["secretName"]}}
    assert issuers[ca["issuerRef"]["name"]] == {"selfSigned": {}}
    assert ca["isCA"]
    assert ca["commonName"]
    assert served["secretName"] != ca["secretName"]
    assert {c["issuerRef"]["kind"] for c in (served, ca)} == {"Issuer"}


def test_prometheus_scrapes_the_services_port_with_its_token(tmp_path: Path) -> None:
    found = combined(("monitoring",), tmp_path)
    monitor = only(found, "ServiceMonitor")["spec"]
    service = only(found, "Service")
    assert monitor["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert monitor["namespaceSelector"] == {"matchNames": [service["metadata"]["namespace"]]}
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert (endpoint["scheme"], endpoint["path"]) == ("https", "/metrics")
    assert endpoint["bearerTokenFile"]
    assert endpoint["tlsConfig"] == {"insecureSkipVerify": True}
    # What the alerts call the job.
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "metrics-server"


def test_with_a_certificate_prometheus_verifies_whom_it_shows_its_token(production: list[Object]) -> None:
    (endpoint,) = only(production, "ServiceMonitor")["spec"]["endpoints"]
    certificate = only(production, "Certificate")["spec"]
    assert endpoint["tlsConfig"]["ca"]["secret"] == {"name": certificate["secretName"], "key": "ca.crt"}
    assert endpoint["tlsConfig"]["serverName"] in certificate["dnsNames"]
    assert "insecureSkipVerify" not in endpoint["tlsConfig"]

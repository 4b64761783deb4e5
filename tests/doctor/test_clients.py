"""What is said of the kubectl that stands beside the doctor."""

import pytest

from pymetrics_server.doctor.checks.clients import clients
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, State
from tests.doctor.seen import seen


def only(evidence: Evidence) -> Finding:
    (found,) = clients(evidence)
    return found


def test_a_kubectl_of_this_clusters_time_is_healthy() -> None:
    assert only(seen()).seen == "kubectl v1.36.2 asks metrics.k8s.io"


@pytest.mark.parametrize("version", ["v1.9.3", "v1.8.0-rc.1"])
def test_a_kubectl_before_1_10_asks_heapster(version: str) -> None:
    found = only(seen(kubectl_version=version))
    assert (found.id, found.state) == ("kubectl-asks-heapster", State.SICK)
    assert found.seen == f"kubectl is {version}"
    assert found.cure == "install a kubectl within one minor version of v1.36.2"


def test_a_kubectl_before_1_10_is_told_without_the_servers_version_too() -> None:
    found = only(seen({Asked.VERSION: 403}, kubectl_version="v1.9.3"))
    assert found.cure == "install a kubectl within one minor version of kube-apiserver"


@pytest.mark.parametrize("version", ["v1.34.9", "v1.38.0", "v2.0.0"])
def test_a_kubectl_of_another_time_is_a_warning(version: str) -> None:
    found = only(seen(kubectl_version=version))
    assert (found.id, found.state) == ("kubectl-skew", State.WARNING)
    assert found.seen == f"kubectl is {version} and kube-apiserver v1.36.2"


@pytest.mark.parametrize("version", ["v1.35.0", "v1.37.1", "v1.36.2-eks-ba74326"])
def test_one_minor_version_apart_is_supported(version: str) -> None:
    assert only(seen(kubectl_version=version)).state is State.HEALTHY


def test_no_kubectl_is_unseen_and_beside_the_server_none_is_missed() -> None:
    assert only(seen(kubectl_version="")).state is State.UNSEEN
    assert only(seen(kubectl_version="", in_pod=True)).state is State.HEALTHY


def test_where_kube_apiservers_version_is_not_known_nothing_is_compared() -> None:
    assert only(seen({Asked.VERSION: 403})).state is State.HEALTHY

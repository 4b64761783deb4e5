"""What is misspelt, of the wrong type or not supported is refused with a sentence, before anything is changed."""

import pytest

from tests.chart.rendering import needs_helm, refused, rendered, values_file

pytestmark = needs_helm

_MISSPELT = {
    "replcas=2": "Additional property replcas is not allowed",
    "image.repo=x": "Additional property repo is not allowed",
    "tls.certmanager.duration=1h": "Additional property certmanager is not allowed",
}
_WRONG = {
    "replicas=two": "replicas",
    "containerPort=70000": "containerPort",
    "args=--kubelet-insecure-tls": "args",
    "metrics.enabled=maybe": "metrics.enabled",
    "tls.type=letsencrypt": "tls.type",
    "image.pullPolicy=Sometimes": "image.pullPolicy",
    "podLabels.a=true": "podLabels.a",
}
_UNSUPPORTED = {
    "addonResizer.enabled=true": "addonResizer.enabled is not supported: this chart runs no addon resizer",
    "rbac.pspEnabled=true": "rbac.pspEnabled is not supported: PodSecurityPolicy left Kubernetes in 1.25",
    "image.repository=mirror.example/metrics-server/metrics-server": "is another program's: set it to where",
    "hostNetwork.enabled=true": "hostNetwork.enabled needs another containerPort than 10250",
    "serviceMonitor.enabled=true": "serviceMonitor.enabled needs metrics.enabled",
    "tls.type=helm": "apiService.insecureSkipTLSVerify must be false with tls.type helm",
    "apiService.caBundle=pem": "apiService.insecureSkipTLSVerify must be false",
}


@pytest.mark.parametrize("value", _MISSPELT)
def test_a_misspelt_value_is_named(value: str) -> None:
    assert _MISSPELT[value] in refused("--set", value)


@pytest.mark.parametrize("value", _WRONG)
def test_a_value_of_the_wrong_type_is_named(value: str) -> None:
    said = refused("--set", value)
    assert "values don't meet the specifications of the schema" in said
    assert f"- {_WRONG[value]}: " in said


@pytest.mark.parametrize("value", _UNSUPPORTED)
def test_a_value_that_cannot_do_what_it_says_is_refused_with_one_sentence(value: str) -> None:
    said = refused("--set", value)
    assert _UNSUPPORTED[value] in said
    assert "nil pointer" not in said


@pytest.mark.parametrize(
    "left_out", ["hostUsers", "revisionHistoryLimit", "apiService.v1", "nodeSelector", "tls.helm"]
)
def test_a_default_that_is_taken_away_is_as_if_it_were_empty(left_out: str) -> None:
    rendered(f"--set={left_out}=null", values=[values_file("metrics-server-defaults")])

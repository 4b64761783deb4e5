"""What is pasted goes to the cluster that was looked at."""

import pytest

from pymetrics_server.doctor.finding import Finding, Report, Stage, State, Verdict
from pymetrics_server.doctor.pasting import at_cluster


def cure_at(cure: str, kubeconfig: str = "/tmp/my config", context: str = "") -> str:
    finding = Finding("x", Stage.NODES, State.SICK, "seen", cure=cure)
    report = at_cluster(
        Report(Verdict(State.SICK, "x", "seen", cure=cure), [finding], "", ""), kubeconfig, context
    )
    assert report.verdict.cure == report.findings[0].cure
    return report.verdict.cure


@pytest.mark.parametrize(
    ("cure", "pasted"),
    [
        ("kubectl cluster-info", "kubectl --kubeconfig '/tmp/my config' cluster-info"),
        (
            "kubectl create clusterrole a && kubectl create clusterrolebinding b",
            "kubectl --kubeconfig '/tmp/my config' create clusterrole a && kubectl --kubeconfig '/tmp/my config' create clusterrolebinding b",
        ),
        (
            "ask; `kubectl auth whoami` tells",
            "ask; `kubectl --kubeconfig '/tmp/my config' auth whoami` tells",
        ),
        ("edit it: kubectl -n a edit b", "edit it: kubectl --kubeconfig '/tmp/my config' -n a edit b"),
        (
            "pymetrics-server doctor pod a/b",
            "pymetrics-server doctor --kubeconfig '/tmp/my config' pod a/b",
        ),
        (
            "pymetrics-server certs inspect configmap:a/b",
            "pymetrics-server certs inspect --kubeconfig '/tmp/my config' configmap:a/b",
        ),
    ],
)
def test_commands_take_the_kubeconfig_that_was_named(cure: str, pasted: str) -> None:
    assert cure_at(cure) == pasted


@pytest.mark.parametrize(
    "cure",
    [
        "",
        "install a kubectl within one minor version of v1.36.2",
        "pymetrics-server certs inspect 10.0.0.11:10250",
        "pymetrics-server certs aggregator --out /etc/kubernetes/aggregator",
        "on the node: timedatectl status",
    ],
)
def test_what_asks_no_cluster_stays(cure: str) -> None:
    assert cure_at(cure, context="prod") == cure


def test_what_runs_in_the_pod_needs_no_kubeconfig_there() -> None:
    cure = "kubectl -n a exec deploy/b -- pymetrics-server doctor"
    assert cure_at(cure) == f"kubectl --kubeconfig '/tmp/my config' {cure.removeprefix('kubectl ')}"


def test_a_context_that_was_named_goes_along() -> None:
    assert cure_at("kubectl get nodes", "", "prod") == "kubectl --context prod get nodes"
    assert cure_at("kubectl get nodes", "/a", "prod") == "kubectl --kubeconfig /a --context prod get nodes"


def test_where_nothing_was_named_kubectl_finds_the_same_by_itself() -> None:
    assert cure_at("kubectl get nodes", "", "") == "kubectl get nodes"

"""What real kubelets answered, from 2016 to today: each file is decoded whole, or refused by name."""

import itertools
import os
from pathlib import Path

import pytest

from pymetrics_server.errors import DecodeError, FailureClass
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.meta.usage import MILLISECONDS_NS, NO_RATE, WHOLE_SECONDS_NS, NodeSample

HERE = Path(__file__).parents[1] / "payloads"
SWEPT = Path(os.environ.get("PAYLOADS") or Path(__file__).parents[3] / "shared" / "payloads")

Counted = tuple[int, int, int]  # nodes, pods, containers
SUMMARIES: dict[str, Counted | FailureClass] = {
    "aks-containerd-2023-scrape1-msft.json": (1, 10, 18),
    "aks-containerd-2023-scrape2-msft.json": (1, 10, 18),
    "docker-2016-stopped-pod-telegraf.json": (1, 1, 1),
    "docker-2018-no-pod-cpu-mem-newrelic.json": (1, 2, 3),
    "eks-docker-2018-no-timestamps-splunk.json": (0, 0, 0),
    "eks-docker-2018-redacted-splunk.json": (1, 1, 1),
    "eks-docker-2020-pod-without-cpu-honeycomb.json": (1, 11, 12),
    "eks-docker-2020-pod-without-cpu-mem-honeycomb.json": (1, 11, 12),
    "eks-windows-2020-datadog.json": (1, 1, 1),
    "gke-2025-controlplane-podstats-FRAGMENT-k8s-stackdriver.json": FailureClass.PARSE_ERROR,
    "gke-docker-2016-k8s-stackdriver.json": (1, 1, 2),
    "gke-docker-2019-datadog.json": (1, 10, 17),
    "kind-containerd-v1.24-six-pods-zero-newrelic.json": (1, 16, 16),
    "kind-containerd-v1.27-multi-container-newrelic.json": (1, 23, 27),
    "kind-v1.17-edited-odd-pods-metrics-server.json": (1, 1, 1),
    "kind-v1.17.0-control-plane-metrics-server.json": (1, 1, 1),
    "minikube-containerd-v1.28-first-swap-newrelic.json": (1, 18, 23),
    "minikube-containerd-v1.30-zero-pod-newrelic.json": (1, 19, 19),
    "minikube-containerd-v1.33-newrelic.json": (1, 17, 17),
    "minikube-containerd-v1.34-psi-full-newrelic.json": (1, 18, 18),
    "minikube-containerd-v1.34.0-psi-newrelic.json": (1, 17, 17),
    "minikube-containerd-v1.35-psi-newrelic.json": (1, 17, 17),
    "minikube-docker-2018-newrelic.json": (1, 8, 12),
    "minikube-docker-2020-otel.json": (1, 9, 9),
    "minikube-docker-v1.15-duplicate-containers-newrelic.json": (1, 14, 14),
    "minikube-docker-v1.17-zero-pod-newrelic.json": (1, 15, 15),
    "minikube-docker-v1.19-containers-null-newrelic.json": (1, 15, 15),
    "minikube-docker-v1.20-node-zero-containers-null-newrelic.json": (0, 15, 15),
    "minikube-docker-v1.23-all-pods-zero-newrelic.json": (1, 17, 17),
}
RESOURCES: dict[str, Counted] = {
    "kind-2024-worker-awx-songleo.txt": (1, 9, 12),
    "simulated-no-pod-no-starttime-kepler.txt": (1, 2, 2),
    "swap-v1.28-uint64-underflow-FRAGMENT-kep2400.txt": (0, 0, 0),
    "v1.21-70pods-no-starttime-metrics-server.txt": (1, 70, 70),
}


def counted(sample: NodeSample) -> Counted:
    containers = len(sample.layout.containers)
    columns = (
        sample.time_ns,
        sample.start_ns,
        sample.cpu_ns,
        sample.memory_bytes,
        sample.usage_nanocores,
    )
    assert {len(column) for column in columns} == {containers}
    assert sample.layout.first[-1] == containers
    assert len(sample.layout.first) == len(sample.layout.pods) + 1
    assert len(set(sample.layout.pods)) == len(sample.layout.pods)
    assert 0 not in sample.cpu_ns
    assert 0 not in sample.memory_bytes
    return int(sample.node is not None), len(sample.layout.pods), containers


def swept(kind: str, name: str) -> bytes:
    path = SWEPT / kind / name
    if not path.exists():
        pytest.skip(f"no recorded payloads in {SWEPT}: set PAYLOADS to their folder")
    return path.read_bytes()


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_of_the_field_decodes_or_is_refused_by_name(name: str) -> None:
    body, expected = swept("summary", name), SUMMARIES[name]
    if isinstance(expected, FailureClass):
        with pytest.raises(DecodeError) as raised:
            decode_summary(body)
        assert raised.value.failure is expected
        return
    sample = decode_summary(body)
    assert counted(sample) == expected
    assert sample.stamp_ns == WHOLE_SECONDS_NS


@pytest.mark.parametrize("name", RESOURCES)
def test_a_resource_page_of_the_field_decodes(name: str) -> None:
    sample = decode_resource(swept("resource", name), 0)
    assert counted(sample) == RESOURCES[name]
    assert sample.stamp_ns == MILLISECONDS_NS


@pytest.mark.parametrize(("kind", "known"), [("summary", SUMMARIES), ("resource", RESOURCES)])
def test_no_recorded_payload_is_without_an_expectation(kind: str, known: dict[str, object]) -> None:
    folder = SWEPT / kind
    if not folder.is_dir():
        pytest.skip(f"no recorded payloads in {SWEPT}: set PAYLOADS to their folder")
    assert {p.name for p in folder.iterdir()} == set(known)


def test_of_a_container_listed_twice_the_higher_counter_is_kept() -> None:
    sample = decode_summary(swept("summary", "minikube-docker-v1.15-duplicate-containers-newrelic.json"))
    assert all(len(set(of_pod)) == len(of_pod) for of_pod in _names_by_pod(sample))


def test_kubernetes_1_36_answers_the_same_pods_on_both_endpoints() -> None:
    summary = decode_summary((HERE / "summary-k8s1.36-only-cpu-memory.json").read_bytes())
    resource = decode_resource((HERE / "resource-k8s1.36.txt").read_bytes(), 0)
    assert counted(summary) == counted(resource) == (1, 2, 4)
    assert set(summary.layout.pods) == set(resource.layout.pods)
    assert summary.node is not None
    assert resource.node is not None
    assert summary.node.usage_nanocores == 512284037
    assert resource.node.time_ns == 1795417905980_000_000
    assert resource.node.cpu_ns == 1868028537249
    assert set(resource.usage_nanocores) == {NO_RATE}


def _names_by_pod(sample: NodeSample) -> list[tuple[str, ...]]:
    first = sample.layout.first
    return [sample.layout.containers[a:b] for a, b in itertools.pairwise(first)]

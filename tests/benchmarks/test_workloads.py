"""What is measured does what it is named for, and growth is told of."""

from typing import Any

import msgspec
import pytest

from benchmarks.counted import Recorded, build_of_python, check, compare, read_baselines
from benchmarks.workloads import CONTAINERS, PODS, PODS_PER_NODE, WORKLOADS
from pymetrics_server.meta.usage import NodeSample, PodUsage
from tests.fakes.protobuf import decode

BY_NAME = {workload.name: workload for workload in WORKLOADS}


def results(name: str) -> list[Any]:
    workload = BY_NAME[name]
    return [workload.run(argument) for argument in workload.arguments(2)]


def items(body: bytes) -> list[Any]:
    document = decode(body) if body.startswith(b"k8s\0") else msgspec.json.decode(body)
    found: list[Any] = document["rows" if "rows" in document else "items"]
    return found


@pytest.mark.parametrize("endpoint", ["summary", "resource"])
def test_a_decoded_answer_has_every_container_of_its_node(endpoint: str) -> None:
    for sample in results(f"decode {endpoint}"):
        assert isinstance(sample, NodeSample)
        assert (len(sample.layout.pods), len(sample.cpu_ns)) == (PODS_PER_NODE, PODS_PER_NODE * CONTAINERS)
        assert sample.dropped == ()


@pytest.mark.parametrize("name", ["store, same pods", "store, a pod came or went"])
def test_a_stored_sample_is_what_is_served_next(name: str) -> None:
    workload = BY_NAME[name]
    served = []
    for argument in workload.arguments(4):
        workload.run(argument)
        store, sample = argument
        pods = sample.layout.pods
        served.append(
            (len(pods), store.pod_usage(*pods[0], 0).timestamp_ns == min(sample.time_ns[:CONTAINERS]))
        )
    assert {new for _, new in served} == {True}
    assert len({pods for pods, _ in served}) == (1 if name == "store, same pods" else 2)


def test_usage_is_worked_out_of_every_pod() -> None:
    for usages in results("usage of 30 pods"):
        assert len(usages) == PODS_PER_NODE
        assert all(isinstance(usage, PodUsage) and len(usage.containers) == CONTAINERS for usage in usages)
        assert any(container.cpu_nanocores % 1000 for usage in usages for container in usage.containers)


@pytest.mark.parametrize("form", ["JSON", "protobuf", "Table"])
def test_every_pod_of_a_node_is_encoded(form: str) -> None:
    for fragments in results(f"encode 30 pods, {form}"):
        assert len(set(fragments)) == PODS_PER_NODE


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.startswith("list ")])
def test_a_list_has_every_pod(name: str) -> None:
    for reply in results(name):
        found = items(b"".join(reply.parts))
        assert len({(row.get("object") or row)["metadata"]["name"] for row in found}) == PODS


def test_a_list_after_new_samples_has_their_stamps() -> None:
    [(fleet, wanted)] = BY_NAME["list 600 pods, new samples"].arguments(1)
    before = fleet.list(wanted)
    fleet.sample()
    after = fleet.list(wanted)
    old, new = (items(b"".join(reply.parts)) for reply in (before, after))
    assert all(one["timestamp"] < other["timestamp"] for one, other in zip(old, new, strict=True))


@pytest.mark.parametrize("name", ["HPA query", "HPA query, protobuf"])
def test_an_autoscalers_query_finds_one_app_of_one_namespace(name: str) -> None:
    for reply in results(name):
        found = [item["metadata"] for item in items(b"".join(reply.parts))]
        assert {(pod["namespace"], pod["labels"]["app"]) for pod in found} == {("team-05", "search")}


def test_targets_and_types_are_read_as_they_are_asked_for() -> None:
    assert {
        target.namespace for kind in ("new", "known") for target in results(f"parse a target, {kind}")
    } == {"team-05"}
    assert {found.transform for kind in ("new", "known") for found in results(f"negotiate, {kind}")} == {
        "Table"
    }
    [pod, _] = (msgspec.json.decode(b"".join(reply.parts)) for reply in results("get a pod"))
    assert pod["kind"] == "PodMetrics"


def test_every_operation_has_its_baseline() -> None:
    assert len(BY_NAME) == len(WORKLOADS)
    for recorded in read_baselines().values():
        assert set(recorded.instructions) == set(BY_NAME)


def test_growth_beyond_a_tenth_fails_and_less_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Recorded(build_of_python(), {"decode": 1000, "list": 1000})
    assert check(recorded, {"decode": 1090, "list": 910}) == 0
    assert "More" not in capsys.readouterr().out
    assert check(recorded, {"decode": 1110, "list": 1000}) == 1
    told = capsys.readouterr().out
    assert "1,000       1,110    1.11" in told
    assert "More by over 10%: decode." in told


def test_what_has_become_cheaper_is_worth_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(Recorded(build_of_python(), {"decode": 1000}), {"decode": 800}) == 0
    assert (
        "Fewer by more than 10%: decode. To keep it so: make bench-check ARGS=--record"
        in capsys.readouterr().out
    )


def test_an_operation_without_a_baseline_fails() -> None:
    assert compare({"decode": 1000}, {"decode": 1000, "new": 1}) == (["new"], [])


def test_another_build_of_the_same_python_is_held_to_less(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Recorded("3.11.0 of somebody else", {"decode": 1000})
    assert check(recorded, {"decode": 1300}) == 0
    assert "The baseline is of 3.11.0 of somebody else" in capsys.readouterr().out
    assert check(recorded, {"decode": 1600}) == 1

"""/stats/summary: what is read, what costs a pod, and what costs the whole answer."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.errors import DecodeError, FailureClass
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.meta.usage import NO_RATE

TIME, START = "2026-11-23T07:11:46Z", "2026-11-23T07:09:18Z"
TIME_NS, START_NS = 1795417906_000_000_000, 1795417758_000_000_000


def container(name: str = "c", cpu: object = 5, memory: object = 7, rate: object = 3) -> dict[str, Any]:
    return {
        "name": name,
        "startTime": START,
        "cpu": {"time": TIME, "usageNanoCores": rate, "usageCoreNanoSeconds": cpu},
        "memory": {"time": TIME, "workingSetBytes": memory, "rssBytes": 1},
    }


def pod(name: str, *containers: dict[str, Any]) -> dict[str, Any]:
    return {"podRef": {"name": name, "namespace": "ns", "uid": "u"}, "containers": list(containers)}


def answer(*pods: dict[str, Any]) -> dict[str, Any]:
    return {"node": container() | {"nodeName": "n"}, "pods": list(pods)}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def test_each_value_arrives_in_its_column() -> None:
    sample = decode_summary(
        encoded(answer(pod("a", container("x"), container("y", 50, 70, 30)), pod("b", container())))
    )
    assert sample.node is not None
    assert (sample.node.time_ns, sample.node.cpu_ns, sample.node.memory_bytes) == (TIME_NS, 5, 7)
    assert (sample.node.usage_nanocores, sample.node.start_ns) == (3, START_NS)
    assert sample.layout.pods == (("ns", "a"), ("ns", "b"))
    assert sample.layout.first == (0, 2, 3)
    assert sample.layout.containers == ("x", "y", "c")
    assert list(sample.time_ns) == [TIME_NS] * 3
    assert list(sample.start_ns) == [START_NS] * 3
    assert list(sample.cpu_ns) == [5, 50, 5]
    assert list(sample.memory_bytes) == [7, 70, 7]
    assert list(sample.usage_nanocores) == [3, 30, 3]
    assert sample.dropped == ()


def test_stamps_with_fractions_and_offsets_are_read_to_the_nanosecond() -> None:
    c = container()
    c["cpu"]["time"] = "2026-11-23T08:11:46.123456789+01:00"
    assert decode_summary(encoded(answer(pod("a", c)))).time_ns[0] == TIME_NS + 123456789


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("startTime",), None, "no startTime"),
        (("startTime",), "0001-01-01T00:00:00Z", "no startTime"),
        (("cpu",), None, "no cpu time"),
        (("cpu", "time"), None, "no cpu time"),
        (("cpu", "time"), "yesterday", "no cpu time"),
        (("cpu", "usageCoreNanoSeconds"), None, "no cpu"),
        (("cpu", "usageCoreNanoSeconds"), 0, "cpu is zero"),
        (("cpu", "usageCoreNanoSeconds"), -4, "cpu is out of range"),
        (("cpu", "usageCoreNanoSeconds"), 2**64, "cpu is out of range"),
        (("cpu", "usageCoreNanoSeconds"), 1.5, "no cpu"),
        (("memory",), None, "no memory"),
        (("memory", "workingSetBytes"), None, "no memory"),
        (("memory", "workingSetBytes"), 0, "memory is zero"),
        (("memory", "workingSetBytes"), 2**64 - 4096, "memory is out of range"),
    ],
)
@pytest.mark.parametrize("absent", [True, False])
def test_one_incomplete_container_costs_its_pod_and_nothing_else(
    path: tuple[str, ...], value: object, why: str, absent: bool
) -> None:
    odd = container("odd")
    inner = odd if len(path) == 1 else odd[path[0]]
    inner[path[-1]] = value
    if value is None and absent:
        del inner[path[-1]]
    sample = decode_summary(encoded(answer(pod("a", container("fine"), odd), pod("b", container()))))
    assert sample.layout.pods == (("ns", "b"),)
    assert sample.dropped == (("pod ns/a", f"container odd: {why}"),)
    assert sample.node is not None


@pytest.mark.parametrize("rate", [None, -1, 1.5, 2**63, 2**64, 10**30])
def test_a_rate_that_is_none_is_absent_and_costs_nothing(rate: object) -> None:
    sample = decode_summary(encoded(answer(pod("a", container(rate=rate)))))
    assert list(sample.usage_nanocores) == [NO_RATE]
    assert list(sample.cpu_ns) == [5]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000])
def test_an_endless_number_costs_that_number_only(number: str) -> None:
    body = encoded(answer(pod("a", container(rate=314159)))).replace(b"314159", number.encode())
    assert list(decode_summary(body).usage_nanocores) == [NO_RATE]


def test_counters_of_a_long_lived_large_node_fit() -> None:
    assert decode_summary(encoded(answer(pod("a", container(cpu=2**64 - 1))))).cpu_ns[0] == 2**64 - 1


def test_pods_without_containers_are_left_out() -> None:
    null = pod("done") | {"containers": None}
    sample = decode_summary(encoded(answer(null, pod("empty"), pod("a", container()))))
    assert sample.layout.pods == (("ns", "a"),)
    assert sample.dropped == ()


def test_null_pods_are_a_node_alone() -> None:
    sample = decode_summary(encoded({"node": container(), "pods": None}))
    assert sample.node is not None
    assert sample.layout.first == (0,)


def test_a_node_without_usage_costs_the_node_and_keeps_its_pods() -> None:
    sample = decode_summary(encoded(answer(pod("a", container())) | {"node": container(cpu=0)}))
    assert sample.node is None
    assert sample.layout.pods == (("ns", "a"),)
    assert sample.dropped == (("node", "cpu is zero"),)


def test_of_containers_and_pods_listed_twice_the_highest_counter_wins() -> None:
    twice = pod("a", container("x", 5), container("x", 9), container("x", 0))
    sample = decode_summary(encoded(answer(twice, pod("b", container(cpu=8)), pod("b", container(cpu=6)))))
    assert sample.layout.containers == ("x", "c")
    assert list(sample.cpu_ns) == [9, 8]


def test_reasons_are_bounded() -> None:
    sample = decode_summary(encoded(answer(*(pod(f"p{i}", container(cpu=0)) for i in range(500)))))
    assert 0 < len(sample.dropped) <= 32


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"[]",
        b"null",
        b"{}",
        b'{"pods":{}}',
        b'{"node":{"cpu":{"usageNanoCores":NaN}}}',
        b"\xff\xfe{}",
        b'{"node":' + b"[" * 100_000,
        encoded(answer(pod("a", container())))[:-40],
        encoded(answer(pod("a", container()))) + b"}",
        encoded(answer(pod("a", container()))).replace(b'"x"', b'"\xff"').replace(b'"c"', b'"\xff"'),
    ],
)
def test_what_is_no_summary_is_refused_in_one_short_line(body: bytes) -> None:
    with pytest.raises(DecodeError) as raised:
        decode_summary(body)
    assert raised.value.failure is FailureClass.PARSE_ERROR
    assert "\n" not in raised.value.detail
    assert len(raised.value.detail) < 260


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_summary(body)


def _paths(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [p for k, v in pairs for p in _paths(v, (*at, k))]


WHOLE = answer(pod("a", container("x"), container("y")), pod("b", container()))


@given(st.sampled_from(_paths(WHOLE)), st.sampled_from([None, 0, -1, 1.5, 2**64, "", "x", [], {}, True]))
def test_any_value_may_be_anything_without_another_exception(path: tuple[Any, ...], value: object) -> None:
    changed: Any = copy.deepcopy(WHOLE)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with contextlib.suppress(DecodeError):
        decode_summary(encoded(changed))


_NAME = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
_VALUES = st.tuples(st.integers(1, 10**6), st.integers(1, 10**13))  # milliseconds of CPU, bytes


@given(st.dictionaries(_NAME, st.dictionaries(_NAME, _VALUES, min_size=1, max_size=3), max_size=4), _VALUES)
def test_both_endpoints_decode_the_same_values_alike(
    pods: dict[str, dict[str, tuple[int, int]]], node: tuple[int, int]
) -> None:
    as_json = answer(
        *(pod(p, *(container(c, v[0] * 10**6, v[1]) for c, v in of.items())) for p, of in pods.items())
    )
    as_json["node"] = container("", node[0] * 10**6, node[1])
    stamp = TIME_NS // 10**6
    lines = [
        f"node_cpu_usage_seconds_total {node[0] / 1000!r} {stamp}",
        f"node_memory_working_set_bytes {float(node[1])!r} {stamp}",
    ]
    for p, of in pods.items():
        for c, (cpu_ms, memory) in of.items():
            labels = f'{{container="{c}",namespace="ns",pod="{p}"}}'
            lines.append(f"container_cpu_usage_seconds_total{labels} {cpu_ms / 1000!r} {stamp}")
            lines.append(f"container_memory_working_set_bytes{labels} {float(memory)!r} {stamp}")
            lines.append(f"container_start_time_seconds{labels} {START_NS / 1e9!r}")
    summary = decode_summary(encoded(as_json))
    resource = decode_resource("\n".join(lines).encode(), 0)
    assert summary.layout == resource.layout
    assert summary.time_ns == resource.time_ns
    assert summary.start_ns == resource.start_ns
    assert summary.memory_bytes == resource.memory_bytes
    assert all(abs(a - b) <= 1 for a, b in zip(summary.cpu_ns, resource.cpu_ns, strict=True))
    assert summary.node is not None
    assert resource.node is not None
    assert summary.node.memory_bytes == resource.node.memory_bytes
    assert abs(summary.node.cpu_ns - resource.node.cpu_ns) <= 1


def test_half_a_surrogate_pair_is_refused_however_the_answer_is_read() -> None:
    """It could be encoded for nobody: one kubelet would spoil the list of all pods."""
    for counter in (b"5", b"1.5"):
        body = (
            b'{"node":{"cpu":{"usageCoreNanoSeconds":%b}},"pods":[{"podRef":{"name":"\\ud800"}}]}' % counter
        )
        with pytest.raises(DecodeError):
            decode_summary(body)

"""/metrics/resource: the original's decoder, case by case, and its format with Prometheus' own parser as judge."""

import contextlib
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pymetrics_server.errors import DecodeError, FailureClass
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.meta.usage import NO_RATE, NodeSample

A = 'container="coredns",namespace="kube-system",pod="coredns-558bd4d5db-4dpjz"'
CPU, MEMORY = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes"
START = "container_start_time_seconds"
NODE_CPU, NODE_MEMORY = "node_cpu_usage_seconds_total", "node_memory_working_set_bytes"
DEFAULT_NS = 3392953627_000_000_000  # 2077-07-07T07:07:07Z

CONTAINER_LINES = [
    f"{CPU}{{{A}}} 4.710169 1633253812125",
    f"{MEMORY}{{{A}}} 1.253376e+07 1633253812125",
    f"{START}{{{A}}} 1.633252712e+9 1633253812125",
]
NODE_LINES = [f"{NODE_CPU} 357.35491 1633253809720", f"{NODE_MEMORY} 1.616273408e+09 1633253809720"]
OTHER_LINES = [
    "# HELP pod_cpu_usage_seconds_total [ALPHA] Cumulative cpu time",
    'pod_cpu_usage_seconds_total{namespace="kube-system",pod="coredns-558bd4d5db-4dpjz"} 4.7 1633253812125',
    "scrape_error 0",
]


def decode(*lines: str) -> NodeSample:
    return decode_resource("\n".join(lines).encode(), DEFAULT_NS)


def counted(sample: NodeSample) -> tuple[int, int]:
    return int(sample.node is not None), len(sample.layout.pods)


def test_d1_a_whole_page() -> None:
    sample = decode(*CONTAINER_LINES, *NODE_LINES, *OTHER_LINES, "")
    assert sample.node is not None
    assert sample.node.time_ns == 1633253809_720_000_000
    assert (sample.node.cpu_ns, sample.node.memory_bytes) == (357354910000, 1616273408)
    assert sample.node.usage_nanocores == NO_RATE
    assert sample.layout.pods == (("kube-system", "coredns-558bd4d5db-4dpjz"),)
    assert sample.layout.containers == ("coredns",)
    assert list(sample.time_ns) == [1633253812_125_000_000]
    assert list(sample.start_ns) == [1633252712_000_000_000]
    assert (list(sample.cpu_ns), list(sample.memory_bytes)) == ([4710169000], [12533760])
    assert list(sample.usage_nanocores) == [NO_RATE]


def test_d2_without_timestamps_the_request_s_time_stamps_everything_to_the_millisecond() -> None:
    lines = [re.sub(r" \d{13}$", "", line) for line in CONTAINER_LINES + NODE_LINES]
    sample = decode_resource("\n".join(lines).encode(), DEFAULT_NS + 999_999)
    assert sample.node is not None
    assert sample.node.time_ns == sample.time_ns[0] == DEFAULT_NS


CASES = {
    "d3 only container lines": (CONTAINER_LINES, (0, 1)),
    "d4 only container memory": (CONTAINER_LINES[1:2], (0, 0)),
    "d5 container cpu 0": ([f"{CPU}{{{A}}} 0 1", CONTAINER_LINES[1]], (0, 0)),
    "d6 only container cpu": (CONTAINER_LINES[:1], (0, 0)),
    "d7 container memory 0": ([CONTAINER_LINES[0], f"{MEMORY}{{{A}}} 0 1"], (0, 0)),
    "d8 only node lines": (NODE_LINES, (1, 0)),
    "d9 only node memory": (NODE_LINES[1:], (0, 0)),
    "d10 node cpu 0": ([f"{NODE_CPU} 0 1", NODE_LINES[1]], (0, 0)),
    "d11 only node cpu": (NODE_LINES[:1], (0, 0)),
    "d12 node memory 0": ([NODE_LINES[0], f"{NODE_MEMORY} 0 1"], (0, 0)),
    "d15 nothing": ([], (0, 0)),
    "only a start time": (CONTAINER_LINES[2:], (0, 0)),
    "no start time": (CONTAINER_LINES[:2], (0, 1)),
    "not a number": ([f"{CPU}{{{A}}} NaN 1", CONTAINER_LINES[1], *NODE_LINES], (1, 0)),
    "infinity": ([CONTAINER_LINES[0], f"{MEMORY}{{{A}}} +Inf 1", *NODE_LINES], (1, 0)),
    "uint64 underflow": ([CONTAINER_LINES[0], f"{MEMORY}{{{A}}} 1.8446744073709552e+19 1"], (0, 0)),
    "comments only": (["# HELP x y", "", "# TYPE x gauge"], (0, 0)),
    "a family longer by name": ([line.replace("_total", "_total_x") for line in NODE_LINES], (0, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_kept_of_an_incomplete_page(case: str) -> None:
    lines, expected = CASES[case]
    assert counted(decode(*lines)) == expected


@pytest.mark.parametrize(
    "line",
    [
        f'{START}{{container="x",namespace="n",pod="p"}} -6.7953645788713455e+09 -62135596800000',  # D13
        f"{CPU}{{{A}}} 0x1F 1633253812125",
        f"{CPU}{{{A}}} 1.5 1633253812125.5",
        f"{CPU}{{{A}}} 1.5 99999999999999999999",
        f"{CPU}{{{A}}} 1.5 1 2",
        f"{CPU}{{{A}}} abc",
        f"{CPU}{{{A}}}",
        f'{CPU}{{container="cored',
        f"{CPU}{{{A} 1.5",
        f"{CPU}{{container=x,{A}}} 1.5",
        f"{NODE_CPU}",
        f"{NODE_CPU} ",
        f"{NODE_CPU} 1 -5",
        f"{NODE_CPU}-1",
    ],
)
def test_a_malformed_line_of_a_family_that_is_read_costs_the_answer(line: str) -> None:
    with pytest.raises(DecodeError) as raised:
        decode(*CONTAINER_LINES, line, *NODE_LINES)
    assert raised.value.failure is FailureClass.PARSE_ERROR
    assert "malformed sample" in raised.value.detail


@pytest.mark.parametrize(
    "line",
    [
        "pod_swap_usage_bytes{ nonsense",
        "container_swap_usage_bytes 1 -62135596800000",
        "!!!",
        'scrape_error{a="\xff"} 1',
        f"{CPU} 1.5 1633253812125",
        f"{CPU}{{}} 1.5 1633253812125",
        f'{CPU}{{container="x",pod="p"}} 1.5 1633253812125',
    ],
)
def test_a_line_of_no_use_costs_itself_alone(line: str) -> None:
    assert counted(decode(*CONTAINER_LINES, line, *NODE_LINES)) == (1, 1)


def test_one_container_without_memory_costs_its_pod_and_is_named() -> None:
    other = A.replace('container="coredns"', 'container="sidecar"')
    sample = decode(*CONTAINER_LINES, f"{CPU}{{{other}}} 1.5 1", *NODE_LINES)
    assert counted(sample) == (1, 0)
    assert sample.dropped == (
        ("pod kube-system/coredns-558bd4d5db-4dpjz", "container sidecar: memory is absent or zero"),
    )


def test_labels_are_read_in_any_order_and_with_any_blanks() -> None:
    sample = decode(
        CONTAINER_LINES[0],
        f'{MEMORY} {{ pod = "coredns-558bd4d5db-4dpjz" , container="coredns",namespace="kube-system",x="}}", }}\t12 7',
        f'{START}{{pod="coredns-558bd4d5db-4dpjz",container="coredns",namespace="kube-system"}} 9',
    )
    assert list(sample.memory_bytes) == [12]
    assert list(sample.start_ns) == [9_000_000_000]
    assert list(sample.time_ns) == [7_000_000]  # the last of cpu and memory; never the start's


def test_of_a_container_listed_twice_the_highest_counter_wins() -> None:
    cpu = [f"{CPU}{{{A}}} {v} {t}" for v, t in ((4, 100), (9, 200), (5, 300))]
    sample = decode(CONTAINER_LINES[1], *cpu)
    assert list(sample.cpu_ns) == [9_000_000_000]
    assert list(sample.time_ns) == [200_000_000]


def test_the_time_of_a_container_listed_twice_is_the_one_of_what_is_kept() -> None:
    dead, alive = "1000", "9000"
    lines = [f"{CPU}{{{A}}} 9 {alive}", f"{CPU}{{{A}}} 4 {dead}"]
    sample = decode(*lines, f"{MEMORY}{{{A}}} 70 {alive}", f"{MEMORY}{{{A}}} 50 {dead}")
    assert (list(sample.time_ns), list(sample.memory_bytes)) == ([9_000_000_000], [70])


@pytest.mark.parametrize(
    "body", [b"<html>\n<body>Sign in</body></html>", b'{"node":{}}', b"Unauthorized", b"\xff\xfe\x00"]
)
def test_a_page_of_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_resource(body, 0)


def test_labels_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(DecodeError, match="not UTF-8"):
        decode_resource(CONTAINER_LINES[0].encode().replace(b"coredns", b"core\xff"), 0)


_VALUE = st.sampled_from([0.0, 10000.0, -10000.0, 0.5, -1e-9, 1e100, -1e100])
_PRINTED = st.sampled_from(["%f", "%e", "%E"])
_STAMP = st.sampled_from(["", " 0", " 10000", " 5", " -1", " -10000"])


@given(
    st.lists(
        st.tuples(st.sampled_from([CPU, MEMORY, START, NODE_CPU, NODE_MEMORY]), _VALUE, _PRINTED, _STAMP)
    )
)
def test_d14_only_a_negative_time_is_an_error(lines: list[tuple[str, float, str, str]]) -> None:
    page = [
        f"{family}{'' if family.startswith('node') else f'{{{A}}}'} {printed % value}{stamp}"
        for family, value, printed, stamp in lines
    ]
    if any("-" in stamp for *_, stamp in lines):
        with pytest.raises(DecodeError):
            decode(*page)
    else:
        decode(*page)


@given(
    st.binary(max_size=300)
    | st.text(f'{{}}"\\=, \n-.e019_:{CPU}', max_size=120).map(lambda t: (CPU + t).encode())
)
def test_d15_arbitrary_bytes_never_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_resource(body, 0)


_NAME = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True)
_FLOAT = st.floats(0, 1e9, allow_nan=False) | st.integers(0, 10**12).map(float)
_SAMPLES = st.dictionaries(
    st.tuples(st.sampled_from([CPU, MEMORY, START]), _NAME, st.sampled_from(["p", "q"])),
    st.tuples(_FLOAT, st.integers(0, 9_000_000_000_000)),
    max_size=12,
)


@given(_SAMPLES, st.randoms(use_true_random=False))
def test_values_are_those_that_prometheus_parser_reads(
    samples: dict[tuple[str, str, str], tuple[float, int]], order: random.Random
) -> None:
    page = [
        f'{family}{{container="{c}",namespace="ns",pod="{p}"}} {value!r} {stamp}'
        for (family, c, p), (value, stamp) in samples.items()
    ]
    order.shuffle(page)
    read: dict[tuple[str, str], dict[str, float]] = {}
    for line in page:
        for family in text_string_to_metric_families(line + "\n"):
            for s in family.samples:
                read.setdefault((s.labels["pod"], s.labels["container"]), {})[s.name] = s.value
    whole = {
        key: (int(v.get(CPU, 0) * 1e9), int(v.get(MEMORY, 0)), int(v.get(START, 0) * 1e9))
        for key, v in read.items()
    }
    lost = {pod for (pod, _), (cpu_ns, memory, _) in whole.items() if not cpu_ns or not memory}
    sample = decode(*page)
    decoded = {}
    for i, (_, pod) in enumerate(sample.layout.pods):
        for j in range(sample.layout.first[i], sample.layout.first[i + 1]):
            key = (pod, sample.layout.containers[j])
            decoded[key] = (sample.cpu_ns[j], sample.memory_bytes[j], sample.start_ns[j])
    assert decoded == {key: values for key, values in whole.items() if key[0] not in lost}

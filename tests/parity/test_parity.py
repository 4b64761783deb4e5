"""Ours and the original beside one cluster: the same answers but for what docs/parity.md lists.

The comparison itself runs where PARITY_PEER names a metrics-server binary, or is `self`: ours beside ours, which
proves that nothing but times, ids and loads is masked that moves.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.parity import protobuf
from tests.parity.cases import all_requests
from tests.parity.compare import Report, side_by_side
from tests.parity.differences import ON_PURPOSE, matches
from tests.parity.normal import families, lines_of
from tests.parity.requests import View
from tests.parity.wire import Answer, parse

PARITY_MD = Path(__file__).parents[2] / "docs" / "parity.md"
PEER = os.environ.get("PARITY_PEER", "")


@pytest.mark.skipif(not PEER, reason="PARITY_PEER names no metrics-server binary to compare with")
@pytest.mark.timeout(600)
async def test_every_answer_is_the_originals_but_for_what_is_listed(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "pymetrics_server")
    async with side_by_side(tmp_path, command, PEER) as pair:
        report = Report([await pair.compared(request) for request in all_requests()], PEER)
    assert not report.differing, "\n".join(report.lines())
    assert not report.stale, "\n".join(report.lines())


def test_every_difference_on_purpose_stands_in_the_document() -> None:
    text = " ".join(PARITY_MD.read_text().split())
    missing = [difference.row for difference in ON_PURPOSE if difference.row not in text]
    assert not missing


def test_every_pattern_of_a_difference_is_of_some_request() -> None:
    names = [request.name for request in all_requests()]
    patterns = [pattern for difference in ON_PURPOSE for pattern in difference.patterns]
    assert [p for p in patterns if not any(matches(p, name) for name in names)] == []


def test_no_request_is_asked_twice_under_one_name() -> None:
    names = [request.name for request in all_requests()]
    assert len(names) == len(set(names)) > 2000


def answer(body: str, content_type: str = "application/json") -> Answer:
    return Answer(200, (("content-type", content_type),), body.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"usage":{"cpu":"123n","memory":"5Ki"}}', '{"usage":{"cpu":"4m","memory":"5Ki"}}'),
        ('{"timestamp":"2026-11-23T06:43:11Z"}', '{"timestamp":"2027-01-01T00:00:00Z"}'),
        ('{"window":"9.991s"}', '{"window":"10s"}'),
        ('{"cells":["web","51m","1Mi","9.991s"]}', '{"cells":["web","5123n","1Mi","15s"]}'),
    ],
)
def test_times_and_loads_are_masked(one: str, other: str) -> None:
    assert lines_of(answer(one), View.TEXT, 4443) == lines_of(answer(other), View.TEXT, 4443)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"usage":{"memory":"5Ki"}}', '{"usage":{"memory":"6Ki"}}'),
        ('{"a":1}', '{"a":1}\n'),
        ('{"a":1}', '{"a": 1}'),
        ('{"a":"\\u003c"}', '{"a":"<"}'),
        ('{"window":""}', '{"window":"10s"}'),
        ('{"a":1,"b":2}', '{"b":2,"a":1}'),
    ],
)
def test_what_a_client_may_see_is_not_masked(one: str, other: str) -> None:
    assert lines_of(answer(one), View.TEXT, 4443) != lines_of(answer(other), View.TEXT, 4443)


def test_a_version_of_ours_alone_is_left_out_of_discovery_in_every_form() -> None:
    both = '[{"groupVersion":"metrics.k8s.io/v1","version":"v1"},{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}]'
    one = '[{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}]'
    assert lines_of(answer(both), View.TEXT, 4443) == lines_of(answer(one), View.TEXT, 4443)
    both = "versions:\n- groupVersion: metrics.k8s.io/v1\n  version: v1\n- groupVersion: x\n"
    yaml = "application/yaml"
    assert lines_of(answer(both, yaml), View.TEXT, 4443)[-3:] == ["versions:", "- groupVersion: x", ""]


def test_protobuf_reads_as_numbered_fields_with_loads_masked() -> None:
    body = bytes.fromhex("6b387300220f0a03637075120808c0843d0a0334326d")
    assert protobuf.lines_of(body)[0] == "k8s envelope"
    usage = bytes.fromhex("220c0a036370751205 0a0334326d".replace(" ", ""))
    assert protobuf.lines_of(usage) == ["4 {", '  1: "cpu"', "  2 { 1: <cpu> }", "}"]
    assert protobuf.lines_of(b"\x08\x80\xf0\xb8\xd7\x06") == ["1: <time>"]
    assert protobuf.lines_of(b"\xff\xff")[0].startswith("no protobuf")


def test_families_are_those_of_metrics_server_with_their_labels() -> None:
    text = '# TYPE metrics_server_x counter\nmetrics_server_x{success="true"} 5\nmetrics_server_y{node="a"} 1\nother 1\n'
    assert families(text) == [
        "# TYPE metrics_server_x counter",
        "metrics_server_x {success=true}",
        "metrics_server_y {node}",
    ]


def test_chunked_answers_are_put_together() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert parse(raw).body == b"abcde"
    assert parse(b"").status == 0

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.duration import format_go, parse_go

MS, SECOND, MINUTE, HOUR = 10**6, 10**9, 60 * 10**9, 3600 * 10**9


@pytest.mark.parametrize(
    ("duration_ns", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u00b5s"),
        (2_000, "2\u00b5s"),
        (1_500_000, "1.5ms"),
        (9_991 * MS, "9.991s"),
        (15 * SECOND, "15s"),
        (MINUTE, "1m0s"),
        (MINUTE + 500 * MS, "1m0.5s"),
        (HOUR, "1h0m0s"),
        (100 * HOUR + 1, "100h0m0.000000001s"),
        (-90 * MINUTE, "-1h30m0s"),
        (-(2**63), "-2562047h47m16.854775808s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(duration_ns: int, shown: str) -> None:
    assert format_go(duration_ns) == shown


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0),
        ("-0", 0),
        ("5s", 5 * SECOND),
        ("1h15m", 75 * MINUTE),
        ("300ms", 300 * MS),
        ("1us", 1_000),
        ("1\u00b5s", 1_000),
        ("1\u03bcs", 1_000),
        ("-1.5h", -90 * MINUTE),
        ("+.5s", 500 * MS),
        ("1.s", SECOND),
        ("0.3333333333333333333h", 20 * MINUTE - 1),
        ("1m1m", 2 * MINUTE),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, duration_ns: int) -> None:
    assert parse_go(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("1\u00e9", 'time: unknown unit "\\xc3\\xa9" in duration "1\\xc3\\xa9"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("9" * 5000 + "h", 'time: invalid duration "999'),
    ],
)
def test_what_is_no_duration_is_refused_in_go_s_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(words)):
        parse_go(text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_what_is_written_reads_back_to_the_nanosecond(duration_ns: int) -> None:
    assert parse_go(format_go(duration_ns)) == duration_ns

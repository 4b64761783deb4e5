import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.timestamp import format_rfc3339, parse_rfc3339

AT_NS = 1_795_416_191_000_000_000
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)


def test_seconds_are_truncated_not_rounded() -> None:
    assert format_rfc3339(AT_NS + 999_999_999) == "2026-11-23T06:43:11Z"
    assert format_rfc3339(-1) == "1969-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2026-11-23T06:43:11Z", AT_NS),
        ("2026-11-23T06:43:11.5Z", AT_NS + 500_000_000),
        ("2026-11-23T06:43:11.000000001Z", AT_NS + 1),
        ("2026-11-23T08:43:11+02:00", AT_NS),
        ("2026-11-22T22:13:11.25-08:30", AT_NS + 250_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_any_offset_and_nine_fraction_digits_are_read(text: str, time_ns: int) -> None:
    assert parse_rfc3339(text) == time_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23 06:43:11Z",
        "2026-11-23T06:43:11",
        "2026-13-23T06:43:11Z",
        "2026-02-29T06:43:11Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T06:43:60Z",
        "2026-11-23T06:43:11.Z",
        "2026-11-23T06:43:11.1234567890Z",
        "2026-11-23T06:43:11+24:00",
        "2026-11-23T06:43:11Z\n",
        "2026-11-23T06:43:11ZZ",
        "2026-11-23T06:43:11Z\0",
        "2026-11-23T06:43:11Z\0x",
        "2026-11-23T06:43:11Z+1",
        "2026-W48-1T06:43:11Z",
        "\ud8006-11-23T06:43:11Z1",
        "2\u06600\u06616-11-23T06:43:11Z",
        "x" * 100_000,
    ],
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an RFC 3339 time"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("last", "beyond"),
    [
        ("2262-04-11T23:47:16Z", "2262-04-11T23:47:17Z"),
        ("1677-09-21T00:12:44Z", "1677-09-21T00:12:43Z"),
        ("1677-09-21T00:12:44Z", "0001-01-01T00:00:00Z"),  # Go's zero time
    ],
)
def test_what_64_bits_cannot_hold_is_refused(last: str, beyond: str) -> None:
    assert format_rfc3339(parse_rfc3339(last)) == last
    with pytest.raises(ValueError, match="beyond 64 bits"):
        parse_rfc3339(beyond)


@given(INT64)
def test_what_is_written_reads_back_to_the_second(time_ns: int) -> None:
    whole_ns = time_ns // 10**9 * 10**9
    if whole_ns >= -(2**63) + 1:
        assert parse_rfc3339(format_rfc3339(time_ns)) == whole_ns


@given(st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001  UTC is set below
def test_python_s_own_reading_agrees(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    expected_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    assert parse_rfc3339(at.isoformat()) == expected_ns


@given(st.lists(st.text("0123456789+- _.:TWZ٣", min_size=1, max_size=3), min_size=6, max_size=6))
def test_no_more_is_read_than_rfc3339_has(parts: list[str]) -> None:
    """With what Kubernetes writes between them, for which there is a shorter way."""
    year, month, day, hour, minute, second = parts
    text = f"20{year:0>2}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}Z"
    try:
        assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text)
        numbers = [int(number) for number in re.split("[-T:Z]", text)[:6]]
        expected = datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type,misc]  # six of them
    except (AssertionError, ValueError):
        if re.fullmatch(r".*\.[0-9]+Z", text) is None:
            with pytest.raises(ValueError, match="RFC 3339"):
                parse_rfc3339(text)
        return
    assert parse_rfc3339(text) == int(expected.timestamp()) * 1_000_000_000

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.quantity import format_cpu, format_memory, parse_bytes, parse_nano

UINT64 = st.integers(0, 2**64 - 1)
INT64 = st.integers(0, 2**63 - 1)


@pytest.mark.parametrize(
    ("nanocores", "shown"),
    [
        (0, "0"),
        (1, "1n"),
        (20_000, "20u"),
        (12_345_600, "12345600n"),
        (50_000_000, "50m"),
        (123_457_230, "123457230n"),
        (1_500_000_000, "1500m"),
        (2_000_000_000, "2"),
        (1500 * 10**9, "1500"),
        (1000 * 10**9, "1k"),
        (10**18, "1G"),
        (2**64 - 1, "18446744073709551610n"),
    ],
)
def test_cpu_is_written_as_kubernetes_writes_it(nanocores: int, shown: str) -> None:
    assert format_cpu(nanocores) == shown


@pytest.mark.parametrize(
    ("value_bytes", "shown"),
    [
        (0, "0"),
        (512, "512"),
        (1000, "1k"),
        (1023, "1023"),
        (1024, "1Ki"),
        (52_428_800, "50Mi"),
        (12_533_760, "12240Ki"),
        (12_533_761, "12533761"),
        (1_500_000_000_000, "1464843750Ki"),
        (2**62, "4Ei"),
        (2**63, "9223372036854775800"),
    ],
)
def test_memory_is_written_as_kubernetes_writes_it(value_bytes: int, shown: str) -> None:
    assert format_memory(value_bytes) == shown


@given(INT64)
def test_what_is_written_reads_back_to_the_last_nanocore_and_byte(value: int) -> None:
    assert parse_nano(format_cpu(value)) == value
    assert parse_bytes(format_memory(value)) == value


@given(UINT64)
def test_a_value_beyond_63_bits_loses_at_most_its_last_digit(value: int) -> None:
    assert 0 <= value - parse_nano(format_cpu(value)) < 10


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("2", 2 * 10**9),
        ("1500m", 1_500_000_000),
        ("1e3", 10**12),
        ("2E2", 200 * 10**9),
        ("1E-9", 1),
        ("1k", 10**12),
        ("1Ki", 1024 * 10**9),
        (".5", 500_000_000),
        ("5.", 5 * 10**9),
        ("+1", 10**9),
        ("-1.5", -1_500_000_000),
        ("0.1n", 1),
        ("1e-99999999", 1),
        ("0e99999999", 0),
        ("1E", 10**27),
        ("1e99999999", (2**63 - 1) * 10**9),
    ],
)
def test_every_form_of_quantity_is_read_rounded_up_and_capped(text: str, nano: int) -> None:
    assert parse_nano(text) == nano


@pytest.mark.parametrize(
    "text", ["", "abc", "m", ".", "1.2.3", "1x", "1KI", "1 ", "1e", "1e+", "1mm", "\u0661", "1\n"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        parse_nano(text)


@given(st.text(max_size=30))
def test_no_text_makes_the_reader_fail_otherwise_than_by_value_error(text: str) -> None:
    try:
        parse_nano(text)
    except ValueError:
        return

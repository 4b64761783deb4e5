from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.usage import NO_RATE
from pymetrics_server.store.rate import BACKWARDS, Point, Rate, measured, nanocores_of, rate

S = 1_000_000_000
T = 1_700_000_000 * S
MS = 1_000_000


def test_the_difference_of_the_counter_by_the_window_is_truncated() -> None:
    assert measured(Point(T + 10 * MS, T, 300), Point(T + 20 * MS, T, 500), NO_RATE) == Rate(10 * MS, 20_000)


def test_a_start_time_that_went_backwards_measures_nothing() -> None:
    assert measured(Point(T + 10 * MS, T + 20 * MS, 300), Point(T + 20 * MS, T, 500), NO_RATE) is BACKWARDS


def test_a_counter_that_went_backwards_measures_nothing() -> None:
    assert measured(Point(T + 10 * MS, T, 300), Point(T + 20 * MS, T, 100), NO_RATE) is BACKWARDS


def test_a_counter_of_64_bits_is_measured_whole() -> None:
    assert measured(Point(T, 0, 1), Point(T + S, 0, 2**64 - 1), NO_RATE).cpu_nanocores == 2**64


def truncated(time_ns: int) -> int:
    return time_ns // S * S


@given(
    nanocores=st.integers(1_000_000, 256 * S),
    offset_ns=st.integers(0, S - 1),
    apart_ns=st.integers(1_100 * MS, 300 * S),
    kubelet_error=st.sampled_from([1.0, 0.0001, 0.5, 2.0, 1e6]),
)
def test_whole_second_stamps_do_not_blur_a_constant_rate(
    nanocores: int, offset_ns: int, apart_ns: int, kubelet_error: float
) -> None:
    began_ns = T + offset_ns
    ended_ns = began_ns + apart_ns
    before = Point(truncated(began_ns), 0, 10**12)
    last = Point(truncated(ended_ns), 0, 10**12 + nanocores * apart_ns // S)
    found = measured(before, last, max(1, int(nanocores * kubelet_error)))

    window_ns = last.time_ns - before.time_ns
    used = last.cpu_ns - before.cpu_ns
    assert found.window_ns == window_ns
    assert found.cpu_nanocores * (window_ns + S) >= used * S
    if window_ns > S:
        assert found.cpu_nanocores * (window_ns - S) <= used * S
    if kubelet_error == 1.0:
        assert abs(found.cpu_nanocores - nanocores) <= nanocores * 0.005


def test_a_counter_that_stood_still_used_nothing_whatever_the_kubelet_says() -> None:
    for window_s in (1, 15):
        assert measured(Point(T, 0, 5), Point(T + window_s * S, 0, 5), 3 * S) == Rate(window_s * S, 0)


@given(st.data())
def test_no_history_makes_a_negative_rate_or_an_empty_window(data: st.DataObject) -> None:
    def point() -> Point:
        time_ns = T + data.draw(st.integers(0, 8)) * 5 * S
        start_ns = data.draw(st.sampled_from([0, T, T + 7 * S, T + 20 * S, T + 60 * S]))
        return Point(time_ns, start_ns, data.draw(st.integers(1, 5 * S)))

    history = [point() for _ in range(data.draw(st.integers(1, 8)))]
    kubelet = data.draw(st.sampled_from([NO_RATE, 0, 1, S]))
    found = rate(history[0], history[1:], kubelet, 15 * S)
    assert found is None or found is BACKWARDS or (found.window_ns > 0 and found.cpu_nanocores >= 0)


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 600))
def test_whole_seconds_are_measured_as_any_window_is(nanocores: int, cpu_ns: int, window_s: int) -> None:
    """Stamps of whole seconds have a shorter way."""
    window_ns = window_s * S
    least = -(-cpu_ns * S // (window_ns + S))
    most = max(cpu_ns * S // max(window_ns - S, 1), least)
    assert nanocores_of(cpu_ns, window_ns, nanocores) == min(max(nanocores, least), most)

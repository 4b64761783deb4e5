"""metav1.Time: RFC 3339, written in UTC with whole seconds, read with any offset."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  naive on both sides: only its distance counts
_DAY_S = 86_400
_MAX_NS = 2**63 - 1
_LONGEST = len("2026-11-23T06:43:11.123456789+00:00")
_HOUR_NS = {f"{hour:02}:": hour * 3600 * _SECOND_NS for hour in range(24)}
_MINUTE_NS = {f"{minute:02}:": minute * 60 * _SECOND_NS for minute in range(60)}
_SECOND_OF_MINUTE_NS = {f"{second:02}Z": second * _SECOND_NS for second in range(60)}
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def format_rfc3339(time_ns: int) -> str:
    """`2026-11-23T06:43:11Z`: seconds truncated, not rounded."""
    return _format_s(time_ns // _SECOND_NS)


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since the Unix epoch. Raises ValueError, also where they do not fit in 64 bits."""
    try:  # `2026-11-23T` `06:` `43:` `11Z`, as Kubernetes writes it: of thousands in a scrape, few days
        return (
            _day_ns(text[:11])
            + _HOUR_NS[text[11:14]]
            + _MINUTE_NS[text[14:17]]
            + _SECOND_OF_MINUTE_NS[text[17:]]
        )
    except (KeyError, ValueError):
        return _read_any(text)


@lru_cache(maxsize=1024)
def _day_ns(date: str) -> int:
    """When it begins, of one that 64 bits hold from its beginning to its end."""
    _read_any(f"{date}23:59:59Z")
    return _read_any(f"{date}00:00:00Z")


def _read_any(text: str) -> int:
    if len(text) > _LONGEST:
        raise ValueError(f"not an RFC 3339 time: {text[:_LONGEST]!r}...")
    try:
        since, fraction = _read(text)
    except ValueError as err:
        raise ValueError(f"not an RFC 3339 time: {text!r}: {err}") from None
    time_ns = (since.days * _DAY_S + since.seconds) * _SECOND_NS + int(fraction.ljust(9, "0"))
    if not -_MAX_NS <= time_ns <= _MAX_NS:
        raise ValueError(f"beyond 64 bits of nanoseconds: {text!r}")
    return time_ns


def _read(text: str) -> tuple[timedelta, str]:
    """What has passed since the epoch, and the digits of a fraction of a second."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("expected YYYY-MM-DDTHH:MM:SS and Z or an offset")
    year, month, day, hour, minute, second, fraction, sign, offset_h, offset_min = found.groups()
    since = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second)) - _EPOCH  # noqa: DTZ001
    if sign:
        offset = timedelta(hours=int(offset_h), minutes=int(offset_min))
        since = since - offset if sign == "+" else since + offset
    return since, fraction or ""


@lru_cache(maxsize=1024)
def _format_s(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat()[:19] + "Z"

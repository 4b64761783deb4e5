"""metav1.Time: RFC 3339, written in UTC with whole seconds, read with any offset."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  naive on both sides: only its distance counts
_DAY_S = 86_400
_MAX_NS = 2**63 - 1
_WRITTEN = len("2026-11-23T06:43:11Z")
_LONGEST = len("2026-11-23T06:43:11.123456789+00:00")
#: What stands between the digits of `2026-11-23T06:43:11Z`, as Kubernetes writes it: every third character from the fifth.
_AS_WRITTEN = "--T::Z"
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def format_rfc3339(time_ns: int) -> str:
    """`2026-11-23T06:43:11Z`: seconds truncated, not rounded."""
    return _format_s(time_ns // _SECOND_NS)


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since the Unix epoch. Raises ValueError, also where they do not fit in 64 bits."""
    if len(text) > _LONGEST:
        raise ValueError(f"not an RFC 3339 time: {text[:_LONGEST]!r}...")
    try:
        # Python's own reader takes more than RFC 3339 has, but not between these; from 3.14 on it takes hour 24.
        if len(text) == _WRITTEN and text[4::3] == _AS_WRITTEN and text[11:13] != "24":
            time_ns = int(datetime.fromisoformat(text).timestamp()) * _SECOND_NS
        else:
            since, fraction = _read(text)
            time_ns = (since.days * _DAY_S + since.seconds) * _SECOND_NS + int(fraction.ljust(9, "0"))
    except ValueError as err:
        raise ValueError(f"not an RFC 3339 time: {text!r}: {err}") from None
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

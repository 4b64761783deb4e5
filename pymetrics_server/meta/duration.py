"""Go's time.Duration: how flags, `window` and `timeout` spell a span of time.

Go: https://pkg.go.dev/time#ParseDuration and https://pkg.go.dev/time#Duration.String
"""

import re
from functools import lru_cache

_SECOND_NS = 1_000_000_000
_MAX_NS = 2**63 - 1
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "h": 3600 * _SECOND_NS,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
#: Go stops counting fraction digits long before this, and none of them weighs a nanosecond.
_FRACTION_DIGITS = 18


@lru_cache(maxsize=1024)  # windows of what is scraped together are few
def format_go(duration_ns: int) -> str:
    """As Go prints a Duration: `0s`, `1.5ms`, `9.991s`, `1m0s`."""
    if duration_ns < 0:
        return f"-{format_go(-duration_ns)}"
    if duration_ns < _SECOND_NS:
        return _below_a_second(duration_ns)
    whole_s, fraction_ns = divmod(duration_ns, _SECOND_NS)
    minutes, seconds = divmod(whole_s, 60)
    text = f"{seconds}.{fraction_ns:09d}".rstrip("0") + "s" if fraction_ns else f"{seconds}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"


def parse_go(text: str) -> int:
    """Nanoseconds. Raises ValueError in Go's words: `time: invalid duration "abc"`."""
    rest = text
    sign = 1
    if rest[:1] in ("-", "+"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {_quote(text)}")
    total_ns = 0
    at = 0
    while at < len(rest):
        found = _PART.match(rest, at)
        if found is None or not (found[1] or found[2]):
            raise ValueError(f"time: invalid duration {_quote(text)}")
        total_ns += _part_ns(found[1], found[2] or "", found[3], text)
        at = found.end()
    if total_ns > (_MAX_NS if sign > 0 else _MAX_NS + 1):
        raise ValueError(f"time: invalid duration {_quote(text)}")
    return sign * total_ns


def _below_a_second(duration_ns: int) -> str:
    if not duration_ns:
        return "0s"
    if duration_ns < 1_000:
        return f"{duration_ns}ns"
    unit_ns, digits, unit = (1_000, 3, "\u00b5s") if duration_ns < 1_000_000 else (1_000_000, 6, "ms")
    whole, fraction = divmod(duration_ns, unit_ns)
    return (f"{whole}.{fraction:0{digits}d}".rstrip("0") if fraction else str(whole)) + unit


def _part_ns(whole: str, fraction: str, unit: str, text: str) -> int:
    if not unit:
        raise ValueError(f"time: missing unit in duration {_quote(text)}")
    unit_ns = _UNITS_NS.get(unit)
    if unit_ns is None:
        raise ValueError(f"time: unknown unit {_quote(unit)} in duration {_quote(text)}")
    if len(whole.lstrip("0")) > len(str(_MAX_NS)):
        raise ValueError(f"time: invalid duration {_quote(text)}")
    fraction = fraction[:_FRACTION_DIGITS]
    scale: int = 10 ** len(fraction)
    return int(whole.lstrip("0") or "0") * unit_ns + int(fraction or "0") * unit_ns // scale


def _quote(text: str) -> str:
    """Go's package time escapes a byte that is not printable ASCII as \\x.."""
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
    return '"' + escaped.replace('"', '\\"') + '"'

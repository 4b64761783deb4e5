"""Values written back as flags, as Go's pflag prints them: what /flagz shows and what the help calls default.

pflag: https://pkg.go.dev/github.com/spf13/pflag#Value
"""

import csv
import io
from collections.abc import Mapping

from pymetrics_server.meta.duration import format_go
from pymetrics_server.options.flags import Flag, Kind, Options, Value, effective_flags


def flag_texts(options: Options) -> Mapping[str, str]:
    """Every flag that has an effect, by name, with the value that counts: typed, else the default."""
    return {flag.name: go_text(flag, getattr(options, flag.field)) for flag in effective_flags()}


def go_text(flag: Flag, value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case tuple() if flag.kind is Kind.NAMED_CERT_KEYS:
            return f"[{';'.join(map(str, value))}]"
        case tuple() if flag.kind in (Kind.FILE_LEVELS, Kind.GATES):
            return ",".join(map(str, value))
        case tuple():
            return f"[{_comma_separated(tuple(map(str, value)))}]"
        case int() if flag.kind is Kind.DURATION:
            return format_go(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _comma_separated(texts: tuple[str, ...]) -> str:
    """Quoted where a text has a comma, a quote or a line break in it."""
    if not texts:
        return ""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(texts)
    return line.getvalue()

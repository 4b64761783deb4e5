"""The help, written from the table: one section for each group, as Kubernetes' components lay theirs out."""

from collections.abc import Iterable, Sequence

from pymetrics_server.meta.quote import go_quote
from pymetrics_server.options.flags import Flag, Group, Kind, effective_flags
from pymetrics_server.options.inert import inert_flags
from pymetrics_server.options.shown import go_text

_HEAD = """\
Usage:
  pymetrics-server [flags]
  pymetrics-server demo [flags]
  pymetrics-server certs COMMAND [flags]
  pymetrics-server doctor [flags]
"""


def usage_text() -> str:
    """What stands behind an error, too."""
    flags = (*effective_flags(), *inert_flags())
    return _HEAD + "".join(_section(group, [f for f in flags if f.group is group]) for group in Group)


def help_text() -> str:
    return f"Launch metrics-server\n\n{usage_text()}"


def _section(group: Group, flags: Sequence[Flag]) -> str:
    return f"\n{group.value}:\n\n" + "".join(f"{line}\n" for line in _lines(flags))


def _lines(flags: Iterable[Flag]) -> list[str]:
    rows = [(_left(flag), _right(flag)) for flag in sorted(flags, key=lambda f: f.name)]
    width = max((len(left) for left, _ in rows), default=0)
    return [f"{left:{width}}   {right}" for left, right in rows]


def _left(flag: Flag) -> str:
    short = f"-{flag.shorthand}, " if flag.shorthand else "    "
    value = "" if flag.kind is Kind.BOOL else f" {flag.kind.value}"
    return f"  {short}--{flag.name}{value}"


def _right(flag: Flag) -> str:
    """No default for a zero value, which a reader assumes, nor where it has no effect."""
    if not flag.field:
        return f"NO EFFECT: {flag.help}"
    if not flag.default:
        return flag.help
    shown = go_text(flag, flag.default)
    return f"{flag.help} (default {go_quote(shown) if flag.kind is Kind.TEXT else shown})"

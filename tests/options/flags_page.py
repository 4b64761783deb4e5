"""docs/flags.md, written from the table of flags."""

from collections.abc import Iterator

from pymetrics_server.options.flags import OURS_ALONE, Flag, Group, Kind, effective_flags
from pymetrics_server.options.inert import inert_flags
from pymetrics_server.options.shown import go_text

_HEAD = """\
# Flags

Written from the table in `pymetrics_server/options`; `make update` writes it anew. Every flag of metrics-server 0.9 is
accepted, in Go's syntax: `--name value`, `--name=value`, `-v2`. Lists are comma separated (`"a,b",c` is two), and grow
where a flag is given again. Durations are Go's: `15s`, `1m30s`. A line without a default has an empty one.

- **same**: as in metrics-server.
- **ours alone**: metrics-server does not have it.
- **no effect**: taken so that metrics-server's arguments work as they are; the meaning says why it changes nothing. A
  wrong value is refused all the same.
"""


def flags_page() -> str:
    return _HEAD + "".join(f"\n{line}" if line.startswith("#") else line for line in _lines())


def _lines() -> Iterator[str]:
    flags = sorted((*effective_flags(), *inert_flags()), key=lambda flag: flag.name)
    for group in Group:
        yield f"## {group.value}\n\n| flag | type | default | | meaning |\n|---|---|---|---|---|\n"
        yield from (_row(flag) for flag in flags if flag.group is group)


def _row(flag: Flag) -> str:
    short = f"`-{flag.shorthand}`, " if flag.shorthand else ""
    kind = "bool" if flag.kind is Kind.BOOL else flag.kind.value
    shown = go_text(flag, flag.default).strip("[]")
    default = f"`{shown}`" if shown else ""
    against = "ours alone" if flag.name in OURS_ALONE else "same" if flag.field else "no effect"
    meaning = flag.help.replace("|", "\\|")
    return f"| {short}`--{flag.name}` | {kind} | {default} | {against} | {meaning} |\n"

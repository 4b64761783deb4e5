"""How arguments are read: the syntax of Go's pflag and its error texts.

pflag: https://pkg.go.dev/github.com/spf13/pflag#hdr-Command_line_flag_syntax
"""

from collections.abc import Mapping, Sequence
from typing import cast

from pymetrics_server.errors import ConfigError
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.options.flags import Flag, Kind, Value
from pymetrics_server.options.values import read_value


class UsageError(ConfigError):
    """What was typed cannot be used."""


def read_arguments(argv: Sequence[str], flags: Sequence[Flag]) -> dict[str, Value]:
    """The values by flag name, of the flags that were given. Positional arguments are ignored."""
    by_name = {flag.name: flag for flag in flags}
    by_shorthand = {flag.shorthand: flag for flag in flags if flag.shorthand}
    values: dict[str, Value] = {}
    rest = list(reversed(argv))
    while rest:
        argument = rest.pop()
        if argument == "--":
            break
        if argument.startswith("--"):
            _read_long(argument, rest, by_name, values)
        elif argument.startswith("-") and argument != "-":
            _read_shorthands(argument[1:], rest, by_shorthand, values)
    return values


def _read_long(argument: str, rest: list[str], by_name: Mapping[str, Flag], values: dict[str, Value]) -> None:
    name, assigned, text = argument[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {argument}")
    flag = by_name.get(name)
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if not assigned:
        if flag.kind is Kind.BOOL:
            text = "true"
        elif rest:
            text = rest.pop()
        else:
            raise UsageError(f"flag needs an argument: --{name}")
    _set(flag, text, values)


def _read_shorthands(
    letters: str, rest: list[str], by_shorthand: Mapping[str, Flag], values: dict[str, Value]
) -> None:
    """Booleans may be joined (`-hv3`); the first that takes a value takes all that follows."""
    whole = letters
    while letters:
        flag = by_shorthand.get(letters[0])
        if flag is None:
            first_byte = chr(letters[0].encode("utf-8", "surrogateescape")[0])
            raise UsageError(f"unknown shorthand flag: '{first_byte}' in -{letters}")
        if len(letters) > 2 and letters[1] == "=":
            text, letters = letters[2:], ""
        elif flag.kind is Kind.BOOL:
            text, letters = "true", letters[1:]
        elif len(letters) > 1:
            text, letters = letters[1:], ""
        elif rest:
            text, letters = rest.pop(), ""
        else:
            raise UsageError(f"flag needs an argument: '{letters}' in -{whole}")
        _set(flag, text, values)


def _set(flag: Flag, text: str, values: dict[str, Value]) -> None:
    if flag.kind is Kind.IP and not text:
        return  # leaves what was there
    try:
        value = read_value(flag.kind, text)
    except ValueError as err:
        shown = f"-{flag.shorthand}, --{flag.name}" if flag.shorthand else f"--{flag.name}"
        raise UsageError(f"invalid argument {go_quote(text)} for {go_quote(shown)} flag: {err}") from None
    before = values.get(flag.name)
    if isinstance(before, tuple) and isinstance(value, tuple):
        value = cast("Value", (*before, *value))  # both of the flag's kind
    values[flag.name] = value

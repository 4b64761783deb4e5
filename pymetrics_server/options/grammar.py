"""How arguments are read: the grammar and the error texts of Go's pflag.

pflag: https://pkg.go.dev/github.com/spf13/pflag#hdr-Command_line_flag_syntax
"""

import csv
import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from pymetrics_server.errors import ConfigError
from pymetrics_server.meta.duration import parse_go
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.options.flags import Flag, Kind, NamedCertKey, Value

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"([+-]?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,22})")
_MAX_INT64 = 2**63 - 1
_MAX_LEVEL = 2**31 - 1


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
            raise UsageError(f"unknown shorthand flag: '{letters[0]}' in -{letters}")
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
    try:
        value = _READERS[flag.kind](text)
    except ValueError as err:
        shown = f"-{flag.shorthand}, --{flag.name}" if flag.shorthand else f"--{flag.name}"
        raise UsageError(f"invalid argument {go_quote(text)} for {go_quote(shown)} flag: {err}") from None
    before = values.get(flag.name)
    if isinstance(before, tuple) and isinstance(value, tuple):
        value = cast("Value", (*before, *value))  # both of the flag's kind
    values[flag.name] = value


def _read_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {go_quote(text)}: invalid syntax")


def _read_int(text: str) -> int:
    found = _INTEGER.fullmatch(text)
    if found is None:
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax")
    sign, digits = found.groups()
    octal = len(digits) > 1 and digits.isdecimal() and digits[0] == "0"
    try:
        value = int(f"{sign}{digits}", 8 if octal else 0)
    except ValueError:
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax") from None
    if not -_MAX_INT64 - 1 <= value <= _MAX_INT64:
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: value out of range")
    return value


def _read_level(text: str) -> int:
    found = _INTEGER.fullmatch(text)
    if found is None or not found[2].isdecimal():
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax")
    if not -_MAX_LEVEL - 1 <= int(text) <= _MAX_LEVEL:
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: value out of range")
    return int(text)


def _read_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {go_quote(text)}: invalid syntax") from None
    if math.isnan(value):
        raise ValueError(f"strconv.ParseFloat: parsing {go_quote(text)}: invalid syntax")
    return value


def _read_texts(text: str) -> tuple[str, ...]:
    """CSV, so that a value may have a comma: `"a,b",c`."""
    if not text:
        return ()
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as err:
        raise ValueError(f"parse error: {err}") from None
    return tuple(rows[0]) if rows else ()


def _read_named_cert_key(text: str) -> tuple[NamedCertKey, ...]:
    """k8s.io/component-base: https://pkg.go.dev/k8s.io/component-base/cli/flag#NamedCertKey"""
    files, colon, listed = text.partition(":")
    if colon and not listed.strip():
        raise ValueError("empty names list is not allowed")
    paths = [path.strip() for path in files.split(",")]
    if len(paths) != 2:
        raise ValueError("expected comma separated certificate and key file paths")
    names = tuple(name.strip() for name in listed.split(",")) if colon else ()
    return (NamedCertKey(paths[0], paths[1], names),)


def _read_ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"failed to parse IP: {go_quote(text)}") from None


def _read_text(text: str) -> str:
    return text


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.BOOL: _read_bool,
    Kind.INT: _read_int,
    Kind.FLOAT: _read_float,
    Kind.TEXT: _read_text,
    Kind.TEXTS: _read_texts,
    Kind.DURATION: parse_go,
    Kind.IP: _read_ip,
    Kind.LEVEL: _read_level,
    Kind.NAMED_CERT_KEYS: _read_named_cert_key,
}

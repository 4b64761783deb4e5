"""What a flag's text means, kind by kind: the grammar and the error texts of Go's pflag and strconv.

Each reader raises ValueError in Go's words. Go: https://pkg.go.dev/strconv#ParseInt
"""

import ipaddress
import math
import re
import struct
from collections.abc import Callable, Mapping

from pymetrics_server.log import FileLevel
from pymetrics_server.meta.duration import parse_go
from pymetrics_server.meta.quantity import parse_nano
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.options.commas import read_commas
from pymetrics_server.options.flags import Kind, NamedCertKey, Value

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(
    r"([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[bB]((?:_?[01])+)|0[oO]?((?:_?[0-7])+)|([1-9](?:_?[0-9])*|0))"
)
_BASES = (16, 2, 8, 10)
_DIGITS = r"[0-9](?:_?[0-9])*"
_HEX_DIGITS = r"[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_HEX_FLOAT = re.compile(
    rf"[+-]?0[xX]_?(?:{_HEX_DIGITS}\.?(?:{_HEX_DIGITS})?|\.{_HEX_DIGITS})[pP][+-]?{_DIGITS}"
)
_SPECIAL_FLOAT = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_UNSIGNED = re.compile(r"[0-9]+")
_MOST_DIGITS = 80  # of 64 bits in any base, with room; what is longer is out of range


def read_value(kind: Kind, text: str) -> Value:
    """Raises ValueError in Go's words."""
    return _READERS[kind](text)


def _read_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {go_quote(text)}: invalid syntax")


def _read_signed(text: str, bits: int) -> int:
    found = _INTEGER.fullmatch(text)
    if found is None:
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax")
    sign, *bases = found.groups()
    base, digits = next((b, d.replace("_", "")) for b, d in zip(_BASES, bases, strict=True) if d is not None)
    digits = digits.lstrip("0") or "0"
    limit = 2 ** (bits - 1)
    value = int(f"{sign}{digits}", base) if len(digits) <= _MOST_DIGITS else limit
    if not -limit <= value < limit:
        raise ValueError(f"strconv.ParseInt: parsing {go_quote(text)}: value out of range")
    return value


def _read_int(text: str) -> int:
    return _read_signed(text, 64)


def _read_int32s(text: str) -> tuple[int, ...]:
    return tuple(_read_signed(part, 32) for part in text.split(","))


def _read_level(text: str) -> int:
    if not _UNSIGNED.fullmatch(text):
        raise ValueError(f"strconv.ParseUint: parsing {go_quote(text)}: invalid syntax")
    digits = text.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS or int(digits) >= 2**31:
        raise ValueError(f"strconv.ParseUint: parsing {go_quote(text)}: value out of range")
    return int(digits)


def _read_float(text: str) -> float:
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text)
    plain = text.replace("_", "")
    try:
        if _FLOAT.fullmatch(text):
            value = float(plain)
        elif _HEX_FLOAT.fullmatch(text):
            value = float.fromhex(plain)
        else:
            raise ValueError(f"strconv.ParseFloat: parsing {go_quote(text)}: invalid syntax")
    except OverflowError:
        value = math.inf
    if math.isinf(value):
        raise ValueError(f"strconv.ParseFloat: parsing {go_quote(text)}: value out of range")
    return value


def _read_float32(text: str) -> float:
    value = _read_float(text)
    try:
        struct.pack("<f", value)
    except OverflowError:
        raise ValueError(f"strconv.ParseFloat: parsing {go_quote(text)}: value out of range") from None
    return value


def _read_quantity(text: str) -> str:
    """As it was typed."""
    parse_nano(text)
    return text


def _read_file_levels(text: str) -> tuple[FileLevel, ...]:
    """klog: https://pkg.go.dev/k8s.io/klog/v2#hdr-Other_flags_provide_aliases_to_the_same_functionality"""
    levels: list[FileLevel] = []
    for part in filter(None, text.split(",")):
        pattern, *level = part.split("=")
        if len(level) != 1 or not pattern or not level[0]:
            raise ValueError(f"{go_quote(part)} does not have the pattern=N format")
        try:
            levels.append(FileLevel(pattern, _read_level(level[0])))
        except ValueError as err:
            raise ValueError(f"parsing verbosity in {go_quote(part)}: {err}") from None
    return tuple(levels)


def _read_gates(text: str) -> tuple[str, ...]:
    """Each as `component:gate`; the component is "" where none is named."""
    pairs: list[str] = []
    for pair in filter(None, text.split(",")):
        component, colon, gate = pair.partition(":")
        pairs.append(f"{component.strip()}:{gate.strip()}" if colon else f":{component.strip()}")
    return tuple(pairs)


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
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ValueError(f"failed to parse IP: {go_quote(text)}") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"failed to parse IP: {go_quote(text)}")
        return str(address.ipv4_mapped or address)
    return str(address)


def _read_text(text: str) -> str:
    return text


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.BOOL: _read_bool,
    Kind.INT: _read_int,
    Kind.INT32S: _read_int32s,
    Kind.FLOAT: _read_float,
    Kind.FLOAT32: _read_float32,
    Kind.TEXT: _read_text,
    Kind.TEXTS: read_commas,
    Kind.DURATION: parse_go,
    Kind.QUANTITY: _read_quantity,
    Kind.IP: _read_ip,
    Kind.LEVEL: _read_level,
    Kind.FILE_LEVELS: _read_file_levels,
    Kind.GATES: _read_gates,
    Kind.NAMED_CERT_KEYS: _read_named_cert_key,
}

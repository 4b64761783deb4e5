"""resource.Quantity: the strings of cpu and memory, written in canonical form and read in every form.

Kubernetes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re

_NANO_PER_UNIT = 10**9
_MAX_INT64 = 2**63 - 1
_CPU_SUFFIXES = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY_SUFFIXES = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_MULTIPLIERS = {suffix: 1024**power for power, suffix in enumerate(_BINARY_SUFFIXES, 1)}
_DECIMAL_EXPONENTS = {suffix: 3 * place - 9 for place, suffix in enumerate(_CPU_SUFFIXES)}
#: Beyond these a value is certainly above the largest quantity or below a nano; no such power is computed.
_EXPONENT_LIMIT = 64

_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE][-+]?[0-9]{1,18}")
_BAD_FORM = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_BAD_SUFFIX = "unable to parse quantity's suffix"


def format_cpu(nanocores: int) -> str:
    """DecimalSI without a decimal point: `123457230n`, `50m`, `2`. nanocores is not negative."""
    if nanocores > _MAX_INT64:
        nanocores -= nanocores % 10
    if nanocores % 1000:
        return f"{nanocores}n"
    if not nanocores:
        return "0"
    place = 0
    while not nanocores % 1000 and place < len(_CPU_SUFFIXES) - 1:
        nanocores //= 1000
        place += 1
    return f"{nanocores}{_CPU_SUFFIXES[place]}"


def format_memory(value_bytes: int) -> str:
    """BinarySI: `50Mi`, `12533761`; below 1024 as DecimalSI. value_bytes is not negative."""
    if value_bytes > _MAX_INT64:
        value_bytes -= value_bytes % 10
    if value_bytes & 1023:
        return "1k" if value_bytes == 1000 else str(value_bytes)
    if not value_bytes:
        return "0"
    power = 0
    while not value_bytes & 1023 and power < len(_BINARY_SUFFIXES):
        value_bytes >>= 10
        power += 1
    return f"{value_bytes}{_BINARY_SUFFIXES[power - 1]}"


def parse_nano(text: str) -> int:
    """Any quantity in units of 10**-9, rounded away from zero and capped at 2**63 - 1 whole units.

    Raises ValueError in Kubernetes' words.
    """
    sign, digits, scale, multiplier = _split(text)
    return sign * _ceil_scaled(digits * multiplier, scale + 9, _NANO_PER_UNIT * _MAX_INT64)


def parse_bytes(text: str) -> int:
    """Any quantity in whole units, rounded away from zero and capped at 2**63 - 1. Raises ValueError."""
    sign, digits, scale, multiplier = _split(text)
    return sign * _ceil_scaled(digits * multiplier, scale, _MAX_INT64)


def _split(text: str) -> tuple[int, int, int, int]:
    """(sign, digits, power of ten, binary multiplier): the value is their product."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(_BAD_FORM)
    sign, whole, fraction, suffix = found.groups()
    fraction = fraction or ""
    if not whole and not fraction:
        raise ValueError(_BAD_FORM)
    scale = -len(fraction)
    multiplier = 1
    if suffix in _DECIMAL_EXPONENTS:
        scale += _DECIMAL_EXPONENTS[suffix]
    elif suffix in _MULTIPLIERS:
        multiplier = _MULTIPLIERS[suffix]
    elif _EXPONENT.fullmatch(suffix):
        scale += int(suffix[1:])
    else:
        raise ValueError(_BAD_SUFFIX)
    return (-1 if sign == "-" else 1), int(whole + fraction), scale, multiplier


def _ceil_scaled(value: int, scale: int, cap: int) -> int:
    """value x 10**scale, rounded up, at most cap."""
    if not value:
        return 0
    if scale >= 0:
        return cap if scale > _EXPONENT_LIMIT else min(value * 10**scale, cap)
    if -scale > _EXPONENT_LIMIT + len(str(value)):
        return 1
    divisor: int = 10**-scale
    return min(-(-value // divisor), cap)

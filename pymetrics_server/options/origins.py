"""What kube-apiserver asks of --cors-allowed-origins and --strict-transport-security-directives.

Kubernetes: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""

import re
import warnings
from collections.abc import Iterable

from pymetrics_server.options.flags import CORS_HELP

_HSTS_FORM = (
    "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, "
    "preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
)
#: What Python's expressions know and Go's do not: a pattern means the same here and there, or is refused.
#: The first group has them; what is escaped or within a class is passed over.
_NOT_IN_GO = re.compile(
    r"(\\[1-9]|\(\?(?:[=!>#(]|<[=!]|P=)|[*+?}]\+)|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL
)


def hsts_violation(directives: Iterable[str]) -> str:
    """ "" where there is none."""
    found: list[str] = []
    for directive in directives:
        if not directive.strip():
            found.append("empty value in strict-transport-security-directives")
        elif directive not in ("includeSubDomains", "preload"):
            name, *value = directive.split("=")
            if name != "max-age" or len(value) != 1:
                found.append(_HSTS_FORM)
    return _together(found)


def cors_violation(patterns: Iterable[str]) -> str:
    """ "" where there is none."""
    found: list[str] = []
    for pattern in patterns:
        if not pattern:
            found.append(f"empty value in --cors-allowed-origins, help: {CORS_HELP}")
        elif wrong := _pattern_violation(pattern):
            found.append(
                f"--cors-allowed-origins has an invalid regular expression: {wrong}, help: {CORS_HELP}"
            )
    return _together(found)


def _pattern_violation(pattern: str) -> str:
    for part in _NOT_IN_GO.finditer(pattern):
        if part[1]:
            return f"error parsing regexp: invalid or unsupported Perl syntax: `{part[1]}`"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # [[:alpha:]] is a class in Go, and something else here
            re.compile(pattern)
    except (re.error, FutureWarning, RecursionError, OverflowError) as err:
        return f"error parsing regexp: {err}"
    if not any(mark in pattern for mark in ("^", "//")) or not any(mark in pattern for mark in ("$", ":")):
        return "regular expression does not pin to start/end of host in the origin header"
    return ""


def _together(messages: Iterable[str]) -> str:
    """As Kubernetes joins errors: each once, in brackets where there are several."""
    distinct = list(dict.fromkeys(messages))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""

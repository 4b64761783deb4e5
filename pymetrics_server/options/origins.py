"""What kube-apiserver asks of --cors-allowed-origins and --strict-transport-security-directives.

Kubernetes: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
"""

import re
from collections.abc import Iterable

from pymetrics_server.options.flags import CORS_HELP

_HSTS_FORM = (
    "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, "
    "preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
)
#: What means the same to Go's expressions and to ours; anything else is refused, for a pattern decides whose pages
#: may read.
_PART = re.compile(
    r"[A-Za-z0-9 _\-/:%@~,=&!#';\"<>`]|\\[.\-/:\\+*?()\[\]{}|^$dDwW]|\[\^?(?:[A-Za-z0-9_.:+*?/]|\\[.\-\]\\dw]|-)+\]"
    r"|[.^$|)]|\((?:\?:|(?!\?))|(?P<repeated>[*+?]\??|\{[0-9]{1,3}(?:,[0-9]{0,3})?\}\??)"
)
#: Our expressions try one way after another where Go's try all at once: the time that bounds is up to whoever
#: asks, before anybody knows who that is.
_MOST_UNBOUNDED = 2
_WIDE = 16


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
    return together(found)


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
    return together(found)


def _pattern_violation(pattern: str) -> str:
    at = unbounded = 0
    before = ""
    repeated_before = False
    while at < len(pattern):
        part = _PART.match(pattern, at)
        if part is None:
            return f"error parsing regexp: invalid or unsupported Perl syntax: `{pattern[at : at + 3]}`"
        repeated = part["repeated"] or ""
        if repeated and repeated_before:
            return f"error parsing regexp: invalid nested repetition operator: `{before}{repeated}`"
        if repeated and not repeated.startswith("?"):
            low, comma, high = repeated.strip("{}?").partition(",")
            wide = not low.isdigit() or (comma != "" and int(high or _WIDE) >= _WIDE)
            unbounded += wide
            if before == ")" or unbounded > _MOST_UNBOUNDED:
                return (
                    "a repeated group, or more than two wide repetitions, is not supported: write [a-z0-9.-]+ "
                    r"where you mean ([a-z0-9-]+\.)*"
                )
        before, repeated_before, at = part[0], repeated != "", part.end()
    try:
        re.compile(pattern, re.ASCII)
    except (re.error, RecursionError, OverflowError) as err:
        return f"error parsing regexp: {err}"
    if not any(mark in pattern for mark in ("^", "//")) or not any(mark in pattern for mark in ("$", ":")):
        return "regular expression does not pin to start/end of host in the origin header"
    return ""


def together(messages: Iterable[str]) -> str:
    """As Kubernetes joins errors: each once, in brackets where there are several."""
    distinct = list(dict.fromkeys(messages))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""

"""What was seen, in words or in JSON."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from pymetrics_server.certs.looking import Section
from pymetrics_server.x509 import Inspected

_NS_PER_S, _NS_PER_DAY = 1_000_000_000, 86_400_000_000_000


def is_well(sections: Sequence[Section]) -> bool:
    """Whether every certificate can serve as something now, and nothing else is amiss."""
    certificates = [c for s in sections for c in s.certificates]
    return (
        bool(certificates)
        and all(c.fits_something for c in certificates)
        and not any(s.problems for s in sections)
    )


def as_text(sections: Sequence[Section], now_ns: int) -> str:
    return "\n".join("".join(f"{line}\n" for line in _lines(section, now_ns)) for section in sections)


def as_json(sections: Sequence[Section], now_ns: int) -> str:
    document = {
        "ok": is_well(sections),
        "now": _rfc3339(now_ns),
        "sections": [
            {
                "source": section.source,
                "settings": section.settings,
                "problems": section.problems,
                "certificates": [_certificate(c) for c in section.certificates],
            }
            for section in sections
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _lines(section: Section, now_ns: int) -> Iterator[str]:
    yield f"{_line(section.source)}:"
    width = max(map(len, section.settings), default=0)
    for name, value in section.settings.items():
        yield f"  {name:{width}}  {_line(value)}"
    for number, certificate in enumerate(section.certificates, 1):
        if number > 1:
            yield ""
        yield from _certificate_lines(certificate, now_ns)
    for problem in section.problems:
        yield f"  ! {_line(problem)}"


def _certificate_lines(found: Inspected, now_ns: int) -> Iterator[str]:
    kind = "CA" if found.is_ca else "leaf"
    issuer = "itself" if found.self_signed else _line(found.issuer) or "(no issuer)"
    yield f"  {_line(found.subject) or '(no subject)'}"
    yield f"    kind      {kind}, signed by {issuer}"
    yield (
        f"    valid     {_rfc3339(found.not_before_ns)} to {_rfc3339(found.not_after_ns)}, "
        f"{_left(found, now_ns)}"
    )
    yield f"    names     {_listed((*found.dns_names, *found.ip_addresses, *found.other_names))}"
    yield f"    usages    {_usages(found)}"
    yield f"    key       {found.key}, signed with {found.signature}"
    yield f"    sha256    {found.sha256}"
    fits = [f.purpose for f in found.fitness if f.fits]
    yield f"    fit for   {_listed(fits, 'nothing')}"
    if found.is_ca and fits:
        return  # that it is no leaf needs no reasons
    for fitness in found.fitness:
        if fitness.reasons and fitness.purpose != "CA":
            yield f"    not as {fitness.purpose}:"
            yield from (f"      - {_line(reason)}" for reason in fitness.reasons)


def _usages(found: Inspected) -> str:
    if found.usages is None and found.extended_usages is None:
        return "all (none are named)"
    return _listed((*(found.usages or ()), *(found.extended_usages or ())))


def _left(found: Inspected, now_ns: int) -> str:
    if now_ns < found.not_before_ns:
        return "not yet valid"
    days = abs(found.not_after_ns - now_ns) // _NS_PER_DAY
    unit = "day" if days == 1 else "days"
    return f"{days} {unit} left" if now_ns <= found.not_after_ns else f"expired {days} {unit} ago"


def _certificate(found: Inspected) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(found)
    for side in ("before", "after"):
        values[f"not_{side}"] = _rfc3339(values.pop(f"not_{side}_ns"))
    values["fitness"] = [{"purpose": f.purpose, "fits": f.fits, "reasons": f.reasons} for f in found.fitness]
    return values


def _listed(words: Sequence[str], nothing: str = "none") -> str:
    return ", ".join(map(_line, words)) or nothing


def _line(text: str) -> str:
    """What strangers wrote moves no cursor and starts no line of its own."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _rfc3339(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // _NS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"

"""Lists as Go's encoding/csv reads their first line, in its words: `a,"b,c"` is a and b,c.

Go: https://pkg.go.dev/encoding/csv
"""

from typing import NamedTuple

_STRAY = 'bare " in non-quoted-field'
_UNENDED = 'extraneous or missing " in quoted-field'


class _Field(NamedTuple):
    text: str
    end: int  # of the field: at a comma, a line break or the end of the text


def read_commas(text: str) -> tuple[str, ...]:
    """What stands behind the first line is not read. Raises ValueError."""
    if not text:
        return ()
    plain = text.replace("\r\n", "\n").removesuffix("\r")
    at = len(plain) - len(plain.lstrip("\n"))
    if at == len(plain):
        raise ValueError("EOF")
    first_line = at
    fields: list[str] = []
    while True:
        read = _quoted if plain[at : at + 1] == '"' else _unquoted
        field = read(plain, at, first_line)
        fields.append(field.text)
        if plain[field.end : field.end + 1] != ",":
            return tuple(fields)
        at = field.end + 1


def _unquoted(plain: str, at: int, first_line: int) -> _Field:
    line_end = plain.find("\n", at)
    rest = plain[at:] if line_end < 0 else plain[at:line_end]
    text = rest.partition(",")[0]
    if '"' in text:
        raise _wrong(plain, at + text.index('"'), first_line, _STRAY)
    return _Field(text, at + len(text))


def _quoted(plain: str, start: int, first_line: int) -> _Field:
    text = ""
    at = start + 1
    while True:
        quote = plain.find('"', at)
        if quote < 0:
            raise _wrong(plain, len(plain), first_line, _UNENDED)
        text += plain[at:quote]
        at = quote + 1
        behind = plain[at : at + 1]
        if behind != '"':
            if behind in ("", ",", "\n"):
                return _Field(text, at)
            raise _wrong(plain, quote, first_line, _UNENDED)
        text += '"'
        at += 1


def _wrong(plain: str, at: int, first_line: int, what: str) -> ValueError:
    """Lines and bytes are counted from 1."""
    line = plain.count("\n", 0, at) + 1
    column = len(plain[plain.rfind("\n", 0, at) + 1 : at].encode("utf-8", "surrogateescape")) + 1
    of_record = plain.count("\n", 0, first_line) + 1
    where = "" if line == of_record else f"record on line {of_record}; "
    return ValueError(f"{where}parse error on line {line}, column {column}: {what}")

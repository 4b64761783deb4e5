"""Which form of a document answers an Accept header, and whether it may be compressed.

Looser than for resources: parameters of a type are not read, and `application/*` is enough.
"""

from collections.abc import Iterator

JSON = "application/json"
PROTOBUF_2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
PROTOBUF_3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"


class _Clause:
    """Ordered as the original orders them: a type that is named goes before `*`, whatever its q."""

    __slots__ = ("_q", "_subtype", "_type")

    def __init__(self, media_type: str, q: float) -> None:
        self._type, _, self._subtype = media_type.partition("/")
        self._q = q

    def __lt__(self, other: "_Clause") -> bool:
        return (
            self._q > other._q
            or (self._type != "*" and other._type == "*")
            or (self._subtype != "*" and other._subtype == "*")
        )

    def takes(self, media_type: str) -> bool:
        main, _, subtype = media_type.partition("/")
        return self._type in (main, "*") and self._subtype in (subtype, "*")


def chosen(accept: str, protobuf: str) -> str | None:
    """`protobuf` or JSON, or None where neither is accepted. Types may spell the version `@v1.0`."""
    old_protobuf = protobuf.replace(".v1.0", "@v1.0")
    for clause in sorted(_clauses(accept)):
        if clause.takes(JSON):
            return JSON
        if clause.takes(protobuf) or clause.takes(old_protobuf):
            return protobuf
    return None


def names_any_type(accept: str) -> bool:
    """Whether there is anything in it that is a media type at all."""
    return any(True for _ in _clauses(accept))


def takes_gzip(accept_encoding: str) -> bool:
    """Only where gzip itself is named, with a q above 0."""
    for element in accept_encoding.split(","):
        coding, *options = (part.strip() for part in element.split(";"))
        if coding.lower() == "gzip":
            qs = [option[2:] for option in options if option.startswith("q=")]
            return not qs or _number(qs[-1]) > 0
    return False


def _clauses(accept: str) -> Iterator[_Clause]:
    for element in (accept or "*/*").split(","):
        media_type, *options = (part.strip(" ") for part in element.split(";"))
        if media_type == "*":
            media_type = "*/*"
        main, _, subtype = media_type.partition("/")
        if not subtype or "/" in subtype:
            continue
        qs = [value for key, _, value in (option.partition("=") for option in options) if key.strip() == "q"]
        yield _Clause(f"{main.strip(' ')}/{subtype.strip(' ')}", _number(qs[-1]) if qs else 1.0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

"""Which form of a document answers an Accept header, and whether it may be compressed.

Looser than for resources: parameters of a type are not read, and `application/*` is enough.
"""

from pymetrics_server.api.negotiation import JSON, Clause, clauses

PROTOBUF_2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
PROTOBUF_3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"


def chosen(accept: str, protobuf: str) -> str | None:
    """`protobuf` or JSON, or None where neither is accepted. Types may spell the version `@v1.0`."""
    old_protobuf = protobuf.replace(".v1.0", "@v1.0")
    for clause in clauses(accept or "*/*"):
        if _takes(clause, JSON):
            return JSON
        if _takes(clause, protobuf) or _takes(clause, old_protobuf):
            return protobuf
    return None


def names_any_type(accept: str) -> bool:
    """Whether there is anything in it that is a media type at all."""
    return bool(clauses(accept or "*/*"))


def takes_gzip(accept_encoding: str) -> bool:
    """Only where gzip itself is named, with a q above 0."""
    for element in accept_encoding.split(","):
        coding, *options = (part.strip() for part in element.split(";"))
        if coding.lower() == "gzip":
            qs = [option[2:] for option in options if option.startswith("q=")]
            return not qs or _number(qs[-1]) > 0
    return False


def _takes(clause: Clause, media_type: str) -> bool:
    main, _, sub = media_type.partition("/")
    return clause.main in (main, "*") and clause.sub in (sub, "*")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

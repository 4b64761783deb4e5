"""Where the answers may differ: each row names requests and the row of docs/parity.md that says why.

A pattern of which every request gets the same answer from both fails the test as well: it is stale.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec


class Difference(msgspec.Struct, frozen=True):
    """`row` is text that docs/parity.md holds; `patterns` are of names of requests.

    Some builds of the original have what others have not: `in_every_build` False is never stale.
    """

    row: str
    patterns: Sequence[str]
    in_every_build: bool = True


ON_PURPOSE = (
    Difference(
        "a client certificate of an unknown CA, or not meant for clients",
        ("user: * as serving certificate", "user: * as stranger"),
    ),
    Difference(
        "impersonation",
        ("impersonation: *Impersonate-User=* as alice", "impersonation: *Impersonate-User=* as anonymous"),
    ),
    Difference("websocket tokens", ("credentials: * Upgrade=websocket *",)),
    Difference(
        "other pages below `/debug`",
        ("debug: GET /debug/pprof*", "method: * /debug/pprof/*", "debug: GET /debug/flags*"),
    ),
    Difference("`/flagz`", ("* /flagz*",)),
    Difference("aggregated discovery", ("aggregated: *v=v2beta1*",)),
    Difference("bytes that are not UTF-8", ("unknown: GET *%ff*", "labels: *%ff")),
    Difference(
        "one text exposition",
        ("gzip: GET /metrics *", "metrics: GET /metrics Accept=*"),
    ),
    Difference("a refusal of `/statusz` in protobuf", ("zpages: GET /statusz Accept=*protobuf*",)),
    Difference("`Range`, `If-Modified-Since`", ("openapi: * Range=*", "openapi: * If-Modified-Since=*")),
    Difference(
        "a request line that is none",
        ("method: get *", "protocol: GET [*]"),
    ),
    Difference(
        "OpenAPI in protobuf, of builds with Go 1.27",
        ("openapi: GET /openapi/v[23]* Accept=*application/com.github.proto-openapi.*",),
        in_every_build=False,
    ),
)


def matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern)


def row_of(name: str) -> str | None:
    return next((d.row for d in ON_PURPOSE if any(matches(p, name) for p in d.patterns)), None)

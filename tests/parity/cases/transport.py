"""Compression, other origins, and HTTP itself."""

from collections.abc import Iterator
from itertools import chain

from tests.parity.requests import (
    BARE,
    GROUP,
    JSON,
    NODES,
    PODS,
    PROTOBUF,
    YAML,
    Request,
    V,
    View,
    each,
    table,
)


def requests() -> Iterator[Request]:
    return chain(_compression(), _cross_origin(), _protocol())


def _compression() -> Iterator[Request]:
    codings = (
        "gzip",
        "gzip, deflate",
        "deflate, gzip",
        "gzip;q=0.5",
        "gzip;q=1.0",
        "gzip;q=0",
        "*",
        "deflate",
        "identity",
        "br",
        "GZIP",
        " gzip ",
        "gzip,",
        "",
        "gzip, deflate, br, zstd",
        "x-gzip",
        "zstd",
        "identity;q=0",
    )
    for coding in codings:
        sent = (("Accept-Encoding", coding),)
        yield from each("gzip", (PODS, NODES), sent)
        yield from each("gzip", ("/openapi/v3",), sent)
        yield Request("gzip", "/openapi/v2", sent, view=View.HEADERS)
        yield Request("gzip", f"/openapi/v3{GROUP}/v1beta1", sent, view=View.HEADERS)
        yield Request("gzip", "/metrics", sent, view=View.FAMILIES)
    both = (("Accept-Encoding", "deflate"), ("Accept-Encoding", "gzip"))
    yield from each("gzip", (PODS,), both)
    for accept in (YAML, PROTOBUF, table(), f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"):
        yield from each(
            "gzip", (PODS, f"{PODS}?includeObject=Object"), (("Accept", accept), ("Accept-Encoding", "gzip"))
        )
    yield from each(
        "gzip",
        (f"{PODS}?pretty=1", "/apis", V, "/", "/version", "/healthz", f"{NODES}/zzz"),
        (("Accept-Encoding", "gzip"),),
    )
    yield from each("gzip", (PODS,), (("Accept-Encoding", "gzip"), ("User-Agent", "curl/8")))
    yield Request("gzip", PODS, (("Accept-Encoding", "gzip"),), method="HEAD")


def _cross_origin() -> Iterator[Request]:
    for origin in (
        "https://parity.example",
        "http://parity.example",
        "https://other.example",
        "https://parity.example.org",
        "null",
        "",
    ):
        for path in (BARE, "/healthz", "/nope"):
            yield Request("cors", path, (("Origin", origin),))
            yield Request(
                "cors", path, (("Origin", origin), ("Access-Control-Request-Method", "GET")), method="OPTIONS"
            )
    allowed = ("Origin", "https://parity.example")
    for user in ("anonymous", "alice", "nobody's token"):
        yield Request("cors", BARE, (allowed,), user=user)
        yield Request("cors", BARE, (allowed,), method="OPTIONS", user=user)
    yield Request(
        "cors",
        BARE,
        (allowed, ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "X-Foo")),
        method="OPTIONS",
    )


def _protocol() -> Iterator[Request]:
    for path in (BARE, PODS, "/healthz", "/nope"):
        yield Request("protocol", path, http="1.0")
    ids = (("Audit-Id", "my-id"),), (("Audit-Id", ""),), (("Audit-Id", "a" * 100),), (("Audit-Id", "<b>"),)
    yield from each("protocol", ("/healthz", BARE), *ids)
    yield from each("protocol", ("/healthz", BARE), ids[0], user="nobody's token")
    yield from each(
        "protocol",
        (BARE,),
        (("X-Forwarded-For", "1.2.3.4"),),
        (("Expect", "100-continue"),),
        (("Range", "bytes=0-9"),),
        (("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"),),
        (("X-HTTP-Method-Override", "DELETE"),),
    )
    yield from each("protocol", (BARE + "?" + "a" * 8000,), (("X-Long", "a" * 16000),))
    yield from each("protocol", (BARE + "#fragment", f"https://127.0.0.1{BARE}", "*"))

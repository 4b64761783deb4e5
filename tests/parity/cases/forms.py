"""Which form is asked for: Accept in all its ways, aggregated discovery, pretty JSON."""

from collections.abc import Iterator
from itertools import chain

from tests.parity.requests import (
    AGGREGATED_V2,
    BARE,
    DEFAULT,
    GROUP,
    JSON,
    NODES,
    PODS,
    PROTOBUF,
    YAML,
    Request,
    V,
    accepting,
    each,
)


def requests() -> Iterator[Request]:
    return chain(_accepts(), _group_discovery(), _pretty())


ACCEPTS = (
    "",
    "*/*",
    "application/*",
    "text/*",
    "text/html",
    "text/plain",
    JSON,
    YAML,
    PROTOBUF,
    "application/json; charset=utf-8",
    "application/json;charset=utf-8",
    "APPLICATION/JSON",
    "application/yaml; charset=utf-8",
    "text/yaml",
    "application/x-yaml",
    "application/cbor",
    "application/cbor,application/json",
    "application/json-seq",
    f"{PROTOBUF}, */*",
    f"{PROTOBUF},{JSON}",
    f"{PROTOBUF};q=0.1,{JSON};q=0.9",
    f"{JSON};q=0.1,{YAML};q=0.9",
    f"{JSON};q=0.5,{YAML};q=0.5",
    f"{JSON};q=0",
    f"{JSON};q=0,{YAML}",
    f"{JSON};q=0,{YAML};q=0",
    f"{JSON};q=abc",
    f"{JSON};q=2",
    f"{JSON};q=-1",
    f"{YAML};q=abc,{JSON}",
    f"{JSON};q=1.0000",
    "text/html,*/*;q=0.1",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "text/html;q=1,application/yaml;q=0.2",
    "application/*,application/yaml",
    "application/*;q=0.9,*/*;q=0.1",
    "application/*,text/html",
    f"{JSON};stream=watch",
    f"{PROTOBUF};stream=watch",
    f"{YAML};stream=watch",
    f"{JSON};stream=foo",
    f"{JSON};pretty=1",
    f"{JSON};pretty=true",
    f"{JSON};pretty=0",
    f"{JSON};pretty=",
    f"{YAML};pretty=1",
    f"{JSON};profile=x",
    f"{JSON};v=v1",
    f"{JSON};g=meta.k8s.io",
    f"{JSON};as=",
    f"{JSON};as=Foo;v=v1;g=meta.k8s.io",
    "garbage",
    "garbage/",
    "/json",
    ",",
    ",,application/yaml",
    ";",
    "application/json;",
    "application/json;;",
    "application/json;=",
    "application/json;a",
    'application/json;a="b',
    "application/json application/yaml",
    " application/yaml ",
    "application/json,",
    "*",
    "*/json",
    "application/yaml;q=0.5, text/html",
)


def _accepts() -> Iterator[Request]:
    yield from each("accept", (BARE, NODES), *map(accepting, ACCEPTS))
    yield from each("accept", (V,), *map(accepting, ACCEPTS))
    some = (
        "application/*",
        "text/html",
        YAML,
        PROTOBUF,
        f"{PROTOBUF},{JSON}",
        f"{JSON};q=0.1,{YAML};q=0.9",
        "garbage",
        f"{JSON};pretty=1",
        f"{YAML};stream=watch",
        f"{JSON};stream=watch",
    )
    yield from each(
        "accept",
        (
            PODS + "?labelSelector=app%3Dweb%2Ctier",
            DEFAULT,
            GROUP,
            "/apis",
            "/version",
            f"{NODES}/zzz",
            f"{V}/nope",
        ),
        *map(accepting, some),
    )
    yield from each(
        "accept", (NODES,), (("Accept", YAML), ("Accept", JSON)), (("Accept", "text/html"), ("Accept", YAML))
    )
    yield from each("accept", ("/", "/nope", "/healthz", "/metrics", "/openapi/v3"), user="monitor")


AGGREGATED_V2BETA1 = f"{JSON};g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


AGGREGATED_V3 = f"{JSON};g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList"


AGGREGATED_PROTOBUF = f"{PROTOBUF};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def _group_discovery() -> Iterator[Request]:
    accepts = (
        AGGREGATED_V2,
        AGGREGATED_V2BETA1,
        AGGREGATED_V3,
        AGGREGATED_PROTOBUF,
        f"{YAML};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        f"{AGGREGATED_V2},{AGGREGATED_V2BETA1},{JSON}",
        f"{AGGREGATED_V2BETA1},{AGGREGATED_V2},{JSON}",
        f"{AGGREGATED_V2BETA1},{JSON}",
        f"{AGGREGATED_V3},{JSON}",
        f"{AGGREGATED_V3},{YAML}",
        f"{JSON},{AGGREGATED_V2}",
        f"{JSON};q=0.5,{AGGREGATED_V2};q=0.9",
        f"{AGGREGATED_V2};q=0.5,{JSON};q=0.9",
        f"{AGGREGATED_PROTOBUF},{AGGREGATED_V2}",
        f"{AGGREGATED_PROTOBUF},{PROTOBUF}",
        f"{PROTOBUF},{AGGREGATED_V2}",
        f"{AGGREGATED_V2};profile=nopeer",
        f"{AGGREGATED_V2};profile=foo",
        f"{JSON};as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io",
        f"{JSON}; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io",
        f"{JSON};v=v2;as=APIGroupDiscoveryList",
        f"{JSON};g=apidiscovery.k8s.io;v=v2",
        f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscovery",
        f"{JSON};g=apidiscovery.k8s.io;as=APIGroupDiscoveryList",
        f"{AGGREGATED_V2},*/*",
        f"*/*,{AGGREGATED_V2}",
        "*/*;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/*;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        f"text/html,{AGGREGATED_V2}",
        f"{AGGREGATED_V2};pretty=1",
    )
    yield from each("aggregated", ("/apis",), *map(accepting, accepts))
    yield from each(
        "aggregated", ("/apis", "/apis/"), *map(accepting, (AGGREGATED_V2, AGGREGATED_PROTOBUF)), user="alice"
    )
    yield from each(
        "aggregated",
        ("/apis/", "/apis?pretty=1", "/api", GROUP, V, NODES, "/apis//"),
        accepting(AGGREGATED_V2),
        accepting(f"{AGGREGATED_V2},{JSON}"),
    )
    for sent in ('"nope"', "*", 'W/"nope"', ""):
        yield Request("aggregated", "/apis", (("Accept", AGGREGATED_V2), ("If-None-Match", sent)))
    for path in ("/apis", GROUP, V, NODES):
        yield Request("aggregated", path, (("If-None-Match", "*"),))
    yield from each(
        "aggregated",
        ("/apis",),
        (("Accept", AGGREGATED_V2), ("Accept-Encoding", "gzip")),
        (("Accept", AGGREGATED_V2), ("User-Agent", "curl/8")),
    )
    for method in ("HEAD", "OPTIONS", "POST", "DELETE"):
        yield Request("aggregated", "/apis", accepting(AGGREGATED_V2), method=method)


def _pretty() -> Iterator[Request]:
    for value in ("1", "0", "t", "T", "true", "TRUE", "True", "false", "f", "yes", "", "tRUE", "abc"):
        yield from each("pretty", (f"{BARE}?pretty={value}", f"/apis?pretty={value}"))
    yield from each(
        "pretty",
        (
            f"{BARE}?pretty",
            f"{BARE}?pretty&pretty=1",
            f"{BARE}?pretty=0&pretty=1",
            f"{NODES}/zzz?pretty=1",
            f"{NODES}?pretty=1",
            f"{V}?pretty=1",
            f"{V}/nope?pretty=1",
            f"{V}/namespaces/empty/pods?pretty=1",
            "/version?pretty=0",
            "/?pretty=0",
        ),
    )
    for agent in (
        "curl/8.5.0",
        "Wget/1.21",
        "Mozilla/5.0 (X11)",
        "Mozilla/4.0",
        "mozilla/5.0",
        "xcurl/8",
        "kubectl/v1.36",
        "curl",
        "CURL/8",
        "",
    ):
        yield from each(
            "pretty", (BARE, f"{NODES}/zzz", "/apis", NODES, f"{BARE}?pretty=0"), (("User-Agent", agent),)
        )
    curl = ("User-Agent", "curl/8.5.0")
    for accept in (YAML, PROTOBUF, f"{JSON};pretty=0", "application/*", "text/html"):
        yield from each("pretty", (BARE, f"{NODES}/zzz"), (("Accept", accept), curl))
    yield from each("pretty", (f"{BARE}?pretty=0",), accepting(f"{JSON};pretty=1"))
    yield from each(
        "pretty",
        (BARE,),
        (("Accept", f"{JSON};pretty=0"),),
        (("Accept", f"{JSON};pretty=abc"),),
        (("Accept", f"{JSON};pretty"),),
    )
    yield from each("pretty", (NODES, "/nope", "/metrics", "/"), (curl,), user="alice")
    yield from each("pretty", (BARE,), (curl,), user="nobody's token")
    yield from each("pretty", (f"{NODES}?limit=x",), (curl,), accepting(f"{JSON};pretty=1"))

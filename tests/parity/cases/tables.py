"""Tables and PartialObjectMetadata."""

from collections.abc import Iterator
from itertools import chain

from tests.parity.requests import (
    BARE,
    DEFAULT,
    GROUP,
    JSON,
    MEDIA,
    NODE_A,
    NODES,
    PROTOBUF,
    YAML,
    Request,
    V,
    accepting,
    each,
    table,
)


def requests() -> Iterator[Request]:
    return chain(_tables(), _partial_metadata())


def _tables() -> Iterator[Request]:
    lists = (NODES, DEFAULT, f"{V}/namespaces/empty/pods", NODE_A, BARE, f"{NODES}?labelSelector=zone%3Dz2")
    kinds = (table(), table("v1beta1"), table(media=YAML), table("v1beta1", YAML))
    yield from each("table", lists, *map(accepting, kinds))
    for include in ("None", "Metadata", "Object", "Foo", "", "none"):
        for path in (NODES, NODE_A, DEFAULT, BARE):
            yield Request("table", f"{path}?includeObject={include}", accepting(table()))
        yield Request("table", f"{NODES}?includeObject={include}", accepting(table("v1beta1")))
        yield Request("table", f"{NODES}?includeObject={include}", accepting(table(media=YAML)))
        yield Request("table", f"{NODES}?includeObject={include}")
    others = (
        table("v2"),
        table(media=PROTOBUF),
        f"{table(media=PROTOBUF)},{JSON}",
        f"{table(media=PROTOBUF)},{table()}",
        f"{table()},{JSON}",
        f"{table('v2')},{JSON}",
        f"{table()},{table('v1beta1')},{JSON}",
        f"{JSON},{table()}",
        f"{table('v1beta1')},{table()}",
        f"{table()};q=0.1,{YAML};q=0.9",
        f"{JSON};as=Table;g=meta.k8s.io;v=v1",
        f"{JSON};as=Table;g=meta.k8s.io",
        f"{JSON};as=Table;v=v1",
        f"{JSON};as=Table",
        f"{JSON};as=table;v=v1;g=meta.k8s.io",
        f"{JSON};as=Table;v=v1;g=metrics.k8s.io",
        "*/*;as=Table;v=v1;g=meta.k8s.io",
        "application/*;as=Table;v=v1;g=meta.k8s.io",
        f"{table()};pretty=1",
        f"{table()};charset=utf-8",
        f"text/html,{table()}",
    )
    yield from each("table", (NODES, BARE), *map(accepting, others))
    broken = (
        f"{NODES}/zzz",
        f"{NODES}/node-silent",
        f"{V}/nope",
        f"{NODES}?labelSelector=a===b",
        f"{NODES}?watch=1",
        f"{NODES}?resourceVersionMatch=Exact",
        f"{DEFAULT}/no-metrics",
        f"{NODES}?fieldSelector=x",
    )
    yield from each("table", broken, *map(accepting, (table(), f"{table()},{JSON}", table(media=YAML))))
    yield from each("table", ("/apis", GROUP, V, "/version", "/nope", "/metrics/x"), accepting(table()))
    yield from each("table", (NODES, NODE_A, "/nope", "/apis"), accepting(table()), user="alice")
    yield from each("table", (NODES,), (("Accept", table()), ("User-Agent", "curl/8.5.0")))


def _partial_metadata() -> Iterator[Request]:
    for media in MEDIA:
        for version in ("v1", "v1beta1", "v2"):
            for kind in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                accept = f"{media};as={kind};v={version};g=meta.k8s.io"
                yield from each("partial", (NODES, NODE_A, DEFAULT, BARE), accepting(accept))
    single = f"{JSON};as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    many = f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    yield from each(
        "partial",
        (f"{V}/namespaces/empty/pods", f"{V}/namespaces/12345/pods", f"{V}/namespaces/12345/pods/1e3"),
        *map(
            accepting,
            (
                single,
                many,
                single.replace(JSON, PROTOBUF),
                many.replace(JSON, PROTOBUF),
                many.replace(JSON, YAML),
            ),
        ),
    )
    yield from each(
        "partial",
        (NODES, NODE_A, f"{NODES}/zzz"),
        *map(
            accepting,
            (
                f"{single},{JSON}",
                f"{many},{JSON}",
                f"{single},{many}",
                f"{many.replace(JSON, PROTOBUF)},{many},{JSON}",
            ),
        ),
    )
    yield from each(
        "partial",
        ("/apis", V, f"{NODES}/zzz", f"{NODES}?labelSelector=!!"),
        accepting(single),
        accepting(many),
    )
    yield from each(
        "partial",
        (f"{NODES}?includeObject=Object", f"{NODE_A}?includeObject=None"),
        accepting(many),
        accepting(single),
    )

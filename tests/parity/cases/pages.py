"""Probes, /metrics, /version, /debug, the z-pages and OpenAPI."""

from collections.abc import Iterator
from itertools import chain

from tests.parity.requests import GROUP, JSON, PROTOBUF, YAML, Request, View, accepting, each


def requests() -> Iterator[Request]:
    return chain(_probes(), _own_pages(), _openapi())


def _probes() -> Iterator[Request]:
    for probe in ("healthz", "livez", "readyz"):
        root = f"/{probe}"
        names = (
            "ping",
            "log",
            "poststarthook/max-in-flight-filter",
            "poststarthook/storage-object-count-tracker-hook",
            "metadata-informer-sync",
            "metric-collection-timely",
            "metric-storage-ready",
            "metric-informer-sync",
            "shutdown",
            "poststarthook",
            "nope",
            "ping/",
            "PING",
        )
        queries = (
            "?verbose",
            "?verbose=",
            "?verbose=false",
            "?verbose=0",
            "?Verbose",
            "?exclude=ping",
            "?exclude=ping&verbose",
            "?exclude=nope",
            "?exclude=nope&verbose",
            "?verbose&exclude=b&exclude=a&exclude=ping",
            "?exclude=",
            "?exclude=&verbose",
            "?verbose&",
            "?verbose&exclude=%3Cb%3E",
            "?verbose&exclude=ping&exclude=ping",
            "?verbose&exclude=ping,log",
            "?verbose&exclude=%22",
            "?timeout=1s",
            "?verbose&exclude=shutdown&exclude=log",
        )
        yield from each(
            "probe", (root, *(root + query for query in queries), *(f"{root}/{name}" for name in names))
        )
        yield from each("probe", (f"{root}/ping?verbose", f"{root}/ping?exclude=ping", f"{root}/log?verbose"))
        for user in ("anonymous", "alice", "nobody's token", "front-proxy", "certificate"):
            yield Request("probe", root, user=user)
            yield Request("probe", f"{root}/ping", user=user)
            yield Request("probe", f"{root}?verbose", user=user)
        for accept in (YAML, "text/html", "application/*"):
            yield Request("probe", root, accepting(accept))
            yield Request("probe", f"{root}?verbose", accepting(accept))
        for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            yield Request("probe", root, method=method, user="anonymous")
            yield Request("probe", f"{root}?verbose", method=method)


def _own_pages() -> Iterator[Request]:
    yield Request("metrics", "/metrics", view=View.FAMILIES)
    for user in ("anonymous", "alice", "monitor", "nobody's token"):
        yield Request("metrics", "/metrics", user=user, view=View.FAMILIES)
    for accept in (
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text",
        "text/plain",
        "text/html",
        "*/*",
        "text/plain;version=1.0.0;escaping=allow-utf-8",
        "text/plain;version=0.0.4;escaping=values",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
    ):
        yield Request("metrics", "/metrics", accepting(accept), view=View.FAMILIES)
    delimited = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    yield Request("metrics", "/metrics", accepting(delimited), view=View.HEADERS)
    yield Request("metrics", "/metrics?name=x", view=View.FAMILIES)
    for path in ("/version", "/version/", "/version?pretty=1"):
        yield Request("version", path, view=View.KEYS)
    for accept in (YAML, PROTOBUF, "text/html", "application/*", "*/*", "garbage"):
        yield Request("version", "/version", accepting(accept), view=View.KEYS)
    for user in ("alice", "anonymous"):
        yield Request("version", "/version", user=user, view=View.KEYS)
    yield Request("version", "/version/", user="anonymous", view=View.KEYS)
    pages = (
        "/debug/pprof",
        "/debug/pprof/",
        "/debug/pprof/cmdline",
        "/debug/pprof/symbol",
        "/debug/pprof/goroutine",
        "/debug/pprof/heap",
        "/debug/pprof/nope",
    )
    yield from (Request("debug", path, view=View.HEADERS) for path in pages)
    yield from each(
        "debug",
        (
            "/debug",
            "/debug/",
            "/debug/flags",
            "/debug/flags/",
            "/debug/flags/v",
            "/debug/flags/nope",
            "/debug/api_priority_and_fairness/dump_priority_levels",
            "/debug/nope",
        ),
    )
    for body in (b"x", b"0", b"-1", b"1.5", b"99999999999", b" 0", b""):
        yield Request("debug", "/debug/flags/v", method="PUT", body=body)
    yield Request("debug", "/debug/flags/v", method="POST", body=b"0")
    yield Request("debug", "/debug/flags/v", method="PUT", body=b"0", user="alice")
    for path in ("/debug/pprof/", "/debug/flags/v", "/flagz", "/statusz"):
        yield Request("debug", path, user="alice")
        yield Request("debug", path, user="anonymous")
    statusz = f"{JSON};as=Statusz;v=v1alpha1;g=config.k8s.io"
    flagz = f"{JSON};as=Flagz;v=v1alpha1;g=config.k8s.io"
    for path in ("/flagz", "/statusz"):
        yield Request("zpages", path, view=View.HEADERS)
        yield Request("zpages", path + "/", view=View.HEADERS)
        for accept in (
            "",
            "text/plain",
            "text/html",
            "*/*",
            "text/*",
            "application/*",
            JSON,
            YAML,
            PROTOBUF,
            statusz,
            flagz,
            statusz.replace("v1alpha1", "v1beta1"),
            flagz.replace("v1alpha1", "v1beta1"),
            statusz.replace("v1alpha1", "v1"),
            statusz.replace(JSON, YAML),
            "text/plain;charset=utf-8",
            f"{JSON},text/plain;q=0.5",
        ):
            yield Request("zpages", path, accepting(accept), view=View.HEADERS)


OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


OPENAPI_V3 = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"


def _openapi() -> Iterator[Request]:
    documents = (
        "/openapi/v2",
        "/openapi/v3",
        f"/openapi/v3{GROUP}/v1beta1",
        f"/openapi/v3{GROUP}",
        "/openapi/v3/apis",
        "/openapi/v3/version",
        "/openapi/v3/",
        "/openapi/v3/apis/nope",
        "/openapi/v3/api/v1",
        "/openapi/v3/nope",
        "/openapi/v3//version",
        "/openapi/v3/version/",
        f"/openapi/v3{GROUP}/v1beta1/",
        "/openapi/v2/",
        "/openapi/v2/x",
        "/openapi/",
        "/openapi/v4",
        "/openapi/v2?x=y",
        "/openapi/v3?x=y",
    )
    for path in documents:
        yield Request("openapi", path, view=View.OPENAPI)
        yield Request("openapi", path, user="alice", view=View.HEADERS)
    accepts = (
        "*/*",
        JSON,
        YAML,
        PROTOBUF,
        "application/*",
        "text/html",
        OPENAPI_V2,
        OPENAPI_V2.replace("@", "."),
        OPENAPI_V3,
        OPENAPI_V3.replace("@", "."),
        f"{OPENAPI_V2},{JSON}",
        f"{JSON},{OPENAPI_V2}",
        f"{OPENAPI_V3}, */*",
        f"{JSON};q=0.1,{OPENAPI_V2};q=0.5",
        "application/json;q=0",
        "garbage",
        "",
        "application/json;charset=utf-8",
        "application/octet-stream, application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    )
    for accept in accepts:
        for path in ("/openapi/v2", "/openapi/v3", f"/openapi/v3{GROUP}/v1beta1", "/openapi/v3/nope"):
            yield Request("openapi", path, accepting(accept), view=View.HEADERS)
    version = "/openapi/v3/version"
    for tag in ('"nope"', "*", 'W/"nope"'):
        for path in ("/openapi/v2", "/openapi/v3", version):
            yield Request("openapi", path, (("If-None-Match", tag),), view=View.HEADERS)
    late = "Fri, 31 Dec 2100 23:59:59 GMT"
    early = "Fri, 31 Dec 1999 23:59:59 GMT"
    for path in ("/openapi/v2", "/openapi/v3", version):
        yield Request("openapi", path, (("If-Modified-Since", late),), view=View.HEADERS)
        yield Request("openapi", path, (("If-Modified-Since", early),), view=View.HEADERS)
        yield Request("openapi", path, (("Range", "bytes=0-9"),), view=View.HEADERS)
    yield from (
        Request("openapi", f"{path}?hash={value}", view=View.OPENAPI)
        for path in (version, "/openapi/v3/nope", "/openapi/v3")
        for value in ("nope", "")
    )
    for user in ("anonymous", "nobody's token"):
        yield Request("openapi", "/openapi/v2", user=user)
        yield Request("openapi", "/openapi/v3", user=user)

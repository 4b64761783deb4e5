"""Every route, paths that are none, and methods."""

from collections.abc import Iterator
from itertools import chain

from tests.parity.requests import (
    BARE,
    DEFAULT,
    GROUP,
    JSON,
    NODE_A,
    NODES,
    PODS,
    PROTOBUF,
    YAML,
    Request,
    V,
    View,
    accepting,
    each,
    view_of,
)


def requests() -> Iterator[Request]:
    return chain(_routes(), _unknown_paths(), _methods(), _gets())


def _routes() -> Iterator[Request]:
    documents = ("/", "/index.html", "/apis", GROUP, V, NODES, NODE_A, PODS, DEFAULT, BARE)
    for path in documents:
        yield from each("route", (path, path + "/", path + "//", "/" + path, path + "/?x=y"))


def _unknown_paths() -> Iterator[Request]:
    yield from each(
        "unknown",
        (
            "/api",
            "/api/",
            "/api/v1",
            "/api/v1/nodes",
            "/swagger.json",
            "/openapi",
            "/metrics/slis",
            "/metrics/",
            "/logs",
            "/nope",
            "/nope/",
            "/favicon.ico",
            "/robots.txt",
            "/healthz/",
            "/livez/",
            "/readyz/",
            "/healthz/nope",
            "/readyz/nope",
            "/apis/nope",
            "/apis/nope/",
            "/apis/nope/v1",
            "/apis/nope/v1/things",
            "/apisnope",
            "/apis/metrics.k8s.ionope",
            f"{GROUP}/v1alpha1",
            f"{GROUP}/v1alpha1/nodes",
            f"{GROUP}/v2/nodes",
            f"{GROUP}/v1beta1nope",
            f"{V}/nope",
            f"{V}/nope/",
            f"{V}/nope/name",
            f"{NODE_A}/status",
            f"{NODE_A}/status/",
            f"{NODE_A}/a/b/c",
            f"{BARE}/log",
            f"{BARE}/status/x",
            f"{V}/pods/bare",
            f"{V}/pods/bare/x",
            f"{V}/namespaces",
            f"{V}/namespaces/",
            f"{V}/namespaces/default",
            f"{V}/namespaces/default/",
            f"{V}/namespaces/default/nodes",
            f"{V}/namespaces/default/nodes/node-a",
            f"{V}/namespaces/default/nope",
            f"{V}/namespaces//pods",
            f"{V}/namespaces//pods/bare",
            f"{V}//nodes",
            f"{V}//pods",
            f"{GROUP}//v1beta1/nodes",
            "/apis//metrics.k8s.io/v1beta1/nodes",
            f"{NODES}//node-a",
            f"{DEFAULT}//bare",
            f"{V}/watch/nodes",
            f"{V}/watch/nodes/node-a",
            f"{V}/watch/pods",
            f"{V}/watch/namespaces/default/pods",
            f"{V}/proxy/nodes",
            f"{V}/NODES",
            "/APIS",
            "/Version",
            f"{V}/./nodes",
            f"{V}/nodes/../pods",
            f"{V}/nodes/.",
            f"{V}/nodes/..",
            "/../apis",
            "/apis/..",
            "/./healthz",
            f"{V}/%6eodes",
            f"{V}/nodes%2Fnode-a",
            f"{NODES}/node%2Da",
            f"{NODES}/node%2fa",
            f"{NODES}/node-a%2F",
            f"{NODES}/%20",
            f"{NODES}/node%00a",
            f"{NODES}/n%C3%B6de",
            f"{NODES}/%ff",
            f"{NODES}/a+b",
            f"{NODES}/a%2Bb",
            f"{NODES}/%3Cb%3E",
            f"{NODES}/%26amp",
            f"{NODES}/%22quoted%22",
            f"{NODES}/a:b",
            f"{NODES}/a;b",
            f"{NODES}/%",
            f"{NODES}/%zz",
            "/%61pis",
            "/%2Fapis",
            "/apis%2Fmetrics.k8s.io",
            "/healthz%2Fping",
            "/n<o>pe",
            "/no%0Ape",
            "/version/x",
            "/version//",
        ),
    )
    yield from each(
        "unknown",
        ("/nope", f"{V}/nope", f"{V}/namespaces//pods"),
        *map(accepting, (YAML, PROTOBUF, "text/html")),
    )
    yield from each(
        "unknown",
        (
            "/nope",
            "/api",
            f"{V}/nope",
            "/apis/nope/v1",
            f"{NODES}/zzz",
            f"{V}//nodes",
            f"{V}/namespaces//pods",
            "/%61pis",
            f"{V}/nodes%2Fnode-a",
        ),
        user="alice",
    )


def _methods() -> Iterator[Request]:
    paths = (
        "/",
        "/nope",
        "/apis",
        GROUP,
        V,
        NODES,
        NODE_A,
        PODS,
        DEFAULT,
        BARE,
        f"{V}/nope",
        "/version",
        "/openapi/v2",
        "/openapi/v3",
        f"/openapi/v3{GROUP}/v1beta1",
        "/healthz",
        "/readyz/ping",
    )
    for path in paths:
        for method in ("HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
            view = View.OPENAPI if path.startswith("/openapi") else view_of(path)
            yield Request("method", path, method=method, view=view)
    for method in ("HEAD", "OPTIONS", "POST", "TRACE", "CONNECT", "PROPFIND", "get"):
        yield Request("method", NODES, method=method, user="alice")
    for path in ("/metrics", "/statusz", "/flagz", "/livez", "/debug/pprof/cmdline"):
        for method in ("HEAD", "POST"):
            yield Request("method", path, method=method, view=View.HEADERS)
    for method in ("TRACE", "PROPFIND", "get"):
        yield Request("method", NODES, method=method)
        yield Request("method", "/apis", method=method)
    for accept in (YAML, PROTOBUF, "text/html", "application/json;as=Table;v=v1;g=meta.k8s.io"):
        yield Request("method", NODES, accepting(accept), method="POST")
        yield Request("method", "/apis", accepting(accept), method="DELETE")
    body = b'{"kind":"NodeMetrics"}'
    for kind in (JSON, YAML, PROTOBUF, "text/plain", "application/x-www-form-urlencoded"):
        yield Request("method", NODES, (("Content-Type", kind),), method="POST", body=body)
    yield Request("method", NODES, (("Content-Type", JSON),), body=body)


def _gets() -> Iterator[Request]:
    yield from each(
        "get",
        (
            f"{NODES}/node-b",
            f"{NODES}/1e3",
            f"{NODES}/zzz",
            f"{NODES}/zzz/",
            f"{NODES}/node-silent",
            f"{DEFAULT}/web-1",
            f"{DEFAULT}/web-2",
            f"{DEFAULT}/zzz",
            f"{DEFAULT}/no-metrics",
            f"{DEFAULT}/pending",
            f"{V}/namespaces/kube-system/pods/bare",
            f"{V}/namespaces/kube-system/pods/coredns-x",
            f"{V}/namespaces/12345/pods/1e3",
            f"{V}/namespaces/12345/pods",
            f"{V}/namespaces/empty/pods",
            f"{V}/namespaces/kube-system/pods",
        ),
        *((), accepting(YAML), accepting(PROTOBUF)),
    )

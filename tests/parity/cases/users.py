"""Who asks: credentials, claims, impersonation, and refusals in every form."""

from collections.abc import Iterator
from itertools import chain

from tests.parity.requests import (
    AGGREGATED_V2,
    BARE,
    DEFAULT,
    JSON,
    NODE_A,
    NODES,
    PODS,
    PROTOBUF,
    YAML,
    Request,
    V,
    accepting,
    each,
    table,
)


def requests() -> Iterator[Request]:
    return chain(_who_asks(), _errors_in_other_forms(), _impersonation())


def _who_asks() -> Iterator[Request]:
    paths = (
        "/",
        "/nope",
        "/apis",
        V,
        NODES,
        NODE_A,
        f"{NODES}/zzz",
        PODS,
        DEFAULT,
        BARE,
        f"{V}/namespaces/kube-system/pods",
        f"{V}/nope",
        f"{V}/nope/x/y",
        "/metrics",
        f"{V}/namespaces/default",
        f"{NODE_A}/status",
        "/apis/nope/v1/namespaces/x/things/y/z",
    )
    for user in ("anonymous", "alice", "reader", "default-reader", "markup", "nobody's token"):
        yield from each("user", paths, user=user)
    for user in ("certificate", "plain certificate", "serving certificate", "other proxy", "stranger"):
        yield from each("user", (NODE_A, V, "/metrics", "/healthz"), user=user)
    claims = (
        (("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")),
        (("X-Remote-User", "bob"),),
        (("X-Remote-User", "bob"), ("X-Remote-Group", "metrics-readers")),
        (("X-Remote-User", "bob"), ("X-Remote-Group", "a"), ("X-Remote-Group", "metrics-readers")),
        (("X-Remote-User", "bob"), ("X-Remote-Group", "a,metrics-readers")),
        (("X-Remote-User", "bob"), ("X-Remote-Group", "")),
        (("X-Remote-User", ""), ("X-Remote-Group", "system:masters")),
        (("X-Remote-Group", "system:masters"),),
        (("X-Remote-User", ""), ("X-Remote-User", "second")),
        (("X-Remote-User", "first"), ("X-Remote-User", "second")),
        (("X-Remote-User", "system:anonymous"), ("X-Remote-Group", "system:unauthenticated")),
        (("X-Remote-User", "system:anonymous"),),
        (("X-Remote-User", "<b>&'\""),),
        (("X-Remote-User", "bob"), ("X-Remote-Extra-Foo%2Fbar", "v"), ("X-Remote-Uid", "u")),
        (("x-remote-user", "bob"), ("x-remote-group", "system:masters")),
        (("X-Remote-User", "bob"), ("Authorization", "Bearer made-up")),
        (("Authorization", "Bearer made-up"),),
        (),
    )
    for sent in claims:
        yield from each("claims", (NODE_A,), sent, user="front-proxy")
    for sent in claims[:2]:
        for user in ("anonymous", "alice", "certificate", "plain certificate", "other proxy"):
            yield from each("claims", (NODE_A,), sent, user=user)
    for value in (
        "Basic YTpi",
        "Bearer",
        "Bearer ",
        "bearer made-up",
        "Bearer  made-up",
        "BEARER made-up",
        "Bearer a b",
        "Token x",
        "",
        "made-up",
        "Bearer\tmade-up",
        "Negotiate x",
        "Bearer made-up ",
    ):
        yield from each("credentials", (V, "/healthz"), (("Authorization", value),), user="anonymous")
    twice = (("Authorization", "Bearer made-up"), ("Authorization", "Basic YTpi"))
    yield from each("credentials", (V,), twice, user="anonymous")
    protocol = "base64url.bearer.authorization.k8s.io.bWFkZS11cA, v4.channel.k8s.io"
    upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", protocol))
    yield from each("credentials", (V,), upgrade, (("Sec-WebSocket-Protocol", protocol),), user="anonymous")


def _errors_in_other_forms() -> Iterator[Request]:
    accepts = (
        YAML,
        PROTOBUF,
        "text/html",
        "application/*",
        "garbage",
        f"{PROTOBUF},{JSON}",
        f"text/html,{YAML}",
        f"{JSON};pretty=1",
        table(),
        f"{PROTOBUF};stream=watch",
        AGGREGATED_V2,
        f"{table()},{YAML}",
        f"{JSON};stream=watch",
        f"{YAML};q=0.5,{JSON};q=0.1",
        f"{JSON};as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "application/cbor",
    )
    for accept in accepts:
        sent = accepting(accept)
        yield from each("error form", (NODES, "/metrics", "/nope"), sent, user="alice")
        yield from each("error form", (NODES, "/apis"), sent, user="anonymous")
        yield from each("error form", (NODES, "/healthz"), sent, user="nobody's token")
        yield from each(
            "error form",
            (
                f"{NODES}/zzz",
                f"{DEFAULT}/no-metrics",
                f"{V}/nope",
                f"{NODES}?timeout=abc",
                f"{NODES}?sendInitialEvents=1",
            ),
            sent,
        )
        yield Request("error form", NODES, sent, method="POST")
        yield Request("error form", NODES, sent, method="POST", user="alice")


def _impersonation() -> Iterator[Request]:
    sets = (
        (("Impersonate-User", "alice"),),
        (("Impersonate-User", "bob"),),
        (("Impersonate-User", "bob"), ("Impersonate-Group", "metrics-readers")),
        (("Impersonate-Group", "metrics-readers"),),
        (("Impersonate-User", "bob"), ("Impersonate-Uid", "u")),
        (("Impersonate-Uid", "u"),),
        (("Impersonate-User", "bob"), ("Impersonate-Extra-Scopes", "a")),
        (("Impersonate-Extra-Scopes", "a"),),
        (("Impersonate-User", "system:serviceaccount:default:x"),),
        (("Impersonate-User", "system:serviceaccount:default"),),
        (("Impersonate-User", "system:anonymous"),),
        (("Impersonate-User", "system:node:node-a"),),
        (("Impersonate-User", ""),),
        (("Impersonate-User", "<b>"),),
    )
    for user in ("master", "alice", "impersonator", "anonymous"):
        for sent in sets:
            yield from each("impersonation", (NODE_A,), sent, user=user)
    for user in ("master", "alice"):
        yield from each("impersonation", (V, "/healthz", "/metrics"), sets[0], user=user)
        yield from each(
            "impersonation",
            (NODE_A,),
            (*sets[0], ("Accept", YAML)),
            (*sets[0], ("Accept", PROTOBUF)),
            user=user,
        )

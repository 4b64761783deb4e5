"""Label and field selectors, good and bad."""

from collections.abc import Iterator
from itertools import chain
from urllib.parse import quote

from tests.parity.requests import BARE, DEFAULT, NODES, PODS, PROTOBUF, YAML, Request, V, accepting, each


def requests() -> Iterator[Request]:
    return chain(_label_selectors(), _field_selectors())


GOOD_LABELS = (
    "",
    "app=web",
    "app==web",
    "app!=web",
    "app",
    "!app",
    "!app,k8s-app",
    "app in (web)",
    "app in (web,db)",
    "app in(web)",
    "app in (web,)",
    "app in (,)",
    "app in ()",
    "app notin (web)",
    "app notin (db,web),tier",
    "tier=fe,app=web",
    " app = web ",
    "app = web , tier",
    "! app",
    "app=",
    "app!=",
    "app==",
    "tier in (fe),app",
    "a>1",
    "a<1",
    "app=web,",
    "app,app",
    "app=web,app=db",
    "in",
    "notin",
    "in=x",
    "in in (in)",
    "in in (a)",
    "k8s-app=kube-dns",
    "example.com/name",
    "kubernetes.io/hostname=node-b",
    "app in (web),!tier",
    "\tapp\n",
    "A_b.C-d=E_f.G-h",
)


BAD_LABELS = (
    "a===b",
    "=",
    "=b",
    "==",
    "!=",
    "!=b",
    "!",
    "!!",
    "!!app",
    "!app=web",
    ",",
    ",app",
    "app,,tier",
    "app,=",
    "app=web,,tier=fe",
    "app in",
    "app in web",
    "app in (",
    "app in (web",
    "app in web)",
    "app in ((web))",
    "app in (web) tier",
    "app in (web))",
    "app in (we b)",
    "app notin",
    "app notin (",
    "app notin web",
    "app web",
    "app=web tier",
    "app=(web)",
    "(app)",
    ")",
    "(",
    "app>",
    "app<",
    "app>x",
    "app>1.5",
    "app>=1",
    "app=<1",
    "app=web=db",
    "app!==web",
    "-app",
    "app-",
    "app=-web",
    "app=web-",
    "app=we_b!",
    "app=wéb",
    "äpp=web",
    "a/b/c",
    "/app",
    "example.com/",
    "Example.com/name",
    "ex_ample.com/name",
    "-x.com/name",
    "app=a/b",
    "app=a:b",
    "app=a b",
    'app="web"',
    "app='web'",
    "app=web;tier",
    "app&tier",
    "a" * 64,
    "a" * 64 + "=b",
    "app=" + "a" * 64,
    "app in (" + "a" * 64 + ")",
    "d." * 127 + "com/name",
    "app in (a,-b)",
    "app in (a,b,a/c)",
    "-a in (b)",
    "!-a",
    "app=<b>",
    "app={}",
    "$app",
    "@",
    "app=%",
    "app\\=web",
    "a>1,b<x",
    "a<99999999999999999999",
    "a>-1",
    "in in in",
    "notin notin notin",
    "app in (web),",
    "a,b,c,!",
    "!in",
    "app in (in,notin)",
    "app in (a=b)",
    "app=in",
    "app=in (web)",
    "app in (!)",
    "app in (a,,b)",
    "app>(1)",
    "app=web,!",
    "!app,",
)


def _label_selectors() -> Iterator[Request]:
    named = "?labelSelector="
    for selector in GOOD_LABELS:
        yield Request("labels", f"{DEFAULT}{named}{quote(selector, safe='')}")
    for selector in ("zone", "zone=z2", "!zone", "zone in (z1,z2)", "trap-04=1e3", "kubernetes.io/hostname"):
        yield Request("labels", f"{NODES}{named}{quote(selector, safe='')}")
    for selector in BAD_LABELS:
        yield Request("bad labels", f"{DEFAULT}{named}{quote(selector, safe='')}")
    yield from each(
        "labels",
        (
            f"{DEFAULT}{named}app=web",
            f"{DEFAULT}{named}app=web&labelSelector=tier",
            f"{DEFAULT}{named}&labelSelector=tier",
            f"{DEFAULT}?LabelSelector=tier",
            f"{DEFAULT}{named}app+in+(web)",
            f"{DEFAULT}{named}%zz",
            f"{DEFAULT}{named}app%3Dweb;tier",
            f"{DEFAULT}{named}%ff",
            f"{DEFAULT}{named}%00",
            f"{BARE}{named}app=web",
            f"{BARE}{named}===",
            f"{V}{named}===",
            f"{PODS}{named}tier%3Dfe",
            f"{NODES}{named}a===b",
        ),
    )
    yield from each(
        "bad labels", (f"{NODES}{named}a===b", f"{NODES}{named}-a%3Db"), *map(accepting, (YAML, PROTOBUF))
    )
    yield from each("bad labels", (f"{NODES}{named}a===b", f"{DEFAULT}{named}app%3Dweb"), user="alice")


FIELDS = (
    "",
    "metadata.name=web-1",
    "metadata.name==web-1",
    "metadata.name!=web-1",
    "metadata.name=zzz",
    "metadata.name=",
    "metadata.name!=",
    "metadata.namespace=default",
    "metadata.namespace!=default",
    "metadata.namespace=kube-system",
    "metadata.namespace=",
    "metadata.name=web-1,metadata.namespace=default",
    "metadata.name=web-1,metadata.name=web-2",
    "metadata.name=web-1,",
    ",metadata.name=web-1",
    "metadata.name=web-1,,metadata.namespace=default",
    " metadata.name=web-1",
    "metadata.name =web-1",
    "metadata.name= web-1",
    "metadata.name=web-1 ",
    r"metadata.name=web\-1",
    r"metadata.name=a\,b",
    r"metadata.name=a\=b",
    r"metadata.name=a\\b",
    "metadata.name=\\",
    "metadata.name=a\\",
    "metadata.name=a=b",
    "metadata.name=a,b",
    "metadata.name===x",
    "metadata.name!==x",
    "metadata.name=!x",
    "metadata.name",
    "xx",
    "=",
    "==",
    "!=",
    "=x",
    "!=x",
    ",",
    "metadata.name>x",
    "metadata.name in (x)",
    "!metadata.name",
    "spec.nodeName=node-a",
    "spec.nodeName!=node-a",
    "status.phase=Running",
    "metadata.uid=x",
    "metadata.name=web-1,spec.nodeName=x",
    "spec.nodeName=x,metadata.name",
    "Metadata.Name=x",
    "metadata.labels.app=web",
    "<b>=x",
    'a"b=x',
    "é=x",
    "metadata.name=é",
    "metadata.name=web-1;x",
)


def _field_selectors() -> Iterator[Request]:
    for selector in FIELDS:
        written = quote(selector, safe="")
        yield Request("fields", f"{DEFAULT}?fieldSelector={written}")
    for selector in (
        "metadata.name=node-a",
        "metadata.name!=node-a",
        "metadata.namespace=x",
        "metadata.namespace!=x",
        "metadata.namespace=",
        "spec.unschedulable=true",
        "xx",
    ):
        yield Request("fields", f"{NODES}?fieldSelector={quote(selector, safe='')}")
    yield from each(
        "fields",
        (
            f"{DEFAULT}?fieldSelector=metadata.name%3Dweb-1&fieldSelector=xx",
            f"{DEFAULT}?fieldSelector=xx&labelSelector===",
            f"{PODS}?fieldSelector=metadata.namespace%3Ddefault",
            f"{PODS}?fieldSelector=metadata.name%3Dweb-1",
            f"{BARE}?fieldSelector=xx",
            f"{DEFAULT}?fieldSelector=metadata.name%3Dweb-1&labelSelector=app%3Ddb",
            f"{DEFAULT}?fieldSelector=metadata.name%3Dweb-1&labelSelector=app%3Dweb",
            f"{V}/namespaces/kube-system/pods?fieldSelector=metadata.namespace%3Ddefault",
            f"{DEFAULT}?fieldSelector=spec.nodeName%3Dx&labelSelector=a%3D%3D%3Db",
        ),
    )
    yield from each(
        "fields", (f"{DEFAULT}?fieldSelector=spec.nodeName%3Dx",), *map(accepting, (YAML, PROTOBUF))
    )
    yield from each(
        "fields",
        (
            f"{DEFAULT}?fieldSelector=metadata.name%3Dweb-1",
            f"{NODES}?fieldSelector=metadata.name%3Dnode-a",
            f"{NODES}?fieldSelector=metadata.name%3D",
            f"{NODES}?fieldSelector=xx",
        ),
        user="alice",
    )

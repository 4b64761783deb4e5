"""What both servers are asked, as data.

A request's name is made of what it is, so that a table can refer to it: `group: METHOD path Header=value as user`.
"""

from collections.abc import Iterable, Iterator
from enum import Enum, auto

import msgspec

from tests.parity.wire import Headers

GROUP = "/apis/metrics.k8s.io"
V = f"{GROUP}/v1beta1"
NODES = f"{V}/nodes"
PODS = f"{V}/pods"
DEFAULT = f"{V}/namespaces/default/pods"
NODE_A = f"{NODES}/node-a"
BARE = f"{DEFAULT}/bare"
JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA = (JSON, YAML, PROTOBUF)
AGGREGATED_V2 = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class View(Enum):
    """How much of an answer is compared."""

    TEXT = auto()  # all of it
    HEADERS = auto()  # the status and the headers
    FAMILIES = auto()  # metrics-server's own families
    KEYS = auto()  # JSON without its values
    OPENAPI = auto()  # names of what an OpenAPI document describes


_VIEWS = {"/metrics": View.FAMILIES, "/version": View.KEYS, "/version/": View.KEYS, "/version//": View.KEYS}


class Request(msgspec.Struct, frozen=True):
    """`user` is one of those that world.furnish and peers.Callers know."""

    group: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    user: str = "master"
    view: View = View.TEXT
    body: bytes = b""
    http: str = "1.1"

    @property
    def name(self) -> str:
        sent = "".join(f" {key}={value}" for key, value in self.headers)
        user = "" if self.user == "master" else f" as {self.user}"
        body = f" body={self.body.decode()}" if self.body else ""
        http = "" if self.http == "1.1" else f" HTTP/{self.http}"
        return f"{self.group}: {self.method} {self.path}{sent}{body}{user}{http}"


def view_of(path: str) -> View:
    return _VIEWS.get(path.partition("?")[0], View.TEXT)


def accepting(value: str) -> tuple[tuple[str, str], ...]:
    return (("Accept", value),)


def table(version: str = "v1", media: str = JSON) -> str:
    return f"{media};as=Table;v={version};g=meta.k8s.io"


def each(group: str, paths: Iterable[str], *headers: Headers, user: str = "master") -> Iterator[Request]:
    for path in paths:
        for sent in headers or ((),):
            yield Request(group, path, tuple(sent), user=user, view=view_of(path))

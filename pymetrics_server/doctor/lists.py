"""What is kept of the lists that kube-apiserver sends, page by page. Plain functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pymetrics_server.doctor.evidence import Asked
from pymetrics_server.doctor.redaction import cleaned

JSON = "application/json"

_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_KUBELET_SERVING = "kubernetes.io/kubelet-serving"
_MiB = 1 << 20

#: Of a body: what is kept of its items, and the token of the next page.
Read = Callable[[bytes], tuple[Sequence[Any], str]]


class _ListMeta(msgspec.Struct):
    continue_: str | None = msgspec.field(name="continue", default=None)


class _Page(msgspec.Struct):
    metadata: _ListMeta | None = None
    items: list[Any] | None = None


class _Metadata(msgspec.Struct, rename="camel", omit_defaults=True):
    namespace: str | None = None
    name: str | None = None
    creation_timestamp: str | None = None


class _Named(msgspec.Struct, omit_defaults=True):
    metadata: _Metadata | None = None
    timestamp: str | None = None
    window: str | None = None


class _NamedPage(msgspec.Struct):
    metadata: _ListMeta | None = None
    items: list[_Named] | None = None


_page = msgspec.json.Decoder(_Page)
_named_page = msgspec.json.Decoder(_NamedPage)


def _whole(body: bytes) -> tuple[Sequence[Any], str]:
    page = _page.decode(body)
    return cleaned(page.items or []), _token(page.metadata)


def _nodes(body: bytes) -> tuple[Sequence[Any], str]:
    items, token = _whole(body)
    for item in items:
        item.get("status", {}).pop("images", None)
    return items, token


def _of_kubelets(body: bytes) -> tuple[Sequence[Any], str]:
    items, token = _whole(body)
    kept = [item for item in items if item.get("spec", {}).get("signerName") == _KUBELET_SERVING]
    for item in kept:
        item["spec"].pop("request", None)
    return kept, token


def _names(body: bytes) -> tuple[Sequence[Any], str]:
    page = _named_page.decode(body)
    return page.items or (), _token(page.metadata)


def _token(metadata: _ListMeta | None) -> str:
    return (metadata and metadata.continue_) or ""


class How(msgspec.Struct, frozen=True):
    """How a list is asked for; `page` 0 is without pages."""

    read: Read = _whole
    accept: str = JSON
    page: int = 500
    largest_bytes: int = 32 * _MiB


WHOLE = How()
UNPAGED = How(page=0)

HOW: Mapping[Asked, How] = {
    Asked.NODES: How(_nodes),
    Asked.CSRS: How(_of_kubelets),
    Asked.RUNNING_PODS: How(_names, _METADATA, page=5000),
    Asked.SERVED_NODES: UNPAGED,
    Asked.SERVED_PODS: How(_names, page=0, largest_bytes=128 * _MiB),  # 150,000 pods are 60 MB
}

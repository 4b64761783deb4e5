"""As much of a kube-apiserver as a metrics server needs, for fleets that the stand-in's would take minutes to list.

Nodes and pods are written once and never change; who asks and who may is decided as in the stand-in cluster.
Kubernetes: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from benchmarks.kubelets import Habits
from benchmarks.load import address_of, node_view
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.meta.status import StatusError, not_acceptable, not_found_generic, unauthorized
from pymetrics_server.standin import reviews
from pymetrics_server.standin.discovery import version_document
from pymetrics_server.standin.reading import json_response
from pymetrics_server.standin.resources import configmap_body, node_body, pod_body

_VERSION = "1"
_LONGEST_WATCH_S = 1800.0
_SHUTDOWN_TIMEOUT_S = 0.5
_PER_WRITE = 500
_CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps"
_TRUST = "extension-apiserver-authentication"


class Collection(msgspec.Struct, frozen=True):
    """Objects of one kind, as the JSON they are served in."""

    api_version: str
    kind: str
    objects: list[bytes]

    def listed(self) -> bytes:
        head = msgspec.json.encode(
            {
                "kind": f"{self.kind}List",
                "apiVersion": self.api_version,
                "metadata": {"resourceVersion": _VERSION},
            }
        )
        return head[:-1] + b',"items":[' + b",".join(self.objects) + b"]}"

    def bookmark(self) -> bytes:
        metadata = {
            "resourceVersion": _VERSION,
            "creationTimestamp": None,
            "annotations": {"k8s.io/initial-events-end": "true"},
        }
        return msgspec.json.encode({"kind": self.kind, "apiVersion": self.api_version, "metadata": metadata})


def nodes_of(habits: Habits, epoch_ns: int, port_of: Callable[[int], int]) -> Collection:
    objects = []
    for node in range(habits.nodes):
        view = node_view(node, habits.pods, habits.containers, epoch_ns)
        objects.append(_written("v1", "Node", node_body(view, address_of(node), port_of(node))))
    return Collection("v1", "Node", objects)


def pods_of(habits: Habits, epoch_ns: int) -> Collection:
    """Their metadata alone."""
    api_version, kind = "meta.k8s.io/v1", "PartialObjectMetadata"
    objects = []
    for node in range(habits.nodes):
        view = node_view(node, habits.pods, 0, epoch_ns)
        for pod in view.pods:
            metadata = pod_body(pod, view.name, "")["metadata"]
            objects.append(_written(api_version, kind, {"metadata": metadata}))
    return Collection(api_version, kind, objects)


def trust_of(data: Mapping[str, str], epoch_ns: int) -> Collection:
    body = configmap_body("kube-system", _TRUST, data, epoch_ns)
    return Collection("v1", "ConfigMap", [_written("v1", "ConfigMap", body)])


class Apiserver:
    """`users` by bearer token; `counts` tells what the kubelets have done, for /fleet."""

    def __init__(
        self,
        nodes: Collection,
        pods: Collection,
        trust: Collection,
        users: Mapping[str, UserInfo],
        counts: Callable[[], Mapping[str, float]],
    ) -> None:
        self._collections = {"/api/v1/nodes": nodes, "/api/v1/pods": pods, _CONFIGMAPS: trust}
        self._trust = trust
        self._users = users
        self._policy = reviews.Policy()
        self._counts = counts
        self._closing = asyncio.Event()
        self._runner: web.ServerRunner | None = None

    async def start(self, context: ssl.SSLContext) -> int:
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or token not in self._users:
                raise unauthorized()
            return await self._answer(request)
        except StatusError as err:
            return json_response(err.to_builtin(), err.code)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if (collection := self._collections.get(request.path)) is not None:
            if collection.kind == "PartialObjectMetadata" and collection.kind not in request.headers.get(
                "Accept", ""
            ):
                raise not_acceptable(("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",))
            if request.query.get("watch", "") in ("1", "true"):
                return await self._watch(request, collection)
            return web.Response(body=collection.listed(), content_type="application/json")
        match request.method, request.path:
            case "GET", path if path == f"{_CONFIGMAPS}/{_TRUST}":
                return web.Response(body=self._trust.objects[0], content_type="application/json")
            case "POST", "/apis/authentication.k8s.io/v1/tokenreviews":
                return json_response(reviews.token_review(self._users, await _review(request)), 201)
            case "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews":
                return json_response(reviews.subject_access_review(self._policy, await _review(request)), 201)
            case "GET", "/fleet":
                return json_response(self._counts())
            case "GET", "/version":
                return json_response(version_document())
            case _:
                raise not_found_generic()

    async def _watch(self, request: web.BaseRequest, collection: Collection) -> web.StreamResponse:
        """Nothing ever happens; what is there already is told to those who ask for it first."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if request.query.get("sendInitialEvents") == "true":
            for part in _batches(collection.objects):
                await response.write(b"".join(_line(b"ADDED", body) for body in part))
            await response.write(_line(b"BOOKMARK", collection.bookmark()))
        lasts_s = float(request.query.get("timeoutSeconds") or _LONGEST_WATCH_S)
        with_end = asyncio.create_task(self._closing.wait(), name="watch for the end")
        try:
            await asyncio.wait([with_end], timeout=lasts_s)
        finally:
            with_end.cancel()
        return response


async def _review(request: web.BaseRequest) -> dict[str, Any]:
    return msgspec.json.decode(await request.read(), type=dict[str, Any])


def _written(api_version: str, kind: str, body: Mapping[str, Any]) -> bytes:
    metadata = {**body["metadata"], "resourceVersion": _VERSION}
    return msgspec.json.encode({"kind": kind, "apiVersion": api_version, **body, "metadata": metadata})


def _line(kind: bytes, body: bytes) -> bytes:
    return b'{"type":"' + kind + b'","object":' + body + b"}\n"


def _batches(objects: list[bytes]) -> Iterable[list[bytes]]:
    for first in range(0, len(objects), _PER_WRITE):
        yield objects[first : first + _PER_WRITE]

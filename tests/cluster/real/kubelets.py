"""Kubelets without containers: real TLS, real questions to kube-apiserver about who asks, simulated loads.

They run on a loop of their own in a thread, so that the tests beside them can be plain functions.
"""

import asyncio
import concurrent.futures
import ssl
import threading
import time
from collections.abc import Sequence

import msgspec
from aiohttp import web

from pymetrics_server.standin.kubelet import StandinKubelet
from pymetrics_server.standin.resources import node_body, pod_body
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.standin.views import ContainerView, NodeView, PodView
from tests.cluster.real.client import Api, Object

_START_S = 30.0
_SAMPLED_EVERY_S = 2.0
_MEMORY_BYTES = 64 << 20
_ADDRESS = "127.0.0.1"


class Node:
    """Satisfies NodeSource: a simulated node that takes further pods while it runs."""

    def __init__(self, index: int, pods: int) -> None:
        self._simulated = SimulatedNode(
            index, pods, epoch_ns=time.time_ns(), kubelet_interval_s=_SAMPLED_EVERY_S
        )
        self.name = self._simulated.name
        self._taken: tuple[tuple[PodView, int], ...] = ()

    def view(self) -> NodeView:
        seen = self._simulated.view()
        taken = tuple(
            _loaded(pod, rate, seen.time_ns) for pod, rate in self._taken if pod.start_ns < seen.time_ns
        )
        return msgspec.structs.replace(seen, pods=seen.pods + taken)

    def take(self, pod: Object, rate_nanocores: int, start_ns: int) -> PodView:
        """From then on each container of that pod runs at this rate."""
        metadata = pod["metadata"]
        containers = tuple(
            ContainerView(c["name"], start_ns, start_ns, 0, rate_nanocores, _MEMORY_BYTES)
            for c in pod["spec"]["containers"]
        )
        view = PodView(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            metadata.get("labels", {}),
            start_ns,
            containers,
        )
        self._taken = (*self._taken, (view, rate_nanocores))
        return view


def _loaded(pod: PodView, rate_nanocores: int, now_ns: int) -> PodView:
    used_ns = rate_nanocores * (now_ns - pod.start_ns) // 1_000_000_000
    now = tuple(msgspec.structs.replace(c, time_ns=now_ns, cpu_ns=used_ns) for c in pod.containers)
    return msgspec.structs.replace(pod, containers=now)


#: A kubelet's path -> the subresource of nodes that it asks kube-apiserver about.
_SUBRESOURCES = {"/stats/summary": "stats", "/metrics/resource": "metrics"}


class Gate:
    """Who may read a kubelet: a TokenReview, then a SubjectAccessReview on what the path is, as its webhooks do.

    What was allowed is remembered; the questions block the kubelets' own loop and nobody else.
    """

    def __init__(self, apiserver: Api) -> None:
        self._apiserver = apiserver
        self._allowed: set[tuple[str, str]] = set()

    def status(self, token: str, path: str) -> int:
        """200 where it may."""
        subresource = _SUBRESOURCES.get(path, "proxy")
        if (token, subresource) in self._allowed:
            return 200
        who = self._review("authentication.k8s.io", "TokenReview", {"token": token}) if token else {}
        if not who.get("authenticated"):
            return 401
        user = who["user"]
        asked = {"verb": "get", "version": "v1", "resource": "nodes", "subresource": subresource}
        spec = {"user": user["username"], "groups": user["groups"], "resourceAttributes": asked}
        if not self._review("authorization.k8s.io", "SubjectAccessReview", spec)["allowed"]:
            return 403
        self._allowed.add((token, subresource))
        return 200

    def _review(self, group: str, kind: str, spec: Object) -> Object:
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        status: Object = self._apiserver.create(f"/apis/{group}/v1/{kind.lower()}s", body)["status"]
        return status


class _Kubelet(StandinKubelet):
    """Lets in whom the gate lets in to that path."""

    def __init__(self, node: Node, ssl_context: ssl.SSLContext, gate: Gate) -> None:
        super().__init__(node, ssl_context, lambda _: True)
        self._gate = gate

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        status = self._gate.status(token, request.path)
        return await super()._answer(request) if status == 200 else web.Response(status=status)


class Kubelets:
    """A kubelet for each node, from `start` until `stop`."""

    def __init__(self, nodes: Sequence[Node], ssl_context: ssl.SSLContext, gate: Gate) -> None:
        self.nodes = nodes
        self._kubelets = {node.name: _Kubelet(node, ssl_context, gate) for node in nodes}
        self._ports: concurrent.futures.Future[dict[str, int]] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name="kubelets")
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> dict[str, int]:
        """Node name -> port."""
        self._thread.start()
        return self._ports.result(_START_S)

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            ports = {name: await kubelet.start(_ADDRESS) for name, kubelet in self._kubelets.items()}
            self._ports.set_result(ports)
        except OSError as err:
            self._ports.set_exception(err)
            return
        await self._end.wait()
        for kubelet in self._kubelets.values():
            await kubelet.stop()


def register(node: Node, port: int, apiserver: Api) -> None:
    """As a kubelet does: its Node object, and the pods that it runs."""
    view = node.view()
    body = {"apiVersion": "v1", "kind": "Node", **node_body(view, _ADDRESS, port)}
    apiserver.create("/api/v1/nodes", body)
    apiserver.patch(f"/api/v1/nodes/{node.name}/status", {"status": body["status"]})
    for pod in view.pods:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": pod.namespace}}
        if not apiserver.answers(f"/api/v1/namespaces/{pod.namespace}"):
            apiserver.create("/api/v1/namespaces", namespace)
        created = {"apiVersion": "v1", "kind": "Pod", **pod_body(pod, node.name, _ADDRESS)}
        path = f"/api/v1/namespaces/{pod.namespace}/pods"
        apiserver.create(path, created)
        apiserver.patch(f"{path}/{pod.name}/status", {"status": created["status"]})


def run_pod(pod: Object, node: Node, rate_nanocores: int, apiserver: Api) -> None:
    """As scheduler and kubelet do with a pending pod: bound, started, ready."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    target = {"apiVersion": "v1", "kind": "Node", "name": node.name}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
    apiserver.create(f"{path}/binding", binding)
    taken = node.take(pod, rate_nanocores, time.time_ns())
    apiserver.patch(f"{path}/status", {"status": pod_body(taken, node.name, _ADDRESS)["status"]})

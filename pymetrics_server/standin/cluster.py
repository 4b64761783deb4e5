"""The stand-in cluster, whole: certificates, kubelets, kube-apiserver with its aggregation layer, kubeconfigs."""

import asyncio
import json
import secrets
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pymetrics_server.clock import Clock, SystemClock
from pymetrics_server.log import Logger
from pymetrics_server.meta.identity import AUTHENTICATED_GROUP, MASTERS_GROUP, UserInfo
from pymetrics_server.standin import deployed
from pymetrics_server.standin.aggregator import GROUP, VERSIONS, Aggregator
from pymetrics_server.standin.apiserver import StandinApiserver
from pymetrics_server.standin.guard import KubeletGuard
from pymetrics_server.standin.host import HostNode
from pymetrics_server.standin.kubeconfig import admin_user, token_user, write_kubeconfig
from pymetrics_server.standin.kubelet import StandinKubelets
from pymetrics_server.standin.pki import FrontProxyFiles, Pki, make_pki, server_context
from pymetrics_server.standin.resources import (
    APISERVICES,
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    LEASE_NAMESPACE,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    apiservice_body,
    configmap_body,
    lease_body,
    namespace_body,
    node_body,
    pod_body,
)
from pymetrics_server.standin.reviews import SERVER_ACCOUNT, Policy
from pymetrics_server.standin.revisions import Revisions
from pymetrics_server.standin.simulated import SimulatedNode
from pymetrics_server.standin.subresources import Subresources
from pymetrics_server.standin.views import NodeSource, PodView

log = Logger(__name__)

_ADDRESS = "127.0.0.1"
_SYNC_INTERVAL_S = 3.0
_TRUST_CONFIGMAP = ("kube-system", "extension-apiserver-authentication")

_Shape = tuple[object, ...]


class StandinCluster:
    """An async context manager. `directory` is made where it is missing, and left as it is at the end.

    `sources` are nodes beside this machine (`host`) and the simulated ones; `fail_every` k lets every k-th scrape
    of a node fail. `check_timeout_s` is the aggregator's; `front_proxy` are certificates that somebody made for it.
    `logs` are the files that pods write, by namespace and name.
    """

    def __init__(
        self,
        directory: Path,
        simulated_nodes: int = 0,
        *,
        host: bool = True,
        sources: Sequence[NodeSource] = (),
        simulated_pods: int = 30,
        host_interval_s: float = 5.0,
        sync_interval_s: float = _SYNC_INTERVAL_S,
        bookmark_interval_s: float = 30.0,
        fail_every: int = 0,
        check_timeout_s: float = 5.0,
        front_proxy: FrontProxyFiles | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.directory = directory
        self.admin_kubeconfig = directory / "admin.kubeconfig"
        self.server_kubeconfig = directory / "server.kubeconfig"
        self.apiserver_url = ""
        self.revisions = Revisions()
        self.policy = Policy()
        self.server_token = secrets.token_urlsafe(32)
        self.logs: dict[tuple[str, str], Path] = {}
        self.users: dict[str, UserInfo] = {self.server_token: _account(SERVER_ACCOUNT)}
        self.host = HostNode(host_interval_s) if host else None
        self.clock = clock or SystemClock()
        now_ns = self.clock.now_ns()
        simulated = [SimulatedNode(i, simulated_pods, epoch_ns=now_ns) for i in range(simulated_nodes)]
        self._sources: list[NodeSource] = [*([self.host] if self.host else []), *sources, *simulated]
        self._sync_interval_s = sync_interval_s
        self._bookmark_interval_s = bookmark_interval_s
        self._fail_every = fail_every
        self._check_timeout_s = check_timeout_s
        self._front_proxy = front_proxy
        self._ports: dict[str, int] = {}
        self._shapes: dict[tuple[str, str], _Shape] = {}
        self._server: tuple[str, Sequence[str], int] = ("", (), 0)  # its pod, its flags and its port
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "StandinCluster":
        self.directory.mkdir(parents=True, exist_ok=True)
        self.pki: Pki = make_pki(self.directory / "pki", self.clock, self._front_proxy)
        ca_pem = self.pki.cluster_ca.cert_pem
        self.kubelet_guard = KubeletGuard(self.users, self.policy)
        self.aggregator = Aggregator(
            self.revisions, self.clock, self.pki.front_proxy_client, self._check_timeout_s
        )
        self.apiserver = StandinApiserver(
            self.revisions,
            self.users,
            self.policy,
            self.aggregator,
            Subresources(
                self.revisions, self.logs, self.add_user("kube-apiserver-kubelet-client", MASTERS_GROUP)
            ),
            self.clock,
            self._bookmark_interval_s,
        )
        self._kubelets = StandinKubelets(
            self._sources,
            server_context(self.pki.kubelet, ca_pem),
            self.kubelet_guard,
            fail_every=self._fail_every,
        )
        try:
            self._ports = await self._kubelets.start(_ADDRESS)
            if self.host is not None:
                await self.host.measure()  # so that the first scrape has something to show
                self._own(self.host.run(), "stand-in host node")
            self._put_what_stays()
            self.sync()
            await self.aggregator.start()
            port = await self.apiserver.start(server_context(self.pki.apiserver, ca_pem), _ADDRESS)
            self.apiserver_url = f"https://{_ADDRESS}:{port}"
            self._own(self._keep_in_step(), "stand-in nodes and pods")
            write_kubeconfig(
                self.server_kubeconfig,
                self.apiserver_url,
                ca_pem,
                "metrics-server",
                token_user(self.server_token),
            )
            write_kubeconfig(
                self.admin_kubeconfig, self.apiserver_url, ca_pem, "admin", admin_user(self.pki.admin)
            )
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def node_names(self) -> list[str]:
        return list(self._ports)

    def set_backend(self, port: int) -> None:
        """Where the metrics server listens, on 127.0.0.1; it is checked at once."""
        self.revisions.put(ENDPOINTSLICES, deployed.endpointslice_body(_ADDRESS, port, self.clock.now_ns()))
        self.aggregator.check_now()

    async def deploy(self, session: int, port: int, args: Sequence[str], log: Path) -> None:
        """The server that runs beside it, as that session of this machine: as a Deployment would have it. Once it is a pod."""
        name = f"{deployed.NAME}-{session}"
        self._server = name, args, port
        self.logs[deployed.NAMESPACE, name] = log
        self.revisions.put(DEPLOYMENTS, deployed.deployment_body(args, port, self.clock.now_ns()))
        if self.host is not None:
            self.host.name_session(session, deployed.NAMESPACE, name, deployed.LABELS)
            await self.host.measure()
            self.sync()

    def server_flags(self, secure_port: int) -> list[str]:
        """The ordinary flags for a metrics server beside this cluster."""
        kubeconfig = self.server_kubeconfig
        return [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--secure-port={secure_port}",
            f"--bind-address={_ADDRESS}",
            f"--cert-dir={self.directory / 'server-certs'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--metric-resolution=10s",
            "--kubelet-request-timeout=9s",
        ]

    def add_user(self, name: str, *groups: str) -> str:
        """A bearer token of that user, who is in system:authenticated as well."""
        token = secrets.token_urlsafe(32)
        self.users[token] = UserInfo(name, (*groups, AUTHENTICATED_GROUP))
        return token

    def drop_source(self, name: str) -> None:
        """The node leaves the cluster with its pods; its kubelet goes on answering."""
        self._sources = [source for source in self._sources if source.view().name != name]
        self.sync()

    def sync(self) -> None:
        """Take nodes and pods as their sources show them now; runs every few seconds by itself."""
        seen: set[tuple[str, str]] = set()
        for source in self._sources:
            view = source.view()
            key = ("", view.name)
            if self._is_new(key, (view.uid, tuple(view.labels.items()))):
                self.revisions.put(NODES, node_body(view, _ADDRESS, self._ports[view.name]))
                self.revisions.put(LEASES, lease_body(view.name, self.clock.now_ns()))
            seen.add(key)
            for pod in view.pods:
                key = (pod.namespace, pod.name)
                seen.add(key)
                if self.revisions.get(NAMESPACES, "", pod.namespace) is None:
                    self.revisions.put(NAMESPACES, namespace_body(pod.namespace, self.clock.now_ns()))
                if self._is_new(key, _shape(pod)):
                    self.revisions.put(PODS, self._pod_body(pod, view.name))
        gone = [key for key in self._shapes if key not in seen]
        for namespace, name in gone:
            del self._shapes[namespace, name]
            self.revisions.delete(PODS if namespace else NODES, namespace, name)
            if not namespace:
                self.revisions.delete(LEASES, LEASE_NAMESPACE, name)

    def _pod_body(self, pod: PodView, node: str) -> dict[str, Any]:
        body = pod_body(pod, node, _ADDRESS)
        name, args, port = self._server
        is_server = (pod.namespace, pod.name) == (deployed.NAMESPACE, name)
        return deployed.server_pod(body, args, port) if is_server else body

    async def _keep_in_step(self) -> None:
        while True:
            await asyncio.sleep(self._sync_interval_s)
            self.sync()

    def _put_what_stays(self) -> None:
        now_ns = self.clock.now_ns()
        for name in ("default", "kube-system", LEASE_NAMESPACE):
            self.revisions.put(NAMESPACES, namespace_body(name, now_ns))
        trust = {
            "client-ca-file": self.pki.cluster_ca.cert_pem.decode(),
            "requestheader-client-ca-file": self.pki.front_proxy_ca.cert_pem.decode(),
            "requestheader-allowed-names": json.dumps([self.pki.front_proxy_name]),
            "requestheader-username-headers": json.dumps(["X-Remote-User"]),
            "requestheader-uid-headers": json.dumps(["X-Remote-Uid"]),
            "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
            "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
        }
        self.revisions.put(CONFIGMAPS, configmap_body(*_TRUST_CONFIGMAP, trust, now_ns))
        root_ca = {"ca.crt": self.pki.cluster_ca.cert_pem.decode()}
        self.revisions.put(CONFIGMAPS, configmap_body("kube-system", "kube-root-ca.crt", root_ca, now_ns))
        self.revisions.put(SERVICES, deployed.service_body(now_ns))
        for version in VERSIONS:
            self.revisions.put(APISERVICES, apiservice_body(GROUP, version, now_ns))

    def _is_new(self, key: tuple[str, str], shape: _Shape) -> bool:
        if self._shapes.get(key) == shape:
            return False
        self._shapes[key] = shape
        return True

    def _own(self, work: Coroutine[None, None, None], name: str) -> None:
        """It is cancelled at the end, and heard of where it ends before."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_say_why)
        self._tasks.append(task)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        await self.apiserver.stop()
        await self.aggregator.stop()
        await self._kubelets.stop()


def _say_why(ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and (err := ended.exception()) is not None:
        log.error("The stand-in cluster stands still", err, task=ended.get_name())


def _shape(pod: PodView) -> _Shape:
    """What of a pod is written in its object; usage is not."""
    return (pod.uid, dict(pod.labels), tuple((c.name, c.start_ns // 1_000_000_000) for c in pod.containers))


def _account(name: str) -> UserInfo:
    _, _, namespace, _ = name.split(":")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED_GROUP)
    return UserInfo(name, groups)

"""A cluster that can be spoilt, and the real server in it as a process of its own."""

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.asking import free_port
from benchmarks.faults.front import CrookedFront
from benchmarks.faults.kubelets import CrookedKubelet
from benchmarks.faults.watcher import Look, Watcher
from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.kubeconfig import token_user, write_kubeconfig
from pymetrics_server.standin.pki import PairFiles, client_context, server_context
from pymetrics_server.standin.resources import NODES, PODS, node_body, pod_body
from pymetrics_server.x509 import issue

RESOLUTION_S = 10.0  # the shortest there is
CONTAINERS = 2
#: What lets a process' clock be stepped (Debian: faketime); none where it is not installed.
LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
_RESOLVER = Path(__file__).parent / "resolver"
_STARTS_WITHIN_S = 120.0
_ENDS_WITHIN_S = 20.0


class Server:
    """The real one, as a process; a watcher looks on while it runs."""

    def __init__(self, world: "World", name: str) -> None:
        #: Chosen as it starts: by then the kubelets have taken theirs.
        self.port = 0
        self._world = world
        self._process: Process | None = None
        self._watcher: Watcher | None = None
        self._watching: asyncio.Task[None] | None = None
        self._directory = world.cluster.directory / name
        self._directory.mkdir(exist_ok=True)
        self._log_file = self._directory / "server.log"
        self._clock_file = self._directory / "clock"
        #: While it is there, the server's resolver is silent.
        self.silent_resolver = self._directory / "silent-resolver"

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._running.pid)

    @property
    def watcher(self) -> Watcher:
        if self._watcher is None:
            raise RuntimeError("the server was not started")
        return self._watcher

    @property
    def log_lines(self) -> Sequence[str]:
        return self._log_file.read_text(errors="replace").splitlines() if self._log_file.exists() else ()

    @property
    def lives(self) -> bool:
        return self._running.returncode is None

    @property
    def is_watched(self) -> bool:
        return self._watching is not None and not self._watching.done()

    def step_clock(self, seconds: float) -> None:
        """Of a world whose clock `can_be_stepped`: it is off by that from here on, its monotonic clock is not."""
        self._clock_file.write_text(f"{seconds:+g}\n")

    async def start(self) -> None:
        self.port = self.port or free_port()
        kubeconfig = self._world.kubeconfig()
        command = [
            sys.executable, "-m", "pymetrics_server",
            *(f"--{prefix}kubeconfig={kubeconfig}" for prefix in ("", "authentication-", "authorization-")),
            "--bind-address=127.0.0.1", f"--secure-port={self.port}", f"--cert-dir={self._directory / 'certs'}",
            "--kubelet-preferred-address-types=InternalIP,Hostname", "--kubelet-use-node-status-port",
            f"--metric-resolution={RESOLUTION_S:g}s", "--kubelet-request-timeout=9s",
        ]  # fmt: skip
        environment = {"PYTHONPATH": str(_RESOLVER), "SILENT_RESOLVER": str(self.silent_resolver)}
        if self._world.clock_can_be_stepped:
            self.step_clock(0)
            environment |= {
                "LD_PRELOAD": str(LIBFAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stderr=log, stdout=log, env={**os.environ, **environment}
            )
        known = self._watcher
        self._watcher = Watcher(
            self.port, self._world.cluster.pki.admin, self._process.pid, self._world.pods, CONTAINERS
        )
        if known is not None:  # one story, over restarts
            self._watcher.looks, self._watcher.strange = known.looks, known.strange
            self._watcher.every_s = known.every_s
        self._watching = asyncio.create_task(self._watcher.run(), name="watcher")

    async def serves_all(self) -> float | None:
        """How long it took until it did, with all pods."""

        def all_there(look: Look) -> bool:
            served = [look.nodes.get(name) for name in self._world.kubelets]
            return all(node is not None and node.pods >= self._world.pods for node in served)

        return await self.watcher.until(all_there, _STARTS_WITHIN_S)

    async def stop(self, *, politely: bool = True) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
            self._watching = None
        if self._process is None or self._process.returncode is not None:
            return
        (self._process.terminate if politely else self._process.kill)()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process


class World:
    """`kubelets` by node name. Made by `spoilt_world`."""

    def __init__(self, cluster: StandinCluster, pods: int, clock_can_be_stepped: bool) -> None:
        self.cluster = cluster
        self.pods = pods
        self.clock_can_be_stepped = clock_can_be_stepped
        self.kubelets: dict[str, CrookedKubelet] = {}
        self.kubelet_context = server_context(cluster.pki.kubelet)
        self.front = CrookedFront(
            cluster.apiserver_url,
            server_context(cluster.pki.apiserver, cluster.pki.cluster_ca.cert_pem),
            client_context(cluster.pki.cluster_ca.cert_pem),
        )
        self.reader_token = cluster.add_user("reader", "system:masters")
        self.server = Server(self, "server")
        self._epoch_ns = time.time_ns()

    async def add_node(self, index: int) -> CrookedKubelet:
        """A kubelet that runs, its Node and its pods."""
        kubelet = CrookedKubelet(
            index, self.pods, self._epoch_ns, self.kubelet_context, self.cluster.server_token
        )
        await kubelet.start()
        self.kubelets[kubelet.name] = kubelet
        self.put_node(kubelet)
        for pod in kubelet.source.view().pods:
            self.cluster.revisions.put(PODS, pod_body(pod, kubelet.name, "127.0.0.1"))
        return kubelet

    def put_node(self, kubelet: CrookedKubelet, addresses: Mapping[str, str] | None = None) -> None:
        """Its Node object, with other addresses by type where they are given."""
        body = node_body(kubelet.source.view(), "127.0.0.1", kubelet.port)
        if addresses is not None:
            body["status"]["addresses"] = [{"type": t, "address": a} for t, a in addresses.items()]
        self.cluster.revisions.put(NODES, body)

    async def remove_node(self, kubelet: CrookedKubelet) -> None:
        del self.kubelets[kubelet.name]
        for pod in kubelet.source.view().pods:
            self.cluster.revisions.delete(PODS, pod.namespace, pod.name)
        self.cluster.revisions.delete(NODES, "", kubelet.name)
        await kubelet.stop()

    def expired_certificate(self) -> PairFiles:
        """A kubelet's, out of date for a year."""
        long_ago_ns = SystemClock().now_ns() - 730 * 86_400 * 1_000_000_000
        pair = issue(
            self.cluster.pki.cluster_ca, "kubelet", long_ago_ns, hosts=("127.0.0.1",), server=True, days=365
        )
        files = PairFiles(self.cluster.directory / "expired.crt", self.cluster.directory / "expired.key")
        files.cert.write_bytes(pair.cert_pem)
        files.key.write_bytes(pair.key_pem)
        return files

    def kubeconfig(self) -> Path:
        """The server's, through the front."""
        return write_kubeconfig(
            self.cluster.directory / "front.kubeconfig",
            f"https://127.0.0.1:{self.front.port}",
            self.cluster.pki.cluster_ca.cert_pem,
            "metrics-server",
            token_user(self.cluster.server_token),
        )


@contextlib.asynccontextmanager
async def spoilt_world(
    directory: Path, nodes: int, pods: int = 4, *, clock_can_be_stepped: bool = False
) -> AsyncIterator[World]:
    """With nodes that are sane and a server that serves them all, until somebody spoils it."""
    async with StandinCluster(directory, host=False) as cluster:
        world = World(cluster, pods, clock_can_be_stepped)
        await world.front.start()
        try:
            for index in range(nodes):
                await world.add_node(index)
            await world.server.start()
            if await world.server.serves_all() is None:
                said = world.server.log_lines  # the usage text comes after the error
                refused = [line for line in said if line.startswith("Error: ")]
                raise RuntimeError("the server never served every node:\n" + "\n".join(refused or said[-20:]))
            yield world
        finally:
            await world.server.stop()
            await world.front.stop()
            for kubelet in world.kubelets.values():
                await kubelet.stop()

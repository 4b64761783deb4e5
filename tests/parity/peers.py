"""Two servers beside one cluster, and the credentials of those who ask them."""

import asyncio
import contextlib
import ssl
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.pki import FRONT_PROXY_NAME, client_context
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.integration.processes import end
from tests.parity.requests import Request
from tests.parity.wire import Answer, ask
from tests.programs import direct_environment, free_port

_READY_TIMEOUT_S = 90.0

#: Both are given these, so that what they switch on is compared.
_FLAGS = ("--kubelet-insecure-tls", r"--cors-allowed-origins=//parity\.example$")

#: Ours alone: without it the families of nodes have no series.
OUR_FLAGS = ("--telemetry-per-node",)

#: Users of both lists of nodes and pods, and what proves that all of them are served.
_SERVED_PATHS = ("/readyz", "/apis/metrics.k8s.io/v1beta1/nodes", "/apis/metrics.k8s.io/v1beta1/pods")


class Peer(msgspec.Struct):
    name: str
    port: int
    process: Process
    log: Path


class Callers:
    """How each kind of user proves itself: a bearer token, a certificate, or nothing."""

    def __init__(self, cluster: StandinCluster, tokens: dict[str, str]) -> None:
        self._tokens = tokens
        self._anonymous = client_context(None)
        self._contexts = {
            "front-proxy": client_context(None, cluster.pki.front_proxy_client),
            "certificate": client_context(None, cluster.pki.admin),
        }
        now_ns = SystemClock().now_ns()
        ca = cluster.pki.cluster_ca
        made = {
            "plain certificate": issue(ca, "alice", now_ns, organizations=("metrics-readers",), client=True),
            "serving certificate": issue(ca, "alice", now_ns, hosts=("127.0.0.1",), server=True),
            "other proxy": issue(cluster.pki.front_proxy_ca, "somebody", now_ns, client=True),
            "stranger": issue(make_ca("front-proxy-ca", now_ns), FRONT_PROXY_NAME, now_ns, client=True),
        }
        for kind, pair in made.items():
            path = cluster.directory / f"{kind.replace(' ', '-')}.pem"
            self._contexts[kind] = _showing(pair, path)

    async def ask(self, peer: Peer, request: Request) -> Answer:
        headers = list(request.headers)
        if token := self._tokens.get(request.user):
            headers.append(("Authorization", f"Bearer {token}"))
        context = self._contexts.get(request.user, self._anonymous)
        return await ask(
            peer.port, context, request.method, request.path, headers, request.body, request.http
        )


@contextlib.asynccontextmanager
async def running(
    name: str, command: Sequence[str], cluster: StandinCluster, callers: Callers
) -> AsyncIterator[Peer]:
    """Until it serves every node and pod that has metrics."""
    port = free_port()
    log = cluster.directory / f"{name}.log"
    flags = [*cluster.server_flags(port), f"--cert-dir={cluster.directory / name}", *_FLAGS]
    environment = direct_environment(KUBE_FEATURE_WatchListClient="false")  # the stand-in lists and watches
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, *flags, stdout=output, stderr=output, env=environment
        )
    peer = Peer(name, port, process, log)
    try:
        await _until_it_serves_all(peer, cluster, callers)
        yield peer
    finally:
        await end(process)


async def _until_it_serves_all(peer: Peer, cluster: StandinCluster, callers: Callers) -> None:
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while not await _serves_all(peer, cluster, callers):
                assert peer.process.returncode is None, f"{peer.name} ended: {_end_of(peer.log)}"
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"{peer.name} does not serve everything: {_end_of(peer.log)}") from None


async def _serves_all(peer: Peer, cluster: StandinCluster, callers: Callers) -> bool:
    pods = sum(len(source.view().pods) for source in cluster._sources)
    wanted = (None, len(cluster.node_names), pods)
    for path, count in zip(_SERVED_PATHS, wanted, strict=True):
        answer = await callers.ask(peer, Request("served", path))
        if answer.status != 200:
            return False
        if count is not None and len(msgspec.json.decode(answer.body)["items"]) != count:
            return False
    return True


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _showing(pair: Pair, path: Path) -> ssl.SSLContext:
    context = client_context(None)
    path.write_bytes(pair.cert_pem + pair.key_pem)
    context.load_cert_chain(path)
    return context

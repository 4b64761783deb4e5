"""What it costs to let somebody in: `python -m benchmarks.front_door --nodes 1000`.

First the CPU that authentication and authorization of an identity seen before take, in this process. Then how long
kube-apiserver's aggregator waits: five connections at once, each with a handshake of its own and one question,
once a second, while the server scrapes a simulated fleet. `--nodes 0` leaves the second out.
"""

import argparse
import asyncio
import json
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from multidict import CIMultiDict, CIMultiDictProxy

from benchmarks.measure import BASE, Client, _free_port
from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.authorizer import Authorizer
from pymetrics_server.auth.expiry import Expiry
from pymetrics_server.auth.impersonation import Impersonation
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.clock import SystemClock
from pymetrics_server.meta.identity import Attributes, UserInfo
from pymetrics_server.x509 import Pair, issue, make_ca

_REQUESTS = 3_000
_ROUNDS = 7
_PARALLEL = 5
_START_TIMEOUT_S = 120.0

#: What a request through the aggregator has besides the identity.
_USUAL_HEADERS = (
    ("Host", "10.0.0.1:443"),
    ("User-Agent", "kube-controller-manager/v1.33.0 (linux/amd64) kubernetes/horizontal-pod-autoscaler"),
    ("Accept", "application/vnd.kubernetes.protobuf,application/json"),
    ("Accept-Encoding", "gzip"),
    ("Audit-Id", "5d3e1c8e-7d2f-4a58-9a57-6a0d8b1f7a11"),
    ("X-Forwarded-For", "10.0.0.2"),
    ("X-Forwarded-Host", "10.0.0.1:443"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Uri", f"{BASE}/namespaces/default/pods"),
)
_PROXIED = (
    ("X-Remote-User", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
    ("X-Remote-Group", "system:serviceaccounts"),
    ("X-Remote-Group", "system:serviceaccounts:kube-system"),
    ("X-Remote-Group", "system:authenticated"),
    ("X-Remote-Extra-Authentication.kubernetes.io%2Fcredential-Id", "JTI=64c8bd3e"),
    ("X-Remote-Extra-Authentication.kubernetes.io%2Fnode-Name", "node-1"),
)
_ASKED = Attributes(
    "list",
    f"{BASE}/namespaces/default/pods",
    "metrics.k8s.io",
    "v1beta1",
    "pods",
    namespace="default",
)


class _Yes:
    """Whoever is asked about: they are somebody, and they may."""

    authenticated = allowed = True
    denied = False
    error = reason = evaluation_error = ""
    user = UserInfo("system:serviceaccount:monitoring:prometheus", ("system:serviceaccounts",))

    async def token_review(self, token: str) -> "_Yes":
        return self

    async def subject_access_review(self, user: UserInfo, attributes: Attributes) -> "_Yes":
        return self


class _Unseen:
    def set_front_proxy_expiration(self, certificate_s: float, ca_s: float) -> None:
        pass

    def observe_client_certificate(self, remaining_s: float) -> None:
        pass


async def identity_costs_us() -> dict[str, float]:
    """By kind of credentials: the least of several rounds, microseconds of CPU per request."""
    clock = SystemClock()
    now_ns = clock.now_ns()
    front_ca, client_ca = make_ca("front-proxy-ca", now_ns), make_ca("kubernetes", now_ns)
    trust = Trust(
        requestheader_ca_pem=front_ca.cert_pem,
        client_ca_pem=client_ca.cert_pem,
        allowed_names=("front-proxy-client",),
        uid_headers=("X-Remote-Uid",),
    )
    authenticator = Authenticator(TrustSource(trust), _Yes(), clock, expiry=Expiry(_Unseen()))
    authorizer = Authorizer(_Yes(), clock)
    impersonation = Impersonation(authorizer)
    proxy = _der(issue(front_ca, "front-proxy-client", now_ns, client=True))
    user = _der(issue(client_ca, "admin", now_ns, organizations=("ops", "dev"), client=True))
    kinds: Mapping[str, tuple[Sequence[tuple[str, str]], tuple[bytes, ...]]] = {
        "front proxy": (_PROXIED, (proxy,)),
        "client certificate": ((), (user,)),
        "bearer token": ((("Authorization", f"Bearer {'x' * 900}"),), ()),
    }
    found: dict[str, float] = {}
    for kind, (shown, chain_der) in kinds.items():
        headers = CIMultiDictProxy(CIMultiDict([*_USUAL_HEADERS, *shown]))
        rounds_s: list[float] = []
        for _ in range(_ROUNDS):
            began_s = time.process_time()
            for _ in range(_REQUESTS):
                asking = await authenticator.authenticate(headers, chain_der)
                asking = await impersonation.acting(asking, headers)
                await authorizer.authorize(asking, _ASKED)
            rounds_s.append(time.process_time() - began_s)
        found[kind] = 1e6 * min(rounds_s) / _REQUESTS
    return found


async def aggregators_waits_s(port: int, pki: Path, batches: int) -> list[float]:
    """Each of five connections at once, once a second: from its first packet to the last byte of its answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pki / "front-proxy-client.crt", pki / "front-proxy-client.key")
    waits_s: list[float] = []
    for _ in range(batches):
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(_ask_once(port, context), name=f"connection {i}") for i in range(_PARALLEL)
            ]
        waits_s += [task.result() for task in asked]
        await asyncio.sleep(1)
    return waits_s


async def _ask_once(port: int, context: ssl.SSLContext) -> float:
    began_s = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(
        f"GET {BASE} HTTP/1.1\r\nHost: here\r\nX-Remote-User: system:kube-aggregator\r\n"
        "X-Remote-Group: system:masters\r\nConnection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    took_s = time.perf_counter() - began_s
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"refused: {answer[:200]!r}")
    return took_s


def _beside_a_fleet(a: argparse.Namespace) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="pymetrics-bench-") as name:
        directory = Path(name)
        fleet = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fleet", name, f"--nodes={a.nodes}", f"--pods={a.pods}"],
            stdout=subprocess.PIPE,
        )
        server = None
        try:
            assert fleet.stdout is not None
            told = json.loads(fleet.stdout.readline())
            port = _free_port()
            flags = [
                *(f"--{which}kubeconfig={told['server_kubeconfig']}" for which in ("", "authentication-", "authorization-")),
                f"--secure-port={port}",
                f"--cert-dir={directory / 'certs'}",
                "--kubelet-use-node-status-port",
                "--kubelet-preferred-address-types=InternalIP",
                "--metric-resolution=15s",
            ]  # fmt: skip
            with (directory / "server.log").open("wb") as log:
                server = subprocess.Popen([sys.executable, "-m", "pymetrics_server", *flags], stderr=log)
            _wait_for(port, told["token"], a.nodes)
            return asyncio.run(aggregators_waits_s(port, directory / "pki", a.batches))
        finally:
            for process in (server, fleet):
                if process is not None:
                    process.send_signal(signal.SIGTERM)
                    process.wait(30)


def _wait_for(port: int, token: str, nodes: int) -> None:
    ends_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < ends_s:
        try:
            if len(Client(port, token).items(f"{BASE}/nodes")) >= nodes:
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.5)
    raise SystemExit("the server never served every node")


def _der(pair: Pair) -> bytes:
    return x509.load_pem_x509_certificate(pair.cert_pem).public_bytes(serialization.Encoding.DER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=30, help="pods on each node, of two containers")
    parser.add_argument("--batches", type=int, default=60, help="of five connections, one a second")
    a = parser.parse_args()
    for kind, cost_us in asyncio.run(identity_costs_us()).items():
        print(f"identity by {kind:20} {cost_us:8.1f} us CPU")
    if a.nodes:
        waits_s = sorted(_beside_a_fleet(a))
        p99_s = waits_s[min(len(waits_s) - 1, int(len(waits_s) * 0.99))]
        print(f"five at once, {a.nodes} nodes scraped, p50 {1e3 * statistics.median(waits_s):8.1f} ms")
        print(f"five at once, {a.nodes} nodes scraped, p99 {1e3 * p99_s:8.1f} ms")


if __name__ == "__main__":
    main()

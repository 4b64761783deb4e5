"""What it costs to let somebody in: `python -m benchmarks.front_door --nodes 1000`.

First the CPU that authentication and authorization of an identity seen before take, in this process. Then how long
kube-apiserver's aggregator waits: five connections at once, each with a handshake of its own and one question,
once a second, while the server scrapes a simulated fleet. At last what good requests over a kept-alive connection wait
while one core does nothing but open connections and leave after the handshake. `--nodes 0` leaves out all but the first.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from multidict import CIMultiDict, CIMultiDictProxy

from benchmarks.asking import BASE, Client, Tree, free_port
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


def _hostile(port: int, until_s: float, made: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    """Handshakes without a request, 32 at a time, on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def shake_hands() -> None:
        count = 0
        while time.time() < until_s:
            try:
                with (
                    socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
                    context.wrap_socket(raw, server_hostname="here"),
                ):
                    count += 1
            except OSError:
                pass
        with made.get_lock():
            made.value += count

    threads = [threading.Thread(target=shake_hands) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def good_requests_ms(port: int, token: str, seconds: float) -> list[float]:
    """Of one kept-alive connection, a request each 5 ms; sorted."""
    client = Client(port, token)
    path = f"{BASE}/nodes/{client.items(f'{BASE}/nodes')[0]['metadata']['name']}"
    ends_s, waits_ms = time.monotonic() + seconds, []
    while time.monotonic() < ends_s:
        began_s = time.perf_counter()
        client.get(path)
        waits_ms.append(1e3 * (time.perf_counter() - began_s))
        time.sleep(0.005)
    return sorted(waits_ms)


def under_attack(port: int, token: str, tree: Tree, seconds: float) -> dict[str, float]:
    quiet = good_requests_ms(port, token, seconds / 2)
    before_bytes = tree.rss_bytes()
    context = multiprocessing.get_context("spawn")
    made = context.Value("i", 0)
    attack = context.Process(target=_hostile, args=(port, time.time() + seconds + 2, made))
    attack.start()
    time.sleep(1)  # until its threads run
    attacked = good_requests_ms(port, token, seconds)
    attack.join()
    return {
        "good requests, quiet, p50 (ms)": statistics.median(quiet),
        "good requests, quiet, p99 (ms)": quiet[int(len(quiet) * 0.99)],
        "good requests, under attack, p50 (ms)": statistics.median(attacked),
        "good requests, under attack, p99 (ms)": attacked[int(len(attacked) * 0.99)],
        "hostile handshakes per second": made.value / (seconds + 2),
        "memory gained under attack (MiB)": (tree.rss_bytes() - before_bytes) / 2**20,
    }


def _beside_a_fleet(a: argparse.Namespace) -> tuple[list[float], dict[str, float]]:
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
            port = free_port()
            flags = [
                *(f"--{which}kubeconfig={told['server_kubeconfig']}" for which in ("", "authentication-", "authorization-")),
                f"--secure-port={port}",
                f"--cert-dir={directory / 'certs'}",
                "--kubelet-insecure-tls",
                "--kubelet-use-node-status-port",
                "--kubelet-preferred-address-types=InternalIP",
                "--metric-resolution=15s",
            ]  # fmt: skip
            with (directory / "server.log").open("wb") as log:
                server = subprocess.Popen([sys.executable, "-m", "pymetrics_server", *flags], stderr=log)
            _wait_for(port, told["token"], a.nodes)
            waits_s = asyncio.run(aggregators_waits_s(port, directory / "pki", a.batches))
            return waits_s, under_attack(port, told["token"], Tree(server.pid), a.attack)
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends with it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=30, help="pods on each node, of two containers")
    parser.add_argument("--batches", type=int, default=60, help="of five connections, one a second")
    parser.add_argument("--attack", type=float, default=30, help="seconds of hostile handshakes")
    a = parser.parse_args()
    for kind, cost_us in asyncio.run(identity_costs_us()).items():
        print(f"identity by {kind:20} {cost_us:8.1f} us CPU")
    if a.nodes:
        unsorted_s, attacked = _beside_a_fleet(a)
        waits_s = sorted(unsorted_s)
        p99_s = waits_s[min(len(waits_s) - 1, int(len(waits_s) * 0.99))]
        print(f"five at once, {a.nodes} nodes scraped, p50 {1e3 * statistics.median(waits_s):8.1f} ms")
        print(f"five at once, {a.nodes} nodes scraped, p99 {1e3 * p99_s:8.1f} ms")
        for what, figure in attacked.items():
            print(f"{what:40} {figure:8.1f}")


if __name__ == "__main__":
    main()

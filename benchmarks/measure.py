"""Measures servers that take metrics-server's flags, one after the other, on the same simulated cluster.

`python -m benchmarks.measure --nodes 1000 --peer /path/to/metrics-server`. See benchmarks/README.md.
"""

import argparse
import datetime as dt
import http.client
import json
import shlex
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from pymetrics_server.meta.quantity import parse_nano
from pymetrics_server.standin import simulated

BASE = "/apis/metrics.k8s.io/v1beta1"
CONTAINERS = 2
PROTOBUF = "application/vnd.kubernetes.protobuf"
_START_TIMEOUT_S = 300.0
_ROUNDS_OF_REQUESTS = 5


class Client:
    """One kept-alive TLS connection with a bearer token."""

    def __init__(self, port: int, token: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = (
            False,
            ssl.CERT_NONE,
        )  # loopback, a self-signed certificate
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, accept: str = "application/json") -> tuple[int, bytes]:
        self._connection.request("GET", path, headers={**self._headers, "Accept": accept})
        response = self._connection.getresponse()
        return response.status, response.read()

    def items(self, path: str) -> list[dict[str, Any]]:
        status, body = self.get(path)
        found: list[dict[str, Any]] = json.loads(body)["items"] if status == 200 else []
        return found


class Tree:
    """A process and its children, by the kernel's accounting."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu_s(self) -> float:
        return sum(t.user + t.system for t in (p.cpu_times() for p in self._all()))

    def rss_bytes(self) -> int:
        return sum(int(p.memory_info().rss) for p in self._all())


def main() -> None:
    a = _arguments()
    commands = {"ours": f"{sys.executable} -m pymetrics_server", **({"peer": a.peer} if a.peer else {})}
    columns = {name: _measured(command, a) for name, command in commands.items()}
    _print_table(columns, a)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--pods", type=int, default=30, help="pods on each node, of two containers")
    parser.add_argument("--resolution", type=int, default=15, help="seconds")
    parser.add_argument("--rounds", type=int, default=3, help="scrape rounds over which CPU is counted")
    parser.add_argument(
        "--fail-every", type=int, default=0, help="every k-th scrape of a node is answered with 500"
    )
    parser.add_argument("--peer", default="", help="the command of another server to put beside ours")
    parser.add_argument("--flags", default="", help="further flags for our server")
    return parser.parse_args()


def _measured(command: str, a: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="pymetrics-bench-") as directory:
        fleet = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fleet", directory, f"--nodes={a.nodes}", f"--pods={a.pods}",
             f"--fail-every={a.fail_every}"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert fleet.stdout is not None
            return _served(command, json.loads(fleet.stdout.readline()), Path(directory), a)
        finally:
            fleet.terminate()
            fleet.wait()


def _served(
    command: str, fleet: Mapping[str, str], directory: Path, a: argparse.Namespace
) -> dict[str, float]:
    port, kubeconfig = _free_port(), fleet["server_kubeconfig"]
    flags = [
        *(f"--{prefix}kubeconfig={kubeconfig}" for prefix in ("", "authentication-", "authorization-")),
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certs'}",
        "--kubelet-use-node-status-port",
        "--kubelet-preferred-address-types=InternalIP",
        f"--metric-resolution={a.resolution}s",
    ]
    ours = "pymetrics_server" in command
    started_s = time.monotonic()
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*shlex.split(command), *flags, *(shlex.split(a.flags) if ours else [])], stderr=log, stdout=log
        )
    try:
        figures: dict[str, float] = {}
        _wait_for_all_pods(port, fleet["token"], a, server, started_s)
        figures["all pods served (s)"] = time.monotonic() - started_s
        figures |= _scraping(Tree(server.pid), a)
        client = Client(port, fleet["token"])
        figures["worst CPU error (%)"] = 100 * _worst_error(client.items(f"{BASE}/pods"))
        figures |= _presence(client, 2 * a.resolution)
        figures |= _requests(client, Tree(server.pid))
        return figures
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _wait_for_all_pods(
    port: int, token: str, a: argparse.Namespace, server: "subprocess.Popen[bytes]", started_s: float
) -> None:
    while True:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        if time.monotonic() - started_s > _START_TIMEOUT_S:
            raise SystemExit("the server never served every pod")
        try:
            if len(Client(port, token).items(f"{BASE}/pods")) >= a.nodes * a.pods:
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.1)


def _scraping(tree: Tree, a: argparse.Namespace) -> dict[str, float]:
    time.sleep(a.resolution)
    cpu_s, from_s, rss_bytes = tree.cpu_s(), time.monotonic(), 0
    while time.monotonic() - from_s < a.rounds * a.resolution:
        time.sleep(0.5)
        rss_bytes = max(rss_bytes, tree.rss_bytes())
    scrapes = (time.monotonic() - from_s) / a.resolution * a.nodes
    return {
        "CPU per node-scrape (ms)": 1e3 * (tree.cpu_s() - cpu_s) / scrapes,
        "memory (MiB)": rss_bytes / 2**20,
    }


def _worst_error(pods: list[dict[str, Any]]) -> float:
    worst = 0.0
    for pod in pods:
        node, ordinal = simulated.place(pod["metadata"]["name"])
        for container in pod["containers"]:
            expected = simulated.rate_nanocores(node, ordinal, simulated.container_ordinal(container["name"]))
            worst = max(worst, abs(parse_nano(container["usage"]["cpu"]) - expected) / expected)
    return worst


def _presence(client: Client, seconds: int) -> dict[str, float]:
    present: list[int] = []
    ages_s: list[float] = []
    for _ in range(seconds):
        nodes = client.items(f"{BASE}/nodes")
        now_s = time.time()
        present.append(len(nodes))
        ages_s += [now_s - dt.datetime.fromisoformat(n["timestamp"]).timestamp() for n in nodes]
        time.sleep(1)
    return {
        "nodes present, fewest": min(present),
        "nodes present, mean": statistics.mean(present),
        "mean age (s)": statistics.mean(ages_s) if ages_s else float("nan"),
    }


def _requests(client: Client, tree: Tree) -> dict[str, float]:
    """One after the other, each in several rounds, so that what else the machine does falls on all of them."""
    one = client.items(f"{BASE}/pods")[0]["metadata"]
    namespaced = f"{BASE}/namespaces/{one['namespace']}/pods"
    hpa = f"{namespaced}?labelSelector=app%3D{one['labels']['app']}%2Ctier%3Dfrontend"
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    asked = {
        "list all pods": (f"{BASE}/pods", "application/json", 4),
        "list all pods, protobuf": (f"{BASE}/pods", PROTOBUF, 4),
        "list all pods, Table": (f"{BASE}/pods", table, 4),
        "HPA query": (hpa, "application/json", 60),
        "HPA query, protobuf": (hpa, PROTOBUF, 60),
        "get one pod": (f"{namespaced}/{one['name']}", "application/json", 60),
        "discovery": ("/apis", discovery, 60),
    }
    latencies_s: dict[str, list[float]] = {name: [] for name in asked}
    cpu_s = dict.fromkeys(asked, 0.0)
    for path, accept, _ in asked.values():
        client.get(path, accept)
    for _ in range(_ROUNDS_OF_REQUESTS):
        for name, (path, accept, times) in asked.items():
            before_s = tree.cpu_s()
            for _ in range(times):
                from_s = time.perf_counter()
                client.get(path, accept)
                latencies_s[name].append(time.perf_counter() - from_s)
            cpu_s[name] += tree.cpu_s() - before_s
    figures: dict[str, float] = {}
    for name in asked:
        figures[f"{name}, p50 (ms)"] = 1e3 * statistics.median(latencies_s[name])
        figures[f"{name}, CPU (ms)"] = 1e3 * cpu_s[name] / len(latencies_s[name])
    return figures


def _print_table(columns: Mapping[str, Mapping[str, float]], a: argparse.Namespace) -> None:
    print(f"{a.nodes} nodes x {a.pods} pods x {CONTAINERS} containers, every {a.resolution} s", end="")
    print(f", every {a.fail_every}th scrape fails" if a.fail_every else "")
    names = list(columns)
    print(f"{'':34}" + "".join(f"{n:>12}" for n in names) + ("       ratio" if len(names) == 2 else ""))
    for row in columns[names[0]]:
        values = [columns[n][row] for n in names]
        ratio = f"{values[0] / values[1]:12.3f}" if len(values) == 2 and values[1] else ""
        print(f"{row:34}" + "".join(f"{v:12.3f}" for v in values) + ratio)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

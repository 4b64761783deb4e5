"""The phases of a measurement, each over one running server: what is asked of it, and what that cost."""

import datetime as dt
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.asking import BASE, Client, Tree, asking

_PROTOBUF = "application/vnd.kubernetes.protobuf, */*"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_JSON = "application/json"
_SMALL_REQUESTS = 300
_WARM_UP = 3
_AGED_NODES = 100
_BETWEEN_PROBES_S = 0.002
_BETWEEN_MEMORY_READINGS_S = 0.5

#: Lists everything over and over, in a process of its own so that it takes no time from who probes beside it.
_LISTS = """
import http.client, ssl, sys, time
port, token, path, seconds = int(sys.argv[1]), sys.stdin.readline().strip(), sys.argv[2], float(sys.argv[3])
client = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context())
from_s = time.monotonic()
while time.monotonic() - from_s < seconds:
    client.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    client.getresponse().read()
"""


class Work(msgspec.Struct, frozen=True):
    path: str
    accept: str
    times: int


def of_pod(pod: dict[str, Any], heavy: int) -> dict[str, Work]:
    """What is asked, by the row's name; the small questions are about this pod. `heavy`: how often lists of all are."""
    one = pod["metadata"]
    namespaced = f"{BASE}/namespaces/{one['namespace']}/pods"
    hpa = f"{namespaced}?labelSelector=app%3D{one['labels']['app']}"
    return {
        "list_all": Work(f"{BASE}/pods", _JSON, heavy),
        "list_all_table": Work(f"{BASE}/pods", _TABLE, max(3, heavy // 4)),
        "list_nodes": Work(f"{BASE}/nodes", _JSON, heavy),
        "hpa": Work(hpa, _JSON, _SMALL_REQUESTS),
        "hpa_protobuf": Work(hpa, _PROTOBUF, _SMALL_REQUESTS),
        "get": Work(f"{namespaced}/{one['name']}", _JSON, _SMALL_REQUESTS),
    }


def scraping(tree: Tree, nodes: int, resolution_s: float, cycles: int) -> dict[str, Any]:
    """Over whole cycles in which nobody asks anything."""
    cpu_s, from_s, memory = tree.cpu_s(), time.monotonic(), [tree.rss_bytes()]
    while time.monotonic() - from_s < cycles * resolution_s:
        time.sleep(_BETWEEN_MEMORY_READINGS_S)
        memory.append(tree.rss_bytes())
    cores = (tree.cpu_s() - cpu_s) / (time.monotonic() - from_s)
    return {
        "scrape_cpu_s_per_cycle": cores * resolution_s,
        "scrape_mcpu_per_node": cores / nodes * 1000,
        "rss_mib_max": max(memory) / 2**20,
        "rss_mib_median": statistics.median(memory) / 2**20,
    }


def one_by_one(client: Client, tree: Tree, work: Work) -> dict[str, Any]:
    """Requests after each other over one connection."""
    for _ in range(_WARM_UP):
        client.get(work.path, work.accept)
    status, body, taken_s = 0, b"", []
    cpu_s = tree.cpu_s()
    for _ in range(work.times):
        from_s = time.perf_counter()
        status, body = client.get(work.path, work.accept)
        taken_s.append(time.perf_counter() - from_s)
    cpu_s = tree.cpu_s() - cpu_s
    return {"status": status, "bytes": len(body), **_spread(taken_s), "cpu_ms": 1e3 * cpu_s / work.times}


def presence(client: Client, nodes: int, seconds: float) -> dict[str, Any]:
    """How many nodes are there and how old what is served of them is, looked at once a second."""
    present: list[int] = []
    ages_s: list[float] = []
    from_s = time.monotonic()
    while time.monotonic() - from_s < seconds:
        items = client.items(f"{BASE}/nodes")
        now_s = time.time()
        present.append(len(items))
        ages_s += [
            now_s - dt.datetime.fromisoformat(item["timestamp"]).timestamp()
            for item in items[:: max(1, nodes // _AGED_NODES)]
        ]
        time.sleep(1)
    found: dict[str, Any] = {"nodes_present": {"min": min(present), "mean": statistics.mean(present)}}
    if ages_s:
        found["age_s"] = {"mean": statistics.mean(ages_s), "p99": _percentile(sorted(ages_s), 0.99)}
    return found


def stall(port: int, token: str, small: Work, large: Work, seconds: float) -> dict[str, Any]:
    """What a small request waits while another connection lists everything for so long. Both servers are asked about as
    often: counted by lists, the faster one would have too few answers for a p99."""
    over, taken_s = threading.Event(), list[float]()

    def probe() -> None:
        with asking(port, token) as client:
            for _ in range(_WARM_UP):  # the handshake is not what is waited for
                client.get(small.path, small.accept)
            while not over.is_set():
                from_s = time.perf_counter()
                client.get(small.path, small.accept)
                taken_s.append(time.perf_counter() - from_s)
                time.sleep(_BETWEEN_PROBES_S)

    prober = threading.Thread(target=probe, name="prober")
    prober.start()
    try:
        command = [sys.executable, "-c", _LISTS, str(port), large.path, str(seconds)]
        subprocess.run(command, input=f"{token}\n", text=True, check=True)
    finally:
        over.set()
        prober.join()
    return {**_spread(taken_s), "max_ms": 1e3 * max(taken_s), "samples": len(taken_s)}


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def at_once(port: int, token: str, tree: Tree, work: Work, seconds: int) -> dict[str, Any]:
    """Sixteen connections that never rest: wrk, which costs the machine less than a client in Python would."""
    command = [
        "wrk",
        "-t1",
        "-c16",
        f"-d{seconds}s",
        "--latency",
        "-H",
        f"Authorization: Bearer {token}",
        "-H",
        f"Accept: {work.accept}",
    ]
    cpu_s = tree.cpu_s()
    said = subprocess.run(
        [*command, f"https://127.0.0.1:{port}{work.path}"], capture_output=True, text=True, check=True
    ).stdout
    cpu_s = tree.cpu_s() - cpu_s
    found: dict[str, Any] = {}
    if rate := re.search(r"Requests/sec:\s+([\d.]+)", said):
        found["wrk_rps"] = float(rate[1])
    if (requests := re.search(r"(\d+) requests in", said)) and int(requests[1]):
        found["wrk_cpu_us_per_req"] = 1e6 * cpu_s / int(requests[1])
    if p99 := re.search(r"99%\s+(\S+)", said):
        found["wrk_p99"] = p99[1]
    if errors := re.search(r"(?:Non-2xx|Socket errors).*", said):
        found["wrk_errors"] = errors[0]
    return found


def _spread(taken_s: Sequence[float]) -> dict[str, float]:
    return {
        "p50_ms": 1e3 * statistics.median(taken_s),
        "p99_ms": 1e3 * _percentile(sorted(taken_s), 0.99),
    }


def _percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]

"""Measures servers that take metrics-server's flags, one after the other, on the same simulated cluster.

`python -m benchmarks.measure --nodes 1000 --peer /path/to/metrics-server`. See benchmarks/README.md.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import phases, rows
from benchmarks.asking import BASE, Tree, asking, free_port
from benchmarks.fleet import Fleet, add_habits
from benchmarks.kubelets import Habits
from benchmarks.truth import checked

_START_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 30.0
_TOLD_LINES = 20
_NO_WRK = "Without concurrent requests: wrk is not installed (Debian: apt-get install wrk)."


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends with it
    a = _arguments()
    commands = {"ours": f"{a.python} -m pymetrics_server {a.flags}"}
    if a.peer:
        commands["peer"] = a.peer
    if a.json:
        a.json.parent.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for turn in range(a.repeat):
        for name, command in commands.items():
            print(f"{name}, run {turn + 1} of {a.repeat} ...", file=sys.stderr, flush=True)
            runs[name].append(_measured(command, a))
            if a.json:
                a.json.write_text(json.dumps(_results(runs, a), indent=1) + "\n")
    _print_table(runs, a)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_habits(parser)
    parser.add_argument("--resolution", type=int, default=15, help="of scraping, in seconds")
    parser.add_argument("--cycles", type=int, default=4, help="over how many scrapes CPU is counted")
    parser.add_argument("--presence-s", type=float, default=40, help="how long nodes are looked at")
    parser.add_argument("--heavy", type=int, default=20, help="how often everything is listed")
    parser.add_argument(
        "--stall-s", type=float, default=5, help="how long small requests compete with lists of all"
    )
    parser.add_argument("--wrk-s", type=int, default=5, help="of concurrent requests, in seconds; 0: none")
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each server, of which medians are told"
    )
    parser.add_argument("--json", type=Path, help="where the results go, for benchmarks.page")
    parser.add_argument("--peer", default="", help="the command of another server to put beside ours")
    parser.add_argument("--flags", default="", help="further flags for our server")
    parser.add_argument(
        "--python", default=sys.executable, help="the command of the Python that ours runs in"
    )
    return parser.parse_args()


def _measured(command: str, a: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="pymetrics-bench-") as name:
        directory = Path(name)
        with fleet_of(directory, a) as fleet:
            run: dict[str, Any] = {}
            with started(command, directory, fleet, a.resolution) as (server, port):
                began_s = time.monotonic()
                run |= _arrival(server, port, fleet, a, began_s)
                run |= _figures(Tree(server.pid), port, fleet, a)
                run |= stopped(server)
            with asking(int(fleet.apiserver_url.rpartition(":")[2]), fleet.apiserver_token) as client:
                run["fleet"] = json.loads(client.get("/fleet")[1])
            return run


@contextmanager
def fleet_of(directory: Path, a: argparse.Namespace) -> Iterator[Fleet]:
    """A fleet in processes of its own, by the habits among the arguments."""
    habits = {
        name: getattr(a, name)
        for name in ("nodes", "pods", "containers", "fail_every", "slow_nodes", "slow_s")
    }
    habits |= {"housekeeping_s": a.housekeeping_s, "workers": a.workers}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in habits.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fleet", str(directory), *flags], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield msgspec.json.decode(process.stdout.readline(), type=Fleet)
    finally:
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)


@contextmanager
def started(
    command: str, directory: Path, fleet: Fleet, resolution_s: int
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A server with ordinary flags, and its port; killed at the end where it runs on."""
    port, kubeconfig = free_port(), fleet.server_kubeconfig
    flags = [
        *(f"--{prefix}kubeconfig={kubeconfig}" for prefix in ("", "authentication-", "authorization-")),
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certs'}",
        "--kubelet-insecure-tls",
        "--kubelet-use-node-status-port",
        "--kubelet-preferred-address-types=InternalIP",
        f"--metric-resolution={resolution_s}s",
    ]
    log = directory / "server.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            [*shlex.split(command), *flags], stderr=said, stdout=said, start_new_session=True
        )
    try:
        yield server, port
    except BaseException:
        said_last = [
            line for line in log.read_text(errors="replace").splitlines() if line[:1] not in ("", " ")
        ]
        print(*said_last[-_TOLD_LINES:], sep="\n", file=sys.stderr)
        raise
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def stopped(server: "subprocess.Popen[bytes]") -> dict[str, Any]:
    server.send_signal(signal.SIGTERM)
    from_s = time.monotonic()
    code = server.wait(_STOP_TIMEOUT_S)
    return {"stop_s": time.monotonic() - from_s, "exit": code}


def _arrival(
    server: "subprocess.Popen[bytes]", port: int, fleet: Fleet, a: argparse.Namespace, began_s: float
) -> dict[str, Any]:
    """How long until it is ready, and until it serves every pod."""
    found: dict[str, Any] = {}
    while "all_pods_served_s" not in found:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        if time.monotonic() - began_s > _START_TIMEOUT_S:
            raise SystemExit(f"the server never {'served every pod' if found else 'became ready'}")
        try:
            with asking(port, fleet.token) as client:
                if not found and client.get("/readyz")[0] == 200:
                    found["ready_s"] = time.monotonic() - began_s
                if found and client.count(f"{BASE}/pods") >= a.nodes * a.pods:
                    found["all_pods_served_s"] = time.monotonic() - began_s
                    break
        except OSError:
            pass  # not listening yet
        time.sleep(0.5 if found else 0.1)
    return found


def _figures(tree: Tree, port: int, fleet: Fleet, a: argparse.Namespace) -> dict[str, Any]:
    time.sleep(a.resolution)
    found = phases.scraping(tree, a.nodes, a.resolution, a.cycles)
    with asking(port, fleet.token) as client:
        pods, nodes = client.items(f"{BASE}/pods"), client.items(f"{BASE}/nodes")
        truth = checked(pods, nodes, Habits(nodes=a.nodes, pods=a.pods, containers=a.containers))
        found |= {"served_pods": len(pods), **msgspec.to_builtins(truth)}
        asked = phases.of_pod(pods[len(pods) // 2], a.heavy)
        del pods, nodes
        for name, work in asked.items():
            found[name] = phases.one_by_one(client, tree, work)
        found |= phases.presence(client, a.nodes, a.presence_s)
    found["stall"] = phases.stall(port, fleet.token, asked["get"], asked["list_all"], a.stall_s)
    if a.wrk_s and phases.has_wrk():
        for name in ("hpa", "hpa_protobuf", "get"):
            found[name] |= phases.at_once(port, fleet.token, tree, asked[name], a.wrk_s)
    found["rss_mib_after_load"] = tree.rss_bytes() / 2**20
    return found


def _results(runs: Mapping[str, Sequence[Mapping[str, Any]]], a: argparse.Namespace) -> dict[str, Any]:
    """What benchmarks.page reads."""
    settings = ("nodes", "pods", "containers", "resolution", "cycles", "fail_every", "slow_nodes", "slow_s")
    return {
        **{name: getattr(a, name) for name in settings},
        "machine": {
            "cores": os.cpu_count(),
            "kernel": f"{platform.system()} {platform.release()}",
            "python": _version(a.python),
        },
        "runs": runs,
    }


def _version(python: str) -> str:
    asked = [*shlex.split(python), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def _print_table(runs: Mapping[str, Sequence[Mapping[str, Any]]], a: argparse.Namespace) -> None:
    print(f"{a.nodes} nodes x {a.pods} pods x {a.containers} containers, every {a.resolution} s", end="")
    print(f", every {a.fail_every}th scrape fails" if a.fail_every else "", end="")
    print(f", {a.slow_nodes} nodes answer after {a.slow_s:g} s" if a.slow_nodes else "", end="")
    print(f", medians of {a.repeat}" if a.repeat > 1 else "")
    columns = [rows.medians(each) for each in runs.values()]
    compared = len(columns) == 2
    print(f"{'':54}" + "".join(f"{name:>12}" for name in runs) + ("   ratio    goal" if compared else ""))
    for line in rows.lines(columns, a.nodes):
        text = f"{line.label:54}" + "".join(f"{figure:>12}" for figure in line.figures)
        text += f"{line.ratio:>8}{line.goal:>8}" if compared else ""
        print(f"{text}{'  *' if line.missed else ''}".rstrip())
    if not phases.has_wrk():
        print(_NO_WRK)


if __name__ == "__main__":
    main()

"""A simulated cluster in a process of its own: `python -m benchmarks.fleet DIR --nodes N`.

Prints one line of JSON when it is ready (where its kubeconfigs are), and ends at SIGTERM.
"""

import argparse
import asyncio
import json
import signal
from pathlib import Path

import uvloop

from pymetrics_server.standin.cluster import StandinCluster


async def run(directory: Path, nodes: int, pods: int, fail_every: int) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with StandinCluster(
        directory, nodes, host=False, simulated_pods=pods, fail_every=fail_every, sync_interval_s=3600
    ) as cluster:
        print(
            json.dumps(
                {
                    "server_kubeconfig": str(cluster.server_kubeconfig),
                    "token": cluster.add_user("bench", "system:masters"),
                }
            ),
            flush=True,
        )
        await over.wait()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("directory", type=Path)
    arguments.add_argument("--nodes", type=int, default=100)
    arguments.add_argument("--pods", type=int, default=30)
    arguments.add_argument("--fail-every", type=int, default=0)
    a = arguments.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(a.directory, a.nodes, a.pods, a.fail_every))


if __name__ == "__main__":
    main()

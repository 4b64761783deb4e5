"""`python -m benchmarks.faults`: every scenario, a table on standard output and in docs/reliability.md."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults import page
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.run import REPLICAS, of_clusters, of_kubelets, of_replicas
from benchmarks.faults.scenarios import OF_CLOCKS, OF_CLUSTERS, OF_KUBELETS, Scenario
from benchmarks.faults.world import LIBFAKETIME


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends with it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lasts", type=float, default=40.0, help="how long each goes wrong, in seconds")
    parser.add_argument("--only", default="", help="scenarios whose title contains this")
    parser.add_argument("--page", action="store_true", help="write docs/reliability.md")
    a = parser.parse_args()

    def chosen(scenarios: Sequence[Scenario]) -> Sequence[Scenario]:
        return [scenario for scenario in scenarios if a.only in scenario.title]

    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="pymetrics-faults-") as folder:
        if found := chosen(OF_KUBELETS):
            outcomes += asyncio.run(of_kubelets(Path(folder, "kubelets"), found, a.lasts))
        if found := chosen(OF_CLUSTERS):
            outcomes += asyncio.run(of_clusters(Path(folder, "clusters"), found, a.lasts))
        if (found := chosen(OF_CLOCKS)) and LIBFAKETIME is None:
            print("no clock is stepped: install libfaketime (Debian: faketime)", file=sys.stderr)
        elif found:
            clocks = of_clusters(Path(folder, "clocks"), found, a.lasts, clock_can_be_stepped=True)
            outcomes += asyncio.run(clocks)
        if a.only in REPLICAS:
            outcomes += asyncio.run(of_replicas(Path(folder, "replicas"), a.lasts))
    print(page.table(outcomes))
    if a.page:
        page.write(outcomes, a.lasts)
    for outcome in outcomes:
        for broken in outcome.broken:
            print(f"BROKEN {outcome.title}: {broken}", file=sys.stderr)
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long each operation takes, by pyperf: `python -m benchmarks.micro`, with pyperf's own flags (`--fast`, `-o FILE`)."""

import gc
import sys
import time

import pyperf  # type: ignore[import-untyped]  # ships no types

from benchmarks.workloads import WORKLOADS, Workload


def timed(loops: int, workload: Workload) -> float:
    """Seconds of so many runs, without what their arguments took."""
    arguments, run = workload.arguments(loops), workload.run
    gc.freeze()  # thousands of arguments are no part of any run
    started = time.perf_counter()
    for argument in arguments:
        run(argument)
    took_s = time.perf_counter() - started
    gc.unfreeze()
    return took_s


def main() -> None:
    runner = pyperf.Runner(processes=5, program_args=("-m", "benchmarks.micro"))
    runner.parse_args([*sys.argv[1:], *([] if "--verbose" in sys.argv else ["--quiet"])])
    for workload in WORKLOADS:
        runner.bench_time_func(workload.name, timed, workload)


if __name__ == "__main__":
    main()

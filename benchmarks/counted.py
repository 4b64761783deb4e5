"""How many instructions each operation takes, counted by valgrind: the same on a busy machine as on an idle one.

`python -m benchmarks.counted` holds them against benchmarks/baseline.json and fails where one has grown by more than a
tenth; `--record` writes that file. Without valgrind, or a baseline of this Python, it says so and passes.
"""

import argparse
import gc
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.workloads import WORKLOADS

BASELINE = Path(__file__).parent / "baseline.json"
TOLERANCE = 0.10
#: Between builds of one Python version, which differ by up to a quarter.
TOLERANCE_OF_BUILDS = 0.50
#: A function of the C library that nothing else here calls: valgrind ends a part of its count wherever it is entered.
_MARK = "getsid"
_RECORD = "make bench-check ARGS=--record"
_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.M)


class Recorded(msgspec.Struct):
    """Of one kind of Python; `build` is the exact one."""

    build: str
    instructions: dict[str, int]


Baselines = dict[str, Recorded]


def kind_of_python() -> str:
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}-{platform.machine()}"


def build_of_python() -> str:
    """What moves the counts though nobody touched this project."""
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    chosen = " ".join(option for option in ("--enable-optimizations", "--with-lto") if option in configured)
    return (
        f"{platform.python_version()} (configure {chosen or 'as it comes'}), {platform.python_compiler()}, "
        f"msgspec {version('msgspec')}"
    )


def compare(
    baseline: Mapping[str, int], now: Mapping[str, int], tolerance: float = TOLERANCE
) -> tuple[list[str], list[str]]:
    """(the operations that have grown or were never recorded, those that have shrunk), beyond the tolerance."""
    grown = [name for name in now if now[name] > baseline.get(name, 0) * (1 + tolerance)]
    shrunk = [name for name in now if now[name] < baseline.get(name, 0) * (1 - tolerance)]
    return grown, shrunk


def table(baseline: Mapping[str, int], now: Mapping[str, int]) -> str:
    lines = [f"{'instructions per operation':36}{'baseline':>12}{'now':>12}{'ratio':>8}"]
    for name, counted in now.items():
        before = baseline.get(name)
        known = (
            f"{before:>12,}{counted:>12,}{counted / before:>8.2f}" if before else f"{'-':>12}{counted:>12,}"
        )
        lines.append(f"{name:36}{known}")
    return "\n".join(lines)


def run_marked() -> None:
    """Every operation, in a process whose instructions are counted; marks stand around what counts."""
    gc.disable()  # whose turn it is depends on all that ran before
    for workload in WORKLOADS:
        arguments = workload.arguments(workload.warm_up + workload.counted)
        for argument in arguments[: workload.warm_up]:
            workload.run(argument)
        counted, run = arguments[workload.warm_up :], workload.run
        os.getsid(0)
        for argument in counted:
            run(argument)
        os.getsid(0)


def count(valgrind: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "out")
        asked = [
            valgrind,
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            f"--dump-before={_MARK}",
            *(sys.executable, "-m", "benchmarks.counted", "--marked"),
        ]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONHASHSEED": "0",
        }  # nothing else of where it runs
        ended = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"valgrind failed:\n{ended.stderr[-2000:]}")
        # The first part is all up to the first mark; then every other one is an operation.
        parts = [Path(f"{out}.{2 * number + 2}") for number in range(len(WORKLOADS))]
        return {
            workload.name: _total(part.read_text()) // workload.counted
            for workload, part in zip(WORKLOADS, parts, strict=True)
        }


def _total(part: str) -> int:
    found = _TOTALS.search(part)
    if found is None:
        raise SystemExit("valgrind wrote no totals")
    return int(found[1])


def read_baselines() -> Baselines:
    return msgspec.json.decode(BASELINE.read_bytes(), type=Baselines) if BASELINE.exists() else {}


def record(now: dict[str, int]) -> None:
    baselines = read_baselines()
    baselines[kind_of_python()] = Recorded(build_of_python(), now)
    BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode(baselines, order="deterministic")) + b"\n")


def check(baseline: Recorded, now: Mapping[str, int]) -> int:
    """Prints what was found; the exit code."""
    tolerance = TOLERANCE
    print(table(baseline.instructions, now))
    if baseline.build != build_of_python():
        tolerance = TOLERANCE_OF_BUILDS
        print(
            f"The baseline is of {baseline.build}; this is {build_of_python()}: held to {tolerance:.0%} only."
        )
    grown, shrunk = compare(baseline.instructions, now, tolerance)
    if shrunk:
        print(f"Fewer by more than {tolerance:.0%}: {', '.join(shrunk)}. To keep it so: {_RECORD}")
    if grown:
        print(
            f"More by over {tolerance:.0%}: {', '.join(grown)}. Where that is the price of something: {_RECORD}"
        )
    return 1 if grown else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.counted")
    parser.add_argument("--record", action="store_true", help="write benchmarks/baseline.json")
    parser.add_argument("--marked", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.marked:
        run_marked()
        return 0
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        print("No valgrind (on Debian: apt-get install valgrind): no instructions counted, nothing compared.")
        return 0
    baseline = read_baselines().get(kind_of_python())
    if chosen.record:
        now = count(valgrind)
        print(table({} if baseline is None else baseline.instructions, now))
        record(now)
        return 0
    if baseline is None:
        print(f"No baseline of {kind_of_python()}: nothing compared. Record one: {_RECORD}")
        return 0
    return check(baseline, count(valgrind))


if __name__ == "__main__":
    sys.exit(main())

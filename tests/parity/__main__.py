"""`python -m tests.parity`: the diff of every answer, or with --raw the answers as they came.

PARITY_PEER is the original's binary, or `self`.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from tests.parity import commandlines
from tests.parity.cases import all_requests
from tests.parity.compare import Report, side_by_side
from tests.parity.requests import Request
from tests.parity.wire import Answer

_OUR_COMMAND = (sys.executable, "-m", "pymetrics_server")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--only", default="*", help="a pattern of the names of requests")
    parser.add_argument("--raw", action="store_true", help="print both answers in full")
    arguments = parser.parse_args()
    peer = os.environ.get("PARITY_PEER", "")
    if not peer:
        parser.error("name a metrics-server binary: make parity PEER=/path/to/metrics-server")
    requests = [r for r in all_requests() if fnmatchcase(r.name, arguments.only)]
    failed = asyncio.run(_run(peer, requests, raw=arguments.raw))
    if arguments.only == "*" and not arguments.raw and peer != "self":
        failed |= _command_lines(peer)
    return failed


async def _run(peer: str, requests: list[Request], *, raw: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="parity-") as directory:
        async with side_by_side(Path(directory), _OUR_COMMAND, peer) as pair:
            if raw:
                for request in requests:
                    for who, answer in zip(("ours", "original"), await pair.answers(request), strict=True):
                        _show(f"== {request.name} ({who})", answer)
                return 0
            report = Report([await pair.compared(request) for request in requests], peer)
    for line in report.lines():
        _say(line)
    return 1 if report.differing or report.stale else 0


def _command_lines(peer: str) -> int:
    with tempfile.TemporaryDirectory(prefix="parity-") as directory:
        compared = commandlines.compare(peer, Path(directory))
    found = [*commandlines.flag_differences(peer), *commandlines.surprises(compared)]
    for line in found:
        _say(line)
    equal = sum(c.ours == c.original for c in compared)
    _say(f"{len(compared)} command lines: {equal} end the same, {len(found)} surprises")
    return 1 if found else 0


def _show(title: str, answer: Answer) -> None:
    _say(title)
    _say(f"HTTP {answer.status}")
    for name, value in answer.headers:
        _say(f"{name}: {value}")
    try:
        _say(f"\n{answer.body.decode()}\n")
    except UnicodeDecodeError:
        _say(f"\nhex {answer.body.hex()}\n")


def _say(line: str) -> None:
    sys.stdout.write(line.encode("utf-8", "backslashreplace").decode() + "\n")


if __name__ == "__main__":
    sys.exit(main())

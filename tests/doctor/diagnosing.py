"""The doctor in this process and on its loop: its own way from the arguments to the report."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from pymetrics_server.doctor import main, screen
from pymetrics_server.doctor.collecting import Wanted
from pymetrics_server.doctor.finding import Report


async def diagnosed(argv: Sequence[str], path: Path) -> Report:
    """`path` is all of PATH."""
    args = main._arguments(argv)
    wanted = Wanted(
        **{args.kind: args.name} if args.kind else {}, namespace=args.namespace, service=args.service
    )
    with _path(path):
        return main.report_of(await main._gathered(args, wanted, screen.Progress(StringIO())))


@contextmanager
def _path(folder: Path) -> Iterator[None]:
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = str(folder)
    try:
        yield
    finally:
        os.environ["PATH"] = before

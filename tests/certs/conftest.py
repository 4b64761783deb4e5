"""The command as the shell runs it, within this process."""

from collections.abc import Callable

import msgspec
import pytest

from pymetrics_server.certs.command import main


class Ran(msgspec.Struct, frozen=True):
    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: object) -> Ran:
        said: list[str] = []

        def say(text: str) -> int:
            said.append(text)
            return 0

        capsys.readouterr()
        status = main([str(a) for a in argv], say)
        out, err = capsys.readouterr()
        return Ran(status, out + "".join(said), err)

    return run

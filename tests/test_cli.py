import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pymetrics_server.cli import main, serve_from
from pymetrics_server.errors import ConfigError, ListenError
from pymetrics_server.options import Options, usage_text
from pymetrics_server.serving.stopping import Stopping
from pymetrics_server.version import GIT_VERSION

HELP = Path(__file__).parent / "golden" / "help.txt"


class Served:
    """Stands for the composition root: remembers what it was asked to serve, and fails if told to."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.options: Options | None = None
        self.loop = ""
        self._failure = failure

    async def __call__(self, options: Options, stopping: Stopping) -> None:
        self.options = options
        self.loop = type(asyncio.get_running_loop()).__module__
        if self._failure is not None:
            raise self._failure


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--help", "--version", "--metric-resolution=1s"]])
def test_help_is_the_golden_text_on_stdout(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out, err = capsys.readouterr()
    if os.environ.get("UPDATE_GOLDEN"):
        HELP.write_text(out)
    assert out == HELP.read_text()
    assert err == ""


@pytest.mark.parametrize("flag", ["--help", "--version"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_an_answer_that_cannot_be_written_is_one_sentence_and_status_1(flag: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pymetrics_server", flag], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.stderr == b"Error: cannot write to standard output: no space left on device\n"
    assert done.returncode == 1


def test_version_is_one_line_and_asks_for_no_valid_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--metric-resolution=1s"]) == 0
    assert capsys.readouterr().out == f"{GIT_VERSION}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--no-such-flag"], "unknown flag: --no-such-flag"),
        (["--help", "--no-such-flag"], "unknown flag: --no-such-flag"),
        (["--kubelet-request-timeout=0"], "kubelet-request-timeout should be positive"),
    ],
)
def test_a_mistake_is_told_with_the_usage_on_stderr_and_status_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"Error: {message}\n{usage_text()}"


@pytest.mark.parametrize(
    "failure",
    [
        ConfigError("unable to construct lister client config: stat /nope: no such file or directory"),
        ListenError("failed to create listener: failed to listen on 0.0.0.0:443: bind: permission denied"),
    ],
)
def test_a_start_that_fails_is_told_as_a_mistyped_flag_is(
    failure: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_from([], Served(failure)) == 2
    assert capsys.readouterr().err == f"Error: {failure}\n{usage_text()}"


def test_serving_ends_with_status_0_and_has_seen_the_options() -> None:
    served = Served()
    assert serve_from(["--secure-port=10250", "what"], served) == 0
    assert served.options == Options(secure_port=10250)


def test_it_serves_under_uvloop_where_there_is_one() -> None:
    pytest.importorskip("uvloop")
    served = Served()
    serve_from([], served)
    assert served.loop == "uvloop"


def test_port_0_is_refused_with_status_255(capsys: pytest.CaptureFixture[str]) -> None:
    served = Served()
    assert serve_from(["--secure-port=0"], served) == 255
    assert served.options is None
    assert (
        "cannot derive external address port without listening on a secure port." in capsys.readouterr().err
    )


def test_flags_without_effect_are_named_once_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    serve_from(["--profiling=false", "--audit-policy-file=/a", "--profiling"], Served())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith('"Flags without effect here were given" flags=["audit-policy-file","profiling"]')


def test_the_module_runs_as_the_command_does() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pymetrics_server", "--metric-resolution=5s"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith(
        "Error: metric-resolution should be a time duration at least 10s, but value 5s provided\n"
    )

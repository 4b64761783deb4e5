"""Command lines: what the original says of each, and how it ends, beside what ours says.

The original is a real process. What it accepts ends early all the same: no cluster is named, so that its start ends
at the credentials of delegated authentication at the latest, or at a file or an address that is not there. Ours is
the command up to where the server would start.
"""

import asyncio
import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from pymetrics_server.cli import serve_from
from pymetrics_server.errors import ConfigError
from pymetrics_server.options.flags import Flag, Kind, effective_flags
from pymetrics_server.options.inert import inert_flags
from pymetrics_server.options.shown import go_text
from tests.parity.commandlines_cases import COMMAND_LINES
from tests.parity.differences import Difference
from tests.programs import direct_environment, free_port

_AT_ONCE = 4
_TIMEOUT_S = 20.0
_PORT = 4443
_ENTRY = re.compile(r"^(?= {2}(?:-\w, | {4})--)", re.MULTILINE)
_FLAG = re.compile(r" {2}(?:-(\w), | {4})--([a-z0-9-]+) ?(\S*) {3}")
_DEFAULT = re.compile(r'\(default (?:"(.*)"|(.*))\)$')
_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
_HEAD_OF_LOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ \S+\] ")
_OF_A_RELEASE = re.compile(r"^v\d+\.\d+\.\d+\S*$")

#: Of what the original says once it opens files and sockets: the arguments by themselves were right.
_OF_THE_START = (
    "KUBERNETES_SERVICE_HOST",
    "bind: ",
    "no such file or directory",
    "is a directory",
    "not a directory",
    "failed to find any PEM data",
    "loading audit policy file",
)

#: What is refused here on purpose, or in other words: rows of docs/parity.md, and patterns of what is typed.
ON_PURPOSE = (
    Difference("`--cors-allowed-origins`", ("--cors-allowed-origins=*",)),
    Difference(
        "RC4 and 3DES of `--tls-cipher-suites`", ("--tls-cipher-suites=*RC4*", "--tls-cipher-suites=*3DES*")
    ),
    Difference(
        "arguments that are wrong by themselves",
        (
            "-l=*",
            "* -l =*",
            "--authorization-always-allow-paths=*",
            "--tls-cert-file=/nope * --tls-cipher-suites=FOO",
            "--secure-port=*",
            "* --secure-port=*",
        ),
    ),
)


class Ending(NamedTuple):
    """`said` is the line `Error: ...`, else the last of the log, else the first of stdout."""

    status: int
    said: str


#: Neither the arguments nor what they name alone ended it.
STARTS = Ending(2, "Error: (it starts)")


class Compared(NamedTuple):
    typed: str
    ours: Ending
    original: Ending

    @property
    def row(self) -> str | None:
        """None as well where ours takes what the original refuses: that is never on purpose."""
        if self.ours == STARTS:
            return None
        return next((d.row for d in ON_PURPOSE if any(fnmatchcase(self.typed, p) for p in d.patterns)), None)


def surprises(compared: Sequence[Compared]) -> list[str]:
    """Differences that no row explains, and patterns of rows that explain none (any more)."""
    differing = [c for c in compared if c.ours != c.original]
    unexplained = [
        f"{c.typed}\n  ours     {c.ours.status} {c.ours.said}\n  original {c.original.status} {c.original.said}"
        for c in differing
        if c.row is None
    ]
    stale = [
        f"stale: {pattern}"
        for difference in ON_PURPOSE
        for pattern in difference.patterns
        if not any(fnmatchcase(c.typed, pattern) for c in differing)
    ]
    return [*unexplained, *stale]


def compare(peer: str, directory: Path, only: str = "*") -> list[Compared]:
    """`peer` is the original's binary."""
    (directory / "kubeconfig").write_text(_KUBECONFIG)
    lines = [typed for typed in COMMAND_LINES if fnmatchcase(typed, only)]
    originals = asyncio.run(_originals(peer, lines, directory))
    return [
        Compared(typed, _ours(typed, directory), original)
        for typed, original in zip(lines, originals, strict=True)
    ]


def flag_differences(peer: str) -> list[str]:
    """Flags of the original's help that ours has not, or has with another shorthand, type or default."""
    listed = subprocess.run([peer, "--help"], capture_output=True, text=True, check=True).stdout
    ours = {
        flag.name: (flag.shorthand, "" if flag.kind is Kind.BOOL else flag.kind.value, _default(flag))
        for flag in (*effective_flags(), *inert_flags())
    }
    return [
        f"--{name}: ours {ours.get(name)}, original {original}"
        for name, original in sorted(_flags_of(listed).items())
        if ours.get(name) != original
    ]


def _flags_of(listed: str) -> dict[str, tuple[str, str, str]]:
    """(shorthand, type, default) by name; no default is shown for what is empty, false or zero."""
    found: dict[str, tuple[str, str, str]] = {}
    for entry in _ENTRY.split(listed)[1:]:
        matched = _FLAG.match(entry)
        assert matched, entry
        default = _DEFAULT.search(entry.partition("\n\n")[0].rstrip())
        found[matched[2]] = (matched[1] or "", matched[3], (default[1] or default[2]) if default else "")
    return {
        name: (short, kind, "" if value == "[]" else value) for name, (short, kind, value) in found.items()
    }


def _default(flag: Flag) -> str:
    shown = go_text(flag, flag.default)
    return "" if shown in ("", "[]", "false", "0", "0s") else shown


def _ours(typed: str, directory: Path) -> Ending:
    """As the command ends, up to where the server would start."""

    async def serve(*_: object) -> None:
        raise ConfigError(STARTS.said.removeprefix("Error: "))

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = serve_from(_argv(typed, directory, _PORT), serve)
    return Ending(status, _masked(_said(out.getvalue(), err.getvalue()), directory, _PORT))


async def _originals(peer: str, lines: Sequence[str], directory: Path) -> list[Ending]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def ending(typed: str) -> Ending:
        async with turns:
            return await _original(peer, typed, directory)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ending(typed), name=f"original {typed}") for typed in lines]
    return [task.result() for task in tasks]


async def _original(peer: str, typed: str, directory: Path) -> Ending:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        peer,
        *_argv(typed, directory, port),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={k: v for k, v in direct_environment().items() if not k.startswith("KUBE")},
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise AssertionError(f"the original does not end by itself: {typed}") from None
    said = _masked(_said(out.decode(errors="replace"), err.decode(errors="replace")), directory, port)
    if any(part in said for part in _OF_THE_START):
        return STARTS
    assert process.returncode is not None
    return Ending(process.returncode, said)


def _argv(typed: str, directory: Path, port: int) -> list[str]:
    given = (word.replace("@DIR@", str(directory)) for word in shlex.split(typed))
    return [f"--secure-port={port}", f"--cert-dir={directory / 'certificates'}", *given]


def _masked(said: str, directory: Path, port: int) -> str:
    """Without what differs from run to run, and without help, of which each has words of its own."""
    return said.replace(str(directory), "@DIR@").replace(f":{port}", ":@PORT@").partition(", help: ")[0]


def _said(out: str, err: str) -> str:
    lines = err.splitlines()
    told = next((line for line in lines if line.startswith("Error: ")), "")
    if told:
        return told
    logged = [_HEAD_OF_LOG.sub("", line) for line in lines if _HEAD_OF_LOG.match(line)]
    if logged and not out:
        return logged[-1]
    first = out.partition("\n")[0]
    return _OF_A_RELEASE.sub("<version>", first)

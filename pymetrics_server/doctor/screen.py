"""The report for a person: coloured on a terminal, plain elsewhere, and a bar while it is being made.

Names and messages come from strangers: they reach the terminal without control characters, and never as markup.
Rich is imported by what draws with it only.
"""

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import msgspec

from pymetrics_server.doctor.finding import Finding, Report, Stage, State, Verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_PLAIN_WIDTH = 100
_NARROWEST, _WIDEST = 40, 120  # lines longer than that are hard to follow
_MOST_DETAILS = 12
_MOST_CHARACTERS = 1000  # of one value
_DUMB = {"dumb", "unknown"}

#: Text and its style.
_Span = tuple[str, str]
_Line = Sequence[_Span]


class _Glyphs(msgspec.Struct, frozen=True):
    marks: Mapping[State, str]
    rule: str

    @property
    def all(self) -> str:
        return "".join(self.marks.values()) + self.rule


_UNICODE = _Glyphs(
    {State.HEALTHY: "✔", State.WARNING: "!", State.SICK: "✘", State.FOLLOWS: "→", State.UNSEEN: "?"}, "━"
)
_ASCII = _Glyphs(
    {State.HEALTHY: "+", State.WARNING: "!", State.SICK: "x", State.FOLLOWS: ">", State.UNSEEN: "?"}, "="
)
_STYLES = {
    State.HEALTHY: "green",
    State.WARNING: "yellow",
    State.SICK: "bold red",
    State.FOLLOWS: "magenta",
    State.UNSEEN: "cyan",
}
_TITLES = {State.HEALTHY: "healthy", State.SICK: "sick", State.UNSEEN: "could not look"}


def plain(report: Report) -> str:
    """100 characters wide, but for commands, which are never wrapped."""
    return _joined(_lines(report, _PLAIN_WIDTH, _UNICODE))


def print_report(report: Report, stream: TextIO) -> None:
    """In colour where `stream` is a terminal and NO_COLOR is not set; in ASCII where it can write nothing else. As wide as
    the terminal is, or as COLUMNS says."""
    if _is_terminal(stream) and not os.environ.get("NO_COLOR"):
        from rich.console import Console

        draw(report, Console(file=stream, force_terminal=True))
        return
    encoding = _encoding(stream)
    stream.write(_writable(_joined(_lines(report, _width(stream), _glyphs(encoding))), encoding))


def _width(stream: TextIO) -> int:
    told = os.environ.get("COLUMNS", "")
    try:
        columns = int(told) if told.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except OSError:  # it is no terminal, nor even a file
        columns = 0
    return min(max(columns, _NARROWEST), _WIDEST) if columns else _PLAIN_WIDTH


def draw(report: Report, console: "Console") -> None:
    """With Rich, as wide as its console is."""
    from rich.text import Text

    width = min(max(console.width, _NARROWEST), _WIDEST)
    for line in _lines(report, width, _glyphs(console.encoding)):
        spans = [(_writable(text, console.encoding), style) for text, style in line]
        console.print(Text.assemble(*spans), soft_wrap=True, highlight=False)


class Progress:
    """`progress(done, total, what)` tells how far it is, on stderr; silent where that is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if _is_terminal(self._stream):
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, what: str) -> None:
        if self._bar is not None and self._task is not None:
            said = _writable(_said(what), _encoding(self._stream))
            self._bar.update(self._task, completed=done, total=total, description=said)


def _bar(stream: TextIO) -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=stream, force_terminal=True),
        transient=True,
        redirect_stdout=False,  # the report goes there, when the bar is gone
        redirect_stderr=False,
    )


def _lines(report: Report, width: int, glyphs: _Glyphs) -> Iterator[_Line]:
    yield from _wrapped(f"kube-apiserver at {report.server or 'no address'}, {report.taken}", width)
    told: set[str] = set()
    for stage in Stage:
        of_stage = [finding for finding in report.findings if finding.stage is stage]
        if of_stage:
            yield ()
            yield ((stage.value, "bold"),)
        for finding in of_stage:
            yield from _finding(finding, width, glyphs)
            yield from _reasons(finding, report.verdict, told, width)
    yield ()
    warnings = sum(finding.state is State.WARNING for finding in report.findings)
    yield from _verdict(report.verdict, warnings, width, glyphs)


def _finding(finding: Finding, width: int, glyphs: _Glyphs) -> Iterator[_Line]:
    mark = (f"  {glyphs.marks[finding.state]} ", _STYLES[finding.state])
    has_page = finding.state not in {State.HEALTHY, State.UNSEEN}
    seen = f"{_said(finding.seen)} ({finding.id})" if has_page else finding.seen
    yield from _wrapped(seen, width, mark, "bold" if finding.state is State.SICK else "")
    style = "dim" if finding.state is State.HEALTHY else ""
    for detail in finding.details[:_MOST_DETAILS]:
        yield from _wrapped(detail, width, ("      ", ""), style, hang=2)
    if len(finding.details) > _MOST_DETAILS:
        rest = f"and {len(finding.details) - _MOST_DETAILS} more: -o yaml has them all"
        yield from _wrapped(rest, width, ("      ", ""), "dim")


def _reasons(finding: Finding, verdict: Verdict, told: set[str], width: int) -> Iterator[_Line]:
    """`told` are the cures of what could not be seen: one reason often hides much, and is said once."""
    if finding.state is State.FOLLOWS:
        yield from _wrapped(f"follows from {finding.because_of}", width, ("    ", ""), "dim")
        return
    if (finding.seen, finding.cure) == (
        verdict.sentence,
        verdict.cure,
    ):  # whose cause and cure end the report
        return
    if finding.cause:
        yield from _wrapped(finding.cause, width, ("    cause: ", "dim"))
    if finding.cure and finding.cure not in told:
        yield _whole(finding.cure, ("    next:  ", "dim"))
    if finding.state is State.UNSEEN:
        told.add(finding.cure)


def _verdict(verdict: Verdict, warnings: int, width: int, glyphs: _Glyphs) -> Iterator[_Line]:
    """Between two rules, and open at the sides: what is copied there brings no frame along."""
    style = _STYLES[verdict.state]
    yield ((f"{glyphs.rule * 2} {_TITLES[verdict.state]} ".ljust(width, glyphs.rule), style),)
    yield from _wrapped(verdict.sentence, width, ("  ", ""), "bold")
    if verdict.cause:
        yield from _wrapped(verdict.cause, width, ("  Cause: ", "dim"))
    if verdict.state is State.SICK:
        yield from _wrapped(f"docs/troubleshooting/{verdict.id}.md", width, ("  More:  ", "dim"))
    elif warnings:
        yield from _wrapped(
            f"{warnings} {'warning' if warnings == 1 else 'warnings'} above", width, ("  ", "")
        )
    if verdict.cure:
        is_command = verdict.cure.startswith(("kubectl ", "pymetrics-server "))
        yield (("  Type:" if is_command else "  Next:", "dim"),)
        yield ()
        yield _whole(verdict.cure, ("  ", ""), "bold cyan")
        yield ()
    yield ((glyphs.rule * width, style),)


def _wrapped(
    text: str, width: int, head: _Span = ("", ""), style: str = "", hang: int = 0
) -> Iterator[_Line]:
    """On words, behind `head` and then under it, `hang` further in. A word that is too long stays whole."""
    parts = textwrap.wrap(
        _said(text),
        width - len(head[0]),
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
    yield (head, (parts[0], style))
    for part in parts[1:]:
        yield ((" " * len(head[0]) + part, style),)


def _whole(command: str, head: _Span, style: str = "") -> _Line:
    """On one line however long it is, so that it can be copied."""
    return (head, (_printable(command.strip()), style))


def _said(text: str) -> str:
    text = _printable(" ".join(text.split()))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def _printable(text: str) -> str:
    """Without what would end a line, move a cursor or turn the writing round."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _joined(lines: Iterator[_Line]) -> str:
    return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines)


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") not in _DUMB


def _encoding(stream: TextIO) -> str:
    return stream.encoding or "utf-8"  # a StringIO has none


def _glyphs(encoding: str) -> _Glyphs:
    return _UNICODE if _writable(_UNICODE.all, encoding) == _UNICODE.all else _ASCII


def _writable(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)

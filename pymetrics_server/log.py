"""klog's lines, which is what operators of Kubernetes read and what their collectors parse.

    I1123 07:10:29.804928   22099 scraper.go:121] "Scraping node" node="node-a"

A message is a fixed sentence; what varies stands behind it as key="value". Log a change of state, not
every repeat of it. Levels follow klog: `v=0` always shows, `v=N` shows at `-v=N` and above, or where the file
that asks has such a level of its own (--vmodule).
"""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath

_ROOT = "pymetrics_server"


@dataclass(frozen=True, slots=True)
class FileLevel:
    """The verbosity of source files: `pattern` is of their names without .py, as Go's path/filepath.Match reads it."""

    pattern: str
    level: int

    def __str__(self) -> str:
        return f"{self.pattern}={self.level}"


_verbosity = 0
_file_levels: tuple[tuple[re.Pattern[str], int], ...] = ()
_level_by_path: dict[str, int] = {}  # of files that have asked


class Logger:
    """Structured logging for one module: `log = Logger(__name__)`."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name if name.startswith(_ROOT) else f"{_ROOT}.{name}")

    def info(self, message: str, *, v: int = 0, **values: object) -> None:
        if v <= _verbosity or (_file_levels and v <= _level_of_caller()):
            self._log.info(message, extra={"kv": values, "v": v}, stacklevel=2)

    def warning(self, message: str, **values: object) -> None:
        self._log.warning(message, extra={"kv": values}, stacklevel=2)

    def error(self, message: str, err: object = None, **values: object) -> None:
        """`err` stands first behind the sentence, as klog's ErrorS has it."""
        kv = values if err is None else {"err": err, **values}
        self._log.error(message, extra={"kv": kv}, stacklevel=2)


def enabled(v: int) -> bool:
    """Whether the caller's `v=` shows: guards work done only to be logged."""
    return v <= _verbosity or (bool(_file_levels) and v <= _level_of_caller())


def verbosity() -> int:
    return _verbosity


def set_verbosity(level: int) -> None:
    """From now on, for every logger."""
    global _verbosity
    _verbosity = level


def set_file_levels(levels: Sequence[FileLevel]) -> None:
    """From now on; the first whose pattern is the file's counts. Without any, nothing is looked up."""
    global _file_levels
    _level_by_path.clear()
    _file_levels = tuple((_glob(found.pattern), found.level) for found in levels if found.level)


def set_up(verbosity: int, logging_format: str = "text", file_levels: Sequence[FileLevel] = ()) -> None:
    """Everything of ours to stderr at this verbosity, as `text` or `json` lines (--logging-format)."""
    set_verbosity(verbosity)
    set_file_levels(file_levels)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if logging_format == "json" else _Text())
    root = logging.getLogger(_ROOT)
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False


def _level_of_caller() -> int:
    """Of the file that called what calls this."""
    path = sys._getframe(2).f_code.co_filename  # noqa: SLF001  logging finds the caller of a line by it, too
    level = _level_by_path.get(path)
    if level is None:
        name = PurePath(path).stem
        level = next((level for pattern, level in _file_levels if pattern.fullmatch(name)), 0)
        _level_by_path[path] = level
    return level


_IN_CLASS = r"(?:\\.|[^\\\]-])"
_GLOB_PART = re.compile(
    rf"(?P<any>\*)|(?P<one>\?)|\[(?P<none>\^?)(?P<some>(?:{_IN_CLASS}(?:-{_IN_CLASS})?)+)\]"
    r"|\\(?P<escaped>.)|(?P<plain>[^\\\[*?])",
    re.DOTALL,
)
_IN_RANGE = re.compile(r"-|\\?(.)", re.DOTALL)
_NEVER = re.compile(r"(?!)")


def _glob(pattern: str) -> re.Pattern[str]:
    """A malformed one matches nothing. Go: https://pkg.go.dev/path/filepath#Match"""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        part = _GLOB_PART.match(pattern, at)
        if part is None:
            return _NEVER
        at = part.end()
        if part["any"]:
            parts.append("[^/]*")
        elif part["one"]:
            parts.append("[^/]")
        elif part["some"]:
            some = _IN_RANGE.sub(lambda m: re.escape(m[1]) if m[1] else "-", part["some"])
            parts.append(f"[{part['none']}{some}]")
        else:
            parts.append(re.escape(part["escaped"] or part["plain"]))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        return _NEVER


def _values(record: logging.LogRecord) -> Mapping[str, object]:
    found = getattr(record, "kv", {})
    return found if isinstance(found, Mapping) else {}


_COMPACT = (",", ":")


def _quoted(value: object) -> str:
    plain = value if value is None or isinstance(value, bool | int | float | list | dict) else str(value)
    return _printable(json.dumps(plain, ensure_ascii=False, separators=_COMPACT))


def _printable(text: str) -> str:
    """Without what would end a line or move a terminal's cursor: names and paths come from strangers."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).astimezone()
        head = (
            f"{record.levelname[0]}{at:%m%d %H:%M:%S.%f} {os.getpid():7d} {record.filename}:{record.lineno}]"
        )
        tail = "".join(f" {k}={_quoted(v)}" for k, v in _values(record).items())
        line = f"{head} {_printable(json.dumps(record.getMessage(), ensure_ascii=False))}{tail}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": round(record.created * 1000, 3),
            "caller": f"{'/'.join(PurePath(record.pathname).parts[-2:])}:{record.lineno}",
            "msg": record.getMessage(),
        }
        if record.levelno < logging.ERROR:
            line["v"] = getattr(record, "v", 0)
        line |= {
            k: v if v is None or isinstance(v, int | float | list | dict) else str(v)
            for k, v in _values(record).items()
        }
        return json.dumps(line, ensure_ascii=False, separators=_COMPACT)

"""klog's lines, which is what operators of Kubernetes read and what their collectors parse.

    I1123 07:10:29.804928   22099 scraper.go:121] "Scraping node" node="node-a"

A message is a fixed sentence; what varies stands behind it as key="value". Log a change of state, not
every repeat of it. Levels follow klog: `v=0` always shows, `v=N` shows at `-v=N` and above.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

_ROOT = "pymetrics_server"
_verbosity = 0


class Logger:
    """Structured logging for one module: `log = Logger(__name__)`."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name if name.startswith(_ROOT) else f"{_ROOT}.{name}")

    def info(self, message: str, *, v: int = 0, **values: object) -> None:
        if v <= _verbosity:
            self._log.info(message, extra={"kv": values, "v": v}, stacklevel=2)

    def warning(self, message: str, **values: object) -> None:
        self._log.warning(message, extra={"kv": values}, stacklevel=2)

    def error(self, message: str, err: object = None, **values: object) -> None:
        """`err` stands first behind the sentence, as klog's ErrorS has it."""
        kv = values if err is None else {"err": err, **values}
        self._log.error(message, extra={"kv": kv}, stacklevel=2)


def enabled(v: int) -> bool:
    """Whether `-v` is at least v: guards work done only to be logged."""
    return v <= _verbosity


def verbosity() -> int:
    return _verbosity


def set_verbosity(level: int) -> None:
    """From now on, for every logger."""
    global _verbosity
    _verbosity = level


def set_up(verbosity: int, logging_format: str = "text") -> None:
    """Everything of ours to stderr at this verbosity, as `text` or `json` lines (--logging-format)."""
    set_verbosity(verbosity)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if logging_format == "json" else _Text())
    root = logging.getLogger(_ROOT)
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False


def _values(record: logging.LogRecord) -> Mapping[str, object]:
    found = getattr(record, "kv", {})
    return found if isinstance(found, Mapping) else {}


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return _printable(json.dumps(value if isinstance(value, list | dict) else str(value), ensure_ascii=False))


def _printable(text: str) -> str:
    """Without what would end a line or move a terminal's cursor: names and paths come from strangers."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
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
            "caller": f"{record.filename}:{record.lineno}",
            "msg": record.getMessage(),
        }
        if record.levelno < logging.ERROR:
            line["v"] = getattr(record, "v", 0)
        line |= {
            k: v if isinstance(v, int | float | list | dict) else str(v) for k, v in _values(record).items()
        }
        return json.dumps(line, ensure_ascii=False)

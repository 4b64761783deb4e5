"""Lines as klog writes them, and who may write them."""

import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server import log as logs
from pymetrics_server.log import FileLevel, Logger

log = Logger("tests.test_log")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Sets up as asked, writes by the function, and gives what was written."""

    def written(
        write: Callable[[], None], v: int = 0, logging_format: str = "text", *levels: FileLevel
    ) -> list[str]:
        stderr = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        logs.set_up(v, logging_format, levels)
        try:
            write()
        finally:
            logs.set_file_levels(())
        return stderr.getvalue().splitlines()

    return written


def written_in(file: str, v: int) -> Callable[[], None]:
    """A line of that level, and whether it shows, from a source file of that name."""
    code: CodeType = compile(
        f"assert enabled({v}) == (log.info('Said', v={v}) or enabled({v}))", file, "exec"
    )

    def write() -> None:
        exec(code, {"log": log, "enabled": logs.enabled})  # noqa: S102  a file of another name

    return write


Lines = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("write", "severity", "rest"),
    [
        (lambda: log.info("Serving", port=4443), "I", '"Serving" port=4443'),
        (lambda: log.info("Nodes", nodes=["b", "a"], all=True), "I", '"Nodes" nodes=["b","a"] all=true'),
        (lambda: log.warning('Say "no"', node="a b"), "W", '"Say \\"no\\"" node="a b"'),
        (
            lambda: log.error("Failed", ValueError("no"), node="a"),
            "E",
            '"Failed" err="no" node="a"',
        ),
        (lambda: log.error("Failed", node="a"), "E", '"Failed" node="a"'),
        (
            lambda: log.info("Two", lines="a\nb", nothing=None, f=0.5),
            "I",
            '"Two" lines="a\\nb" nothing=null f=0.5',
        ),
    ],
)
def test_a_text_line_is_klogs(lines: Lines, write: Callable[[], None], severity: str, rest: str) -> None:
    (line,) = lines(write)
    head = re.fullmatch(r"([IWE])\d{4} \d\d:\d\d:\d\d\.\d{6} (.{7,}) test_log\.py:\d+\] (.*)", line)
    assert head, line
    assert (head[1], head[2], head[3]) == (severity, f"{os.getpid():7d}", rest)


def test_a_json_line_is_zaps_with_its_level(lines: Lines) -> None:
    (line,) = lines(lambda: log.info("Nodes", v=2, nodes=["a"], ready=True, n=1), 2, "json")
    assert re.fullmatch(
        r'\{"ts":\d{13}\.\d+,"caller":"tests/test_log\.py:\d+","msg":"Nodes","v":2,"nodes":\["a"\],"ready":true,"n":1\}',
        line,
    ), line


def test_an_error_in_json_has_err_first_and_no_level(lines: Lines) -> None:
    (line,) = lines(lambda: log.error("Failed", OSError("no"), node="a"), 0, "json")
    assert list(json.loads(line)) == ["ts", "caller", "msg", "err", "node"]
    assert json.loads(line)["err"] == "no"


@pytest.mark.parametrize(("v", "count"), [(0, 1), (1, 2), (4, 3)])
def test_a_line_shows_at_its_verbosity_and_above(lines: Lines, v: int, count: int) -> None:
    def write() -> None:
        for level in (0, 1, 4):
            log.info("Said", v=level)

    assert len(lines(write, v)) == count


@pytest.mark.parametrize(
    ("pattern", "file", "shows"),
    [
        ("scraper", "/a/scraper.py", True),
        ("scraper", "/a/scrapers.py", False),
        ("scraper.py", "/a/scraper.py", False),
        ("scrap*", "/a/scraper.py", True),
        ("*", "/a/scraper.py", True),
        ("scrape?", "/a/scraper.py", True),
        ("scraper?", "/a/scraper.py", False),
        ("[a-s]craper", "/a/scraper.py", True),
        ("[^a-s]craper", "/a/scraper.py", False),
        ("[^a-c]craper", "/a/scraper.py", True),
        ("scrap[", "/a/scrap[.py", False),  # malformed: nothing
        ("[]a]", "/a/a.py", False),
        ("[z-a]", "/a/z.py", False),
        (r"a\*", "/a/a*.py", True),
        (r"a\*", "/a/ab.py", False),
        ("a.b", "/a/axb.py", False),
        (r"[\]]", "/a/].py", True),
        ("a/scraper", "/a/scraper.py", False),
    ],
)
def test_vmodule_shows_lines_of_files_whose_name_matches(
    lines: Lines, pattern: str, file: str, shows: bool
) -> None:
    assert len(lines(written_in(file, 4), 0, "text", FileLevel(pattern, 4))) == shows
    assert not lines(written_in(file, 5), 0, "text", FileLevel(pattern, 4))


def test_the_first_pattern_of_vmodule_counts_and_verbosity_still_does(lines: Lines) -> None:
    levels = (FileLevel("a", 2), FileLevel("*", 5))
    assert not lines(written_in("a.py", 3), 0, "text", *levels)
    assert lines(written_in("b.py", 5), 0, "text", *levels)
    assert lines(written_in("a.py", 3), 3, "text", *levels)


def test_without_vmodule_no_caller_is_looked_up(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(depth: int = 0) -> object:
        raise AssertionError(f"frame {depth} was asked for")

    monkeypatch.setattr(logs.sys, "_getframe", looked_up)  # type: ignore[attr-defined]  # the module's own sys
    logs.set_verbosity(0)
    log.info("Hidden", v=3)
    assert not logs.enabled(3)


@given(st.text(alphabet="ab[]^-*?\\.", max_size=8))
def test_no_pattern_breaks_the_log(pattern: str) -> None:
    logs.set_file_levels([FileLevel(pattern, 3)])
    try:
        logs.enabled(3)
    finally:
        logs.set_file_levels(())


def test_only_lines_of_the_server_are_touched(lines: Lines) -> None:
    assert not lines(lambda: logging.getLogger("another").info("Said"))

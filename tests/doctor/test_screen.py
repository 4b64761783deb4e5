"""The report as a person sees it: on a terminal, in a pipe, and with names made to deceive."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from pymetrics_server.doctor.ailment import Ailment, of_node
from pymetrics_server.doctor.finding import Command, Finding, Report, Stage, State, healthy, typed, unseen
from pymetrics_server.doctor.screen import Progress, draw, plain, print_report
from pymetrics_server.doctor.verdict import explained, verdict_of
from pymetrics_server.errors import FailureClass

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/doctor"
PICTURE = ROOT / "docs/images/doctor.svg"
SERVER = "https://10.0.0.10:6443"
TAKEN = "2026-11-23T10:00:00Z"
_STYLING = re.compile(r"\x1b\[[0-9;]*m")


def report(*findings: Finding) -> Report:
    told = explained(findings)
    return Report(verdict_of(told), told, SERVER, TAKEN)


def sick_report() -> Report:
    return report(
        healthy("apiserver", Stage.APISERVER, "v1.36.2 answers in 12 ms"),
        healthy("aggregation", Stage.AGGREGATION, "the aggregation layer is on, for the name front-proxy-client"),
        Ailment.FRONT_PROXY_CA_EXPIRES_SOON.found(
            "CN=front-proxy-ca ends in 12 days, 2026-12-05T08:14:02Z", state=State.WARNING
        ),
        healthy("grants", Stage.GRANTS, "system:serviceaccount:kube-system:metrics-server may do all 9 things"),
        healthy("nodes", Stage.NODES, "1 of 3 nodes answers whole: control-plane-1"),
        Ailment.NODE_CSR_PENDING.found(
            "2 requests for kubelets' serving certificates wait for approval",
            details=["csr-4xk7p of system:node:worker-1, for 3 h", "csr-9zq2m of system:node:worker-2, for 3 h"],
            csr=typed("csr-4xk7p", "csr-9zq2m"),
        ),
        of_node(
            FailureClass.TLS_ALERT_INTERNAL,
            "2 of 3 nodes: tlsv1 alert internal error",
            details=["worker-1 at InternalIP 10.0.0.11:10250", "worker-2 at InternalIP 10.0.0.12:10250"],
        ),
        healthy("backend", Stage.BACKEND, "1 pod is ready behind kube-system/metrics-server"),
        healthy("apiservice", Stage.APISERVICE, "v1beta1 and v1 of metrics.k8s.io are available"),
        Ailment.SERVED_NODES_MISSING.found(
            "2 of 3 nodes are not served: worker-1, worker-2", namespace="kube-system", pod="metrics-server-7d9c"
        ),
        unseen("kubectl", Stage.CLIENTS, "there is no kubectl on the PATH"),
    )  # fmt: skip


def well_report() -> Report:
    return report(
        healthy("apiserver", Stage.APISERVER, "v1.36.2 answers in 12 ms"),
        healthy("nodes", Stage.NODES, "3 of 3 nodes answer whole"),
        healthy("served", Stage.SERVED, "3 nodes and 41 pods are served, the oldest sample 14 s old"),
    )


def blind_report() -> Report:
    return report(
        unseen("grants", Stage.GRANTS, "nobody said what the server may do: 403 Forbidden", cure="kubectl auth whoami")
    )  # fmt: skip


def hostile_report() -> Report:
    details = [
        "worker-1 said: \x1b]0;owned\x07\x1b[2J\x1b[32m✔ all is well\x1b[0m",
        "worker-2 said: line one\n━━ healthy ━━━━\r\noverwritten\x08\x08 [red]markup[/red] [link=file:///]here[/link] :bomb:",
        "worker-3 said: \u202egnirts desrever\u2028next\x85next",
        f"worker-4 said: {'very long ' * 200}",
        f"worker-5 said: {'x' * 140}",
    ]
    return report(
        of_node(
            FailureClass.PARSE_ERROR,
            "5 of 5 nodes: not what the endpoint promises",
            details=[*details, *(f"worker-{number}: the same" for number in range(6, 506))],
            cure="kubectl describe node worker-1\x1b[8m; echo [bold]hidden[/bold]\nkubectl get nodes",
        )
    )


REPORTS = {"sick": sick_report, "well": well_report, "blind": blind_report, "hostile": hostile_report}


def check_golden(path: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")


def on_terminal(of: Report) -> str:
    terminal = Terminal()
    print_report(of, terminal)
    return terminal.getvalue()


@pytest.mark.parametrize("name", REPORTS)
def test_each_report_is_its_golden_text(name: str) -> None:
    check_golden(GOLDEN / f"{name}.txt", plain(REPORTS[name]()))


@pytest.mark.parametrize("name", REPORTS)
def test_where_only_ascii_can_be_written_nothing_else_is_in_the_golden_text(name: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_report(REPORTS[name](), out)
    out.seek(0)
    check_golden(GOLDEN / f"{name}-ascii.txt", out.read())


@pytest.mark.parametrize("name", REPORTS)
def test_a_terminal_shows_the_same_words_in_colour(name: str) -> None:
    shown = on_terminal(REPORTS[name]())
    assert _STYLING.search(shown)
    words = [line.rstrip() for line in _STYLING.sub("", shown).splitlines()]
    assert words == plain(REPORTS[name]()).splitlines()


def test_a_pipe_gets_no_colour() -> None:
    pipe = io.StringIO()
    print_report(sick_report(), pipe)
    assert pipe.getvalue() == plain(sick_report())


@pytest.mark.parametrize(("columns", "widest"), [("60", 60), ("0", 100), ("wide", 100), ("5000", 120)])
def test_a_pipe_is_as_wide_as_it_is_told(columns: str, widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    pipe = io.StringIO()
    print_report(sick_report(), pipe)
    assert len(pipe.getvalue().splitlines()[-1]) == widest


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert on_terminal(sick_report()) == plain(sick_report())


@pytest.mark.parametrize("columns", [20, 40, 80, 300])
def test_the_command_stands_whole_on_a_line_of_its_own_however_narrow_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command = f"kubectl certificate approve {' '.join(f'csr-{number:05}' for number in range(60))}"
    cured = report(
        Ailment.NODE_CSR_PENDING.found("60 requests wait", csr=Command(command.partition("approve ")[2]))
    )
    for lines in (_STYLING.sub("", on_terminal(cured)).splitlines(), plain(cured).splitlines()):
        assert [line.strip() for line in lines].count(command) == 1


def test_no_line_but_a_command_is_wider_than_the_page() -> None:
    wide = [
        line
        for line in plain(sick_report()).splitlines()
        if len(line) > 100 and not line.lstrip().startswith(("kubectl", "next:"))
    ]
    assert wide == []


def test_the_verdicts_cause_and_cure_stand_once_and_those_of_others_beside_them() -> None:
    text = " ".join(plain(sick_report()).split())
    assert text.count(Ailment.NODE_CSR_PENDING.cause) == 1
    assert text.count("kubectl certificate approve csr-4xk7p csr-9zq2m") == 1
    assert text.count(Ailment.FRONT_PROXY_CA_EXPIRES_SOON.cause) == 1


def test_what_follows_names_what_explains_it_and_no_cure_of_its_own() -> None:
    text = plain(sick_report())
    assert text.count("follows from node-csr-pending") == 2
    assert FailureClass.TLS_ALERT_INTERNAL.cure not in text


def test_of_many_nodes_some_are_shown_and_the_rest_is_counted() -> None:
    text = plain(hostile_report())
    assert "and 493 more: -o yaml has them all" in text
    assert len(text.splitlines()) < 60


def test_what_hides_much_is_said_once() -> None:
    hidden = [
        unseen(f"check-{n}", Stage.BACKEND, f"object {n} is hidden", "kubectl auth whoami") for n in range(3)
    ]
    text = plain(report(healthy("apiserver", Stage.APISERVER, "it answers"), *hidden))
    assert text.count("is hidden") == 3
    assert text.count("kubectl auth whoami") == 1


def test_each_of_two_of_one_kind_has_its_own_cure() -> None:
    facts: dict[str, Any] = {"account": "us", "resource": "nodes"}
    text = plain(
        report(
            Ailment.GRANT_MISSING.found("list nodes: no", **facts, verb="list", command="kubectl grant list"),
            Ailment.GRANT_MISSING.found(
                "watch nodes: no", **facts, verb="watch", command="kubectl grant watch"
            ),
        )
    )
    assert text.count("kubectl grant list") == text.count("kubectl grant watch") == 1


def test_a_healthy_verdict_points_at_the_warnings() -> None:
    aging = Ailment.FRONT_PROXY_CA_EXPIRES_SOON.found("it ends in 12 days", state=State.WARNING)
    lines = plain(report(healthy("apiserver", Stage.APISERVER, "it answers"), aging)).splitlines()
    assert lines[-3:-1] == ["  the pipeline is healthy", "  1 warning above"]


def test_a_healthy_verdict_asks_for_nothing() -> None:
    assert plain(well_report()).splitlines()[-3:] == [
        f"{'━━ healthy ':━<100}",
        "  the pipeline is healthy",
        "━" * 100,
    ]


@given(st.text(), st.lists(st.text(), max_size=3), st.text(), st.text())
def test_whatever_strangers_say_only_text_reaches_the_terminal_and_no_heading_is_forged(
    seen: str, details: list[str], cause: str, cure: str
) -> None:
    finding = Finding("node-parse-error", Stage.NODES, State.SICK, seen, cause, cure, details=details)
    of = Report(verdict_of([finding]), [finding], SERVER, TAKEN)
    for text in (plain(of), _STYLING.sub("", on_terminal(of))):
        assert all(char.isprintable() or char == "\n" for char in text)
        at_the_edge = [line for line in text.split("\n") if line and not line.startswith(" ")]
        assert at_the_edge == [
            f"kube-apiserver at {SERVER}, {TAKEN}",
            "nodes",
            f"{'━━ sick ':━<100}",
            "━" * 100,
        ]


def test_the_bar_is_silent_in_a_pipe() -> None:
    pipe = io.StringIO()
    with Progress(pipe) as progress:
        progress(1, 3, "nodes")
    assert pipe.getvalue() == ""


def test_the_bar_tells_what_is_done_and_goes() -> None:
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress(499, 1000, "nodes \x1b[2J[red]evil[/red]")
    shown = terminal.getvalue()
    assert r"nodes \x1b[2J[red]evil[/red]" in _STYLING.sub("", shown)
    assert "499/1000" in _STYLING.sub("", shown)
    assert "\x1b[2J" not in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h"))  # the line is wiped, the cursor back


def test_the_bar_goes_too_where_the_work_fails() -> None:
    terminal = Terminal()
    with pytest.raises(RuntimeError), Progress(terminal):
        raise RuntimeError
    assert "\x1b[?25h" in terminal.getvalue()


def test_a_bar_that_is_not_entered_is_silent() -> None:
    terminal = Terminal()
    Progress(terminal)(1, 2, "nodes")
    assert terminal.getvalue() == ""


def test_what_is_not_drawn_does_not_pay_for_the_drawing() -> None:
    code = "import pymetrics_server.cli, pymetrics_server.doctor.screen, sys; sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def words_of_picture(svg: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


def test_the_picture_of_the_docs_is_golden_and_shows_the_sick_report() -> None:
    console = Console(
        file=io.StringIO(), record=True, width=100, force_terminal=True, color_system="truecolor"
    )
    draw(sick_report(), console)
    without_foreign_fonts = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(
        title="pymetrics-server doctor", unique_id="doctor", code_format=without_foreign_fonts
    )
    if os.environ.get("UPDATE_GOLDEN"):
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(svg)
    shown = PICTURE.read_text()
    assert words_of_picture(shown) == words_of_picture(svg)  # Rich's releases draw them differently
    assert "url(http" not in shown

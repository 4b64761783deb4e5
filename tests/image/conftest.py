"""What the Dockerfile's build stage makes, once for all tests of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.steps import carry_out

_UNREACHED = ("connection broken", "Could not fetch", "timed out", "Failed to establish", "Name or service")


@pytest.fixture(name="index", scope="session")
def _index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """That pip finds its index; the tests that need it skip where it does not."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--retries=0",
            "--timeout=15",
            "--no-deps",
            "--require-hashes",
            "-r",
            "requirements-build.lock",
            "-d",
            str(tmp_path_factory.mktemp("probe")),
        ],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0 and any(sign in done.stderr for sign in _UNREACHED):
        pytest.skip("the package index is not reachable: the image's wheels come from there")
    assert done.returncode == 0, done.stderr


@pytest.fixture(name="built", scope="session")
def _built(index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the build stage's /src, /tools, /venv and /wheels lie in."""
    root = tmp_path_factory.mktemp("image")
    carry_out(root)
    return root

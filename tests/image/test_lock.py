"""The locks hold what pyproject.toml asks for, all of it and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.image.dockerfile import DOCKERFILE, ROOT
from tests.image.locks import PINS, PROJECT, pins

OURS = "pymetrics-server (pyproject.toml)"
ASKED = {
    "requirements.lock": [Requirement(line) for line in PROJECT["project"]["dependencies"]],
    "requirements-build.lock": [Requirement(line) for line in PROJECT["build-system"]["requires"]],
}


@pytest.mark.parametrize("lock", PINS)
def test_every_dependency_is_locked_at_a_version_that_satisfies_it(lock: str) -> None:
    locked = pins(lock)
    for requirement in ASKED[lock]:
        pin = locked[canonicalize_name(requirement.name)]
        assert pin.version in requirement.specifier, requirement


@pytest.mark.parametrize("lock", PINS)
def test_every_pin_has_hashes(lock: str) -> None:
    for pin in pins(lock).values():
        assert pin.hashes, pin.name
        assert len(set(pin.hashes)) == len(pin.hashes), pin.name


@pytest.mark.parametrize("lock", PINS)
def test_a_lock_names_no_address_and_no_machine_and_says_how_it_is_made(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"(?m)^\s*-", text.replace("    --hash=", ""))
    assert not re.search(r"/(root|home|tmp|work)/|@ file", text)
    assert "make lock" in text.splitlines()[1]


def test_nothing_is_locked_that_no_dependency_of_ours_leads_to() -> None:
    locked = pins("requirements.lock")
    reached = {pin.name for pin in locked.values() if OURS in pin.wanted_by}
    assert reached == {canonicalize_name(r.name) for r in ASKED["requirements.lock"]}
    while (
        more := {p.name for p in locked.values() if {canonicalize_name(w) for w in p.wanted_by} & reached}
        - reached
    ):
        reached |= more
    assert reached == set(locked)


@pytest.mark.timeout(300)  # it may be the first that waits for the build
def test_every_wheel_for_arm64_is_locked_too(index: None, built: Path, tmp_path: Path) -> None:
    """Those that are made for one architecture; for this machine's all were there, or nothing was built."""
    own = {
        canonicalize_name(wheel.name.split("-")[0])
        for wheel in (built / "wheels").glob("*.whl")
        if "-none-any" not in wheel.name
    }
    assert own
    text = (ROOT / "requirements.lock").read_text()
    entries = [e for e in re.split(r"\n(?=\S)", text) if canonicalize_name(e.partition("==")[0]) in own]
    (tmp_path / "some.lock").write_text("\n".join(entries))
    platforms = [f"--platform=manylinux{glibc}_aarch64" for glibc in ("2014", "_2_17", "_2_28", "_2_34")]
    (base,) = re.findall(r"(?m)^ARG PYTHON_IMAGE=python:(3\.\d+)-", DOCKERFILE)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--require-hashes",
            "--no-deps",
            "--only-binary=:all:",
            *platforms,
            f"--python-version={base}",
            "-r",
            "some.lock",
            "-d",
            "wheels",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "wheels").glob("*aarch64.whl"))) == len(own)

"""The version is written once, in version.py; what has to repeat it says the same."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from pymetrics_server.version import GIT_VERSION, VERSION
from tests.image.dockerfile import FINAL, ROOT
from tests.image.locks import PROJECT

CHARTS = [path for path in ROOT.rglob("Chart.yaml") if ".venv" not in path.parts]


def test_it_is_a_version_as_semver_and_python_both_read_it() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(-(rc|alpha|beta)\.\d+)?", VERSION)
    assert str(Version(VERSION)).startswith(VERSION.split("-")[0])
    assert f"v{VERSION}" == GIT_VERSION


def test_the_package_takes_it_from_there() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pymetrics_server.version.VERSION"}


def test_the_command_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pymetrics_server", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{GIT_VERSION}\n")


def test_the_image_is_labelled_with_it() -> None:
    assert FINAL.all("ARG")[0].value == f"VERSION={VERSION}"


def test_the_deployment_runs_it() -> None:
    text = (ROOT / "manifests/base/metrics-server-deployment.yaml").read_text()
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(text) if d]
    (deployment,) = (d for d in documents if d["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].rpartition(":")[2] == VERSION


def test_every_image_that_is_named_with_a_tag_is_of_it() -> None:
    places = [
        ROOT / "README.md",
        *(p for d in (".github", "manifests", "docs") for p in (ROOT / d).rglob("*.*")),
    ]
    tags = {
        tag
        for p in places
        if p.is_file()
        for tag in re.findall(r"\bpymetrics-server:(v?\d[\w.-]*)", p.read_text())
    }
    assert tags == {VERSION}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_chart_is_of_it(chart: Path) -> None:
    says = yaml.safe_load(chart.read_text())
    assert (says["version"], says["appVersion"].removeprefix("v")) == (VERSION, VERSION)


def test_the_changelog_knows_nothing_newer_and_puts_it_first_once_it_is_out() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings[0] in {"Unreleased", VERSION}
    assert all(Version(heading) <= Version(VERSION) for heading in released)
    assert released == sorted(released, key=Version, reverse=True)
    assert VERSION in released[:1] or "Unreleased" in headings, "neither released nor coming"

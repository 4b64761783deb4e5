"""The workflows and forms in .github say nothing that the repository does not keep."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.image.dockerfile import ROOT
from tests.image.locks import PROJECT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
MADE_BY_WORKFLOWS = {"dist", "out", "original", "tools", "original/components.yaml"}


def name(path: Path) -> str:
    return path.name


def loaded(path: Path) -> dict[str, Any]:
    says: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # `on` stays a word
    return says


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = loaded(path)["jobs"]
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def commands(path: Path) -> str:
    return "\n".join(str(step.get("run", "")) for step in steps(path))


def test_there_is_a_workflow_for_changes_for_releases_and_for_faults_found_later() -> None:
    assert set(loaded(GITHUB / "workflows/ci.yml")["on"]) == {"push", "pull_request"}
    assert loaded(GITHUB / "workflows/release.yml")["on"]["push"] == {"tags": ["v*"]}
    assert loaded(GITHUB / "workflows/audit.yml")["on"]["schedule"]


@pytest.mark.parametrize("workflow", ["ci.yml", "release.yml"])
def test_tests_run_on_every_python_that_the_package_promises(workflow: str) -> None:
    tested = {
        version
        for job in jobs(GITHUB / "workflows" / workflow).values()
        for version in job.get("strategy", {}).get("matrix", {}).get("python", [])
    }
    lowest = min(int(version.split(".")[1]) for version in tested)
    assert PROJECT["project"]["requires-python"] == f">=3.{lowest}"
    assert tested == {f"3.{minor}" for minor in range(lowest, lowest + len(tested))}
    promised = re.findall(
        r"Programming Language :: Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"])
    )
    assert tested == set(promised)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_every_target_of_make_that_a_workflow_runs_exists(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", commands(workflow))) <= targets


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_every_path_that_a_workflow_names_exists(workflow: Path) -> None:
    words = re.findall(
        r"(?<![\w$/=:-])\.?[\w-]+(?:/[\w.-]+)+|\b[\w-]+\.(?:lock|toml|md|yaml|py)\b", commands(workflow)
    )
    ours = {
        word
        for word in words
        if word.split("/")[0] not in {*MADE_BY_WORKFLOWS, ".venv", "kubernetes-sigs", "apiservice"}
    }
    assert [word for word in sorted(ours) if not (ROOT / word).exists() and word != "components.yaml"] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_a_workflow_may_only_read_and_a_job_what_more_it_needs(workflow: Path) -> None:
    assert loaded(workflow)["permissions"] == {"contents": "read"}
    granted = {job: says["permissions"] for job, says in jobs(workflow).items() if "permissions" in says}
    if workflow.name != "release.yml":
        assert granted == {}
    for job, rights in granted.items():
        assert {right for right, level in rights.items() if level == "write"} <= {
            "id-token" if job != "files" else "contents"
        }


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_no_step_takes_words_of_a_stranger_into_a_shell_or_keeps_the_checkouts_token(workflow: Path) -> None:
    assert "${{" not in commands(workflow)
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] == "false"
    assert "pull_request_target" not in loaded(workflow)["on"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_every_action_has_its_major_version_and_every_job_an_end(workflow: Path) -> None:
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", step["uses"])
    assert all("timeout-minutes" in job for job in jobs(workflow).values())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_jobs_wait_for_jobs_that_there_are(workflow: Path) -> None:
    known = jobs(workflow)
    for job in known.values():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(known)


def test_nothing_is_given_out_before_all_checks_have_passed() -> None:
    release = jobs(GITHUB / "workflows/release.yml")

    def before(job: str) -> set[str]:
        needs = set(release[job].get("needs", []))
        return needs.union(*(before(other) for other in needs))

    for job in ("image", "pypi", "files"):
        assert {"check", "audit", "named"} <= before(job)


def test_no_registrys_host_stands_in_what_is_built_and_pushed() -> None:
    files = [path for path in GITHUB.rglob("*") if path.is_file()] + [
        ROOT / "Dockerfile",
        ROOT / "SECURITY.md",
    ]
    for path in files:
        assert not re.search(r"\b(ghcr|quay|docker|gcr|pkg)\.(io|dev)/|registry\.", path.read_text()), path


@pytest.mark.parametrize("script", sorted((GITHUB / "e2e").glob("*.sh")), ids=name)
def test_a_script_of_the_workflows_can_be_run_and_ends_at_its_first_failure(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text()
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed: apt-get install bash")
    assert subprocess.run([bash, "-n", str(script)]).returncode == 0


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_a_form_is_one_that_can_be_shown(form: Path) -> None:
    says = loaded(form)
    assert {"name", "description", "body"} <= set(says)
    fields = [field for field in says["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)


def test_the_bug_form_asks_for_what_finds_a_bug() -> None:
    text = (GITHUB / "ISSUE_TEMPLATE/bug.yml").read_text()
    for asked in (
        "kubectl get apiservice v1beta1.metrics.k8s.io -o yaml",
        "logs deployment/metrics-server",
        "pymetrics-server doctor",
        "kubectl top nodes -v=6",
    ):
        assert asked in text
    assert "SECURITY.md" in text


def test_links_of_the_security_policy_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / "SECURITY.md").read_text()):
        assert (ROOT / link).exists(), link

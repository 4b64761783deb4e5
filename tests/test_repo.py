"""The repository's own rules, as tests: what a reader relies on when looking for a line."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml

from pymetrics_server import errors
from pymetrics_server.options import parse

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "pymetrics_server").rglob("*.py"))
BANNED = {"utils", "util", "helpers", "common", "core", "base", "misc", "manager"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_opens_with_what_lives_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "say in a docstring what lives here and its rule"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_is_a_drawer_or_a_hall(path: Path) -> None:
    assert path.stem not in BANNED
    assert len(path.read_text().splitlines()) <= 400


def test_every_error_stands_in_the_tree_that_errors_opens_with() -> None:
    tree = errors.__doc__ or ""
    classes = {n for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, Exception)}
    assert classes == set(re.findall(r"[─ ] (\w+Error)\b", tree.partition("Foreign")[0])) | {"PymetricsError"}


def test_every_failure_says_its_cause_and_the_next_thing_to_do() -> None:
    labels = [f.label for f in errors.FailureClass]
    assert len(set(labels)) == len(labels)
    assert all(f.cause and f.cure for f in errors.FailureClass)


def documents(name: str) -> list[dict[str, object]]:
    return [d for d in yaml.safe_load_all((ROOT / "manifests/base" / name).read_text()) if d]


def test_the_deployments_arguments_are_flags_that_the_server_takes() -> None:
    (deployment,) = (d for d in documents("metrics-server-deployment.yaml") if d["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]  # type: ignore[index]  # plain YAML
    options = parse(container["args"])
    assert options.secure_port == container["ports"][0]["containerPort"]


def test_the_role_never_asks_for_the_kubelets_proxy() -> None:
    (role,) = (d for d in documents("resource-reader.yaml") if d["kind"] == "ClusterRole")
    granted = {(r, v) for rule in role["rules"] for r in rule["resources"] for v in rule["verbs"]}  # type: ignore[attr-defined]  # plain YAML
    assert granted == {
        ("nodes/stats", "get"),
        ("nodes/metrics", "get"),
        *((r, v) for r in ("pods", "nodes") for v in ("list", "watch")),
    }


def test_make_alone_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.M)
    described = set(re.findall(r"^([a-z-]+):.*## ", text, re.M))
    assert described == set(phony.split())

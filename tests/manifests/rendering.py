"""What the manifests come to: base in one file by our own hand, anything else by kubectl's kustomize."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
BASE = MANIFESTS / "base"
#: In the order in which they may be combined: cert-manager has Prometheus verify what it makes.
COMPONENTS = ("high-availability", "insecure-kubelet-tls", "host-network", "monitoring", "cert-manager")
OVERLAYS = {
    **{name: (name,) for name in COMPONENTS},
    "production": ("high-availability", "monitoring", "cert-manager"),
}
#: Each two of them beside each other, none, and all.
COMBINATIONS = [c for size in (0, 1, 2, len(COMPONENTS)) for c in combinations(COMPONENTS, size)]

NO_KUSTOMIZE = "install kubectl 1.21 or newer (Debian 13: kubernetes-client): older ones know no components"
HEAD = "# manifests/base in one file, for `kubectl apply -f`. Made by `make update`: change manifests/base instead.\n"

Object = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML has it


def in_one_file() -> str:
    """manifests/base as it stands, comments and all, in the order of its kustomization."""
    files = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return HEAD + "---\n".join((BASE / name).read_text() for name in files)


def documents(text: str) -> list[Object]:
    return [d for d in yaml.load_all(text, Loader=_LOADER) if d]


@cache
def _kubectl() -> str:
    """The path of one that knows components, else nothing."""
    program = shutil.which("kubectl")
    if program is None:
        return ""
    asked = subprocess.run(
        [program, "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=60
    )
    minor = json.loads(asked.stdout)["clientVersion"]["minor"] if asked.returncode == 0 else "0"
    return program if int(minor.rstrip("+")) >= 21 else ""


@cache
def _kustomized(folder: Path) -> str:
    done = subprocess.run([_kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kustomize warns"
    return done.stdout


def kustomized(folder: Path) -> list[Object]:
    if not _kubectl():
        pytest.skip(NO_KUSTOMIZE)
    return documents(_kustomized(folder))


def combined(components: Sequence[str], folder: Path) -> list[Object]:
    """As manifests/README.md has users combine them; `folder` is empty."""
    manifests = os.path.relpath(MANIFESTS, folder.resolve())
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{manifests}/base"],
        "components": [f"{manifests}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return kustomized(folder)


def identity(document: Object) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def only(found: Sequence[Object], kind: str, name: str = "metrics-server") -> Object:
    (document,) = (d for d in found if d["kind"] == kind and d["metadata"]["name"] == name)
    return document


def container(found: Sequence[Object]) -> Object:
    (alone,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(alone, dict)
    return alone

"""manifests/components.yaml: base for those who have no kustomize."""

import os

import yaml

from pymetrics_server.version import VERSION
from tests.manifests.rendering import BASE, MANIFESTS, documents, identity, in_one_file, kustomized

ONE_FILE = MANIFESTS / "components.yaml"


def test_golden_one_file_is_base_put_together() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        ONE_FILE.write_text(in_one_file())
    assert ONE_FILE.read_text() == in_one_file()


def test_the_one_file_has_the_objects_that_kustomize_makes_of_base() -> None:
    kustomize = {identity(d): d for d in kustomized(BASE)}
    assert {identity(d): d for d in documents(ONE_FILE.read_text())} == kustomize


def test_what_the_server_may_comes_before_it_and_the_api_last() -> None:
    kinds = [d["kind"] for d in documents(ONE_FILE.read_text())]
    assert all("Role" in kind for kind in kinds[:-5])
    assert kinds[-5:] == ["Service", "ServiceAccount", "Deployment", "APIService", "APIService"]


def test_every_file_of_base_is_part_of_it() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(p.name for p in BASE.iterdir())


def test_the_image_is_of_this_version() -> None:
    assert f"image: pymetrics-server:{VERSION}\n" in ONE_FILE.read_text()


def test_every_manifest_opens_with_what_it_is() -> None:
    files = [p for p in MANIFESTS.rglob("*.yaml") if MANIFESTS / "chart" not in p.parents]
    assert [p for p in files if not p.read_text().startswith("# ")] == []

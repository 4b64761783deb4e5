"""Every way to install is taken as it stands: no error, no warning, and by Pod Security's strictest level.

Kinds of others' operators are made known first, without a schema.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.real.client import Kubectl, Object
from tests.cluster.real.conftest import Cluster
from tests.cluster.real.deployed import BASE, MANIFESTS
from tests.programs import until

WAYS = [
    BASE,
    *sorted(path.parent for path in (MANIFESTS / "overlays").glob("*/kustomization.yaml")),
    *MANIFESTS.glob("components.yaml"),
]
_POD_SECURITY = [f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "warn")]

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.stem)


def rendered(kubectl: Kubectl, way: Path) -> str:
    return kubectl("kustomize", str(way)) if way.is_dir() else way.read_text()


def of_the_deployment(text: str) -> Object:
    """Its template."""
    (found,) = (d for d in yaml.safe_load_all(text) if d and d["kind"] == "Deployment")
    template: Object = found["spec"]["template"]
    return template


@pytest.fixture(name="restricted", scope="module")
def _restricted(own: Cluster) -> Iterator[Kubectl]:
    """With what others' operators bring, and the strictest level where the server goes."""
    kubectl = own.kubectl
    known = {group["name"] for group in kubectl.raw("/apis")["groups"]}
    foreign: dict[tuple[str, str], str] = {}
    for way in WAYS:
        for document in yaml.safe_load_all(rendered(kubectl, way)):
            group, _, version = document["apiVersion"].rpartition("/")
            if group and group not in known:
                foreign[group, document["kind"]] = version
    definitions = yaml.safe_dump_all(
        definition(group, version, kind) for (group, kind), version in foreign.items()
    )
    if foreign:
        kubectl("apply", "-f", "-", stdin=definitions)
    paths = {f"/apis/{group}/{version}" for (group, _), version in foreign.items()}
    until("others' kinds are served", lambda: all(own.control_plane.admin.answers(path) for path in paths))
    kubectl("label", "namespace", "kube-system", *(f"{mode}=restricted" for mode in _POD_SECURITY))
    yield kubectl
    kubectl("label", "namespace", "kube-system", *(f"{mode}-" for mode in _POD_SECURITY))
    if foreign:
        kubectl("delete", "-f", "-", stdin=definitions)


def definition(group: str, version: str, kind: str) -> Object:
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
            ],
        },
    }


@every_way
def test_all_is_accepted_without_a_warning(restricted: Kubectl, way: Path) -> None:
    text = rendered(restricted, way)
    done = restricted.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(list(yaml.safe_load_all(text)))
    if of_the_deployment(text)["spec"].get("hostNetwork"):
        assert "would violate PodSecurity" in done.stderr
    else:
        assert done.stderr == ""


@every_way
def test_its_pod_is_admitted_where_pod_security_is_restricted(restricted: Kubectl, way: Path) -> None:
    template = of_the_deployment(rendered(restricted, way))
    metadata = {**template["metadata"], "name": "alone", "namespace": "kube-system"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    done = restricted.run("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
    if template["spec"].get("hostNetwork"):
        assert 'violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)' in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")

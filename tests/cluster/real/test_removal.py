"""Taking the server out leaves a cluster as it was before: nothing of it, and nothing that waits for it."""

from collections.abc import Sequence

import pytest

from tests.cluster.real.conftest import Cluster, left_behind, until_available
from tests.cluster.real.deployed import BASE, GROUP, MANIFESTS
from tests.programs import until

_ONE_FILE = MANIFESTS / "components.yaml"


@pytest.mark.parametrize(
    ("what", "served"),
    [(("-k", str(BASE)), True), (("-f", str(_ONE_FILE)), False)],
    ids=["a server that serves, by base", "one that is still to come, by one file"],
)
def test_deleting_what_was_applied_leaves_nothing(spare: Cluster, what: Sequence[str], served: bool) -> None:
    kubectl = spare.kubectl
    if not all((MANIFESTS.parent / argument).exists() for argument in what if argument[0] != "-"):
        pytest.skip(f"{_ONE_FILE.name} is to be made first: make update")
    kubectl("apply", *what)
    if served:
        for version in ("v1", "v1beta1"):
            until_available(kubectl, version, "True")
    kubectl("delete", *what)
    until("its pods are gone", lambda: not left_behind(kubectl))
    assert not spare.agent.containers
    apiservices = kubectl("get", "apiservices", "-o", "name").split()
    assert [name for name in apiservices if name.endswith(GROUP)] == []
    for kind in ("clusterroles", "clusterrolebindings"):
        assert "metrics-server" not in kubectl("get", kind, "-o", "name")

    def undiscovered() -> bool:
        done = kubectl.run("api-resources", "--cached=false")
        return done.returncode == 0 and "metrics.k8s.io" not in done.stdout

    until("discovery is whole", undiscovered)
    kubectl("create", "namespace", "afterwards")
    kubectl("delete", "namespace", "afterwards", "--timeout=20s")

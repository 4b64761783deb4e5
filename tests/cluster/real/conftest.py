"""A real kube-apiserver, for the whole run of this folder.

    KUBEBUILDER_ASSETS=/path/to/binaries python -m pytest tests/cluster/real
    TEST_KUBECONFIG=/path/to/kubeconfig python -m pytest tests/cluster/real

The first starts its own cluster of etcd, kube-apiserver, the server and simulated kubelets, and
kube-controller-manager where that is found too. The second only reads from a cluster where somebody deployed the
server. Logs stay in pytest's temporary directory, below `real-cluster`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pymetrics_server.standin.pki import server_context
from tests.cluster.real.assets import NEITHER, NO_CONTROLLERS, NOT_OURS, find_assets, find_kubeconfig
from tests.cluster.real.client import Kubectl
from tests.cluster.real.control_plane import ControlPlane
from tests.cluster.real.deployed import GROUP, VERSIONS, Deployed
from tests.cluster.real.kubelets import Gate, Kubelets, Node, register
from tests.programs import until

NODES = 2
PODS = 3


_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Whichever test is the first waits for a whole cluster."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


class Cluster(msgspec.Struct, frozen=True):
    """Started by this run, with everything in it."""

    control_plane: ControlPlane
    server: Deployed
    nodes: tuple[Node, ...]

    @property
    def kubectl(self) -> Kubectl:
        return self.control_plane.kubectl


@pytest.fixture(name="own_or_none", scope="session")
def _own_or_none(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster | None]:
    assets = find_assets()
    if assets is None:
        yield None
        return
    control_plane = ControlPlane(assets, tmp_path_factory.mktemp("real-cluster"))
    server = Deployed(control_plane)
    nodes = tuple(Node(index, PODS) for index in range(NODES))
    kubelets = Kubelets(nodes, server_context(control_plane.pki.kubelet), Gate(control_plane.admin))
    with ExitStack() as stopping:
        stopping.callback(control_plane.stop)
        stopping.callback(kubelets.stop)
        stopping.callback(server.stop)
        control_plane.start()
        ports = kubelets.start()
        for node in nodes:
            register(node, ports[node.name], control_plane.admin)
        server.apply()
        server.start()
        server.register()
        yield Cluster(control_plane, server, nodes)
        errors = [line for line in server.process.log_lines if line.startswith(("E", "F", "Traceback"))]
        assert [line for line in errors if "invalid bearer token" not in line] == []  # the tests' own doing


@pytest.fixture(scope="session")
def kubectl(own_or_none: Cluster | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The administrator's, of either cluster, from when both versions are available."""
    if own_or_none is not None:
        found = own_or_none.kubectl
    elif (named := find_kubeconfig()) is not None:
        kubeconfig, program = named
        found = Kubectl(program, kubeconfig, tmp_path_factory.mktemp("kubectl"))
    else:
        pytest.skip(NEITHER)
    for version in VERSIONS:
        until_available(found, version, "True")
    return found


@pytest.fixture(scope="session")
def own(own_or_none: Cluster | None, kubectl: Kubectl) -> Cluster:
    """The cluster that this run started, from when every node and pod is served."""
    if own_or_none is None:
        pytest.skip(NOT_OURS)
    until("every node is served", lambda: len(kubectl.items(f"/apis/{GROUP}/v1beta1/nodes")) == NODES)
    until("every pod is served", lambda: len(kubectl.items(f"/apis/{GROUP}/v1beta1/pods")) == NODES * PODS)
    return own_or_none


@pytest.fixture(scope="session")
def controlled(own: Cluster) -> Cluster:
    """With kube-controller-manager."""
    if not own.control_plane.has_controllers:
        pytest.skip(NO_CONTROLLERS)
    return own


def available(kubectl: Kubectl, version: str) -> dict[str, Any]:
    """The condition Available of that version's APIService."""
    found = kubectl.raw(f"/apis/apiregistration.k8s.io/v1/apiservices/{version}.{GROUP}")
    unknown = {"type": "Available", "status": "Unknown"}
    conditions = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Available"), unknown)


def until_available(kubectl: Kubectl, version: str, status: str, timeout_s: float = 60) -> None:
    what = f"{version} is available: {status}"
    until(what, lambda: available(kubectl, version)["status"] == status, timeout_s)


def freshness(cluster: Cluster) -> dict[str, str]:
    """Version -> Current or Stale, of our group in aggregated discovery."""
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    groups = cluster.control_plane.admin.ask("/apis", headers={"Accept": accept}).document["items"]
    (ours,) = (group for group in groups if group["metadata"]["name"] == GROUP)
    return {v["version"]: v["freshness"] for v in ours["versions"]}

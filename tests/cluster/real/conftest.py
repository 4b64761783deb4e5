"""A real kube-apiserver, for the whole run of this folder.

    KUBEBUILDER_ASSETS=/path/to/binaries python -m pytest tests/cluster/real
    TEST_KUBECONFIG=/path/to/kubeconfig python -m pytest tests/cluster/real

The first starts its own cluster of etcd, kube-apiserver, the server and simulated kubelets, and
kube-controller-manager where that is found too. The second only reads from a cluster where somebody deployed the
server. Logs stay in pytest's temporary directory, below `real-cluster`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pymetrics_server.standin.pki import server_context
from tests.cluster.real import theirs
from tests.cluster.real.agent import COMMAND, Agent
from tests.cluster.real.assets import NEITHER, NO_CONTROLLERS, NOT_OURS, Assets, find_assets, find_kubeconfig
from tests.cluster.real.client import Kubectl
from tests.cluster.real.control_plane import ControlPlane
from tests.cluster.real.deployed import BASE, GROUP, VERSIONS, Deployed
from tests.cluster.real.kubelets import Gate, Kubelets, Node, register
from tests.cluster.real.network import NO_PORT_443, Network, can_take_port_443
from tests.programs import until

NODES = 2
PODS = 3

#: Its binary, where one is named; ours stands in for it otherwise.
ORIGINAL = os.environ.get("METRICS_SERVER") or os.environ.get("PARITY_PEER", "").removeprefix("self")

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Whichever test is the first waits for a whole cluster."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


class Cluster(msgspec.Struct, frozen=True):
    """Started by this run, with everything in it."""

    control_plane: ControlPlane
    agent: Agent
    server: Deployed
    nodes: tuple[Node, ...]

    @property
    def kubectl(self) -> Kubectl:
        return self.control_plane.kubectl


@contextlib.contextmanager
def started(
    assets: Assets, directory: Path, images: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Cluster]:
    """With nodes and their pods, and nothing of metrics-server."""
    control_plane = ControlPlane(assets, directory)
    nodes = tuple(Node(index, PODS) for index in range(NODES))
    kubelets = Kubelets(nodes, server_context(control_plane.pki.kubelet), Gate(control_plane.admin))
    agent = Agent(control_plane, nodes[0].name, images)
    network = Network(control_plane.admin)
    with contextlib.ExitStack() as stopping:
        stopping.callback(control_plane.stop)
        stopping.callback(kubelets.stop)
        control_plane.start()
        ports = kubelets.start()
        for node in nodes:
            register(node, ports[node.name], control_plane.admin)
        network.start()
        stopping.callback(network.stop)
        agent.start()
        stopping.callback(agent.stop)
        yield Cluster(control_plane, agent, Deployed(control_plane, agent), nodes)
    assert agent.failures == []


@pytest.fixture(name="own_or_none", scope="session")
def _own_or_none(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster | None]:
    assets = find_assets()
    if assets is None:
        yield None
        return
    if not can_take_port_443():
        pytest.skip(NO_PORT_443)
    with started(assets, tmp_path_factory.mktemp("real-cluster")) as cluster:
        cluster.server.apply()
        for version in VERSIONS:
            until_available(cluster.kubectl, version, "True", 90)
        cluster.control_plane.mark_log()
        yield cluster
        errors = [line for line in cluster.server.log_lines if line.startswith(("E", "F", "Traceback"))]
        assert [line for line in errors if "invalid bearer token" not in line] == []  # the tests' own doing


@pytest.fixture(name="spare")
def _spare(spare_cluster: Cluster) -> Iterator[Cluster]:
    """With nothing of metrics-server in it, neither before nor afterwards."""
    assert left_behind(spare_cluster.kubectl) == []
    yield spare_cluster
    delete = ("delete", "--ignore-not-found", "--wait=false")
    spare_cluster.kubectl(*delete, "-f", "-", stdin=theirs.in_one_file())
    spare_cluster.kubectl(*delete, "-k", str(BASE))
    until("all is gone", lambda: not left_behind(spare_cluster.kubectl))


def left_behind(kubectl: Kubectl) -> list[str]:
    """Of whatever kind the cluster knows, all that is labelled as metrics-server's."""
    kinds = kubectl.run("api-resources", "--verbs=list", "-o", "name").stdout.split()
    mine = [kind for kind in kinds if not kind.endswith(GROUP)]
    return kubectl("get", ",".join(mine), "-A", "-l", "k8s-app=metrics-server", "-o", "name").split()


@pytest.fixture(name="spare_cluster", scope="session")
def _spare_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Another one, for those who put the server in and take it out."""
    assets = find_assets()
    if assets is None:
        pytest.skip(NEITHER)
    if assets.kube_controller_manager is None:
        pytest.skip(NO_CONTROLLERS)
    if not can_take_port_443():
        pytest.skip(NO_PORT_443)
    images = {"metrics-server": (ORIGINAL,) if ORIGINAL else COMMAND}
    with started(assets, tmp_path_factory.mktemp("spare-cluster"), images) as cluster:
        yield cluster


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
        until_available(found, version, "True", 90)
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

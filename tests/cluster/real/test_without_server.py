"""Namespaces come and go, with the server and without it.

The namespace controller deletes what discovery lists. Where a group cannot be discovered it deletes the rest, says
so in the namespace's conditions, and lets the namespace go once the group is back: true of every aggregated API.

One of these tests stops the server, and goes on only once it is back and available.
"""

from collections.abc import Iterator

import pytest

from tests.cluster.real.client import Object
from tests.cluster.real.conftest import Cluster, freshness, until_available
from tests.cluster.real.deployed import GROUP, VERSIONS
from tests.programs import until


def make_namespace(cluster: Cluster, name: str) -> None:
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("create", "configmap", "something", "-n", name, "--from-literal=a=b")


def find(cluster: Cluster, name: str) -> Object | None:
    answer = cluster.control_plane.admin.ask(f"/api/v1/namespaces/{name}")
    return None if answer.status == 404 else answer.document


def conditions(cluster: Cluster, name: str) -> dict[str, Object]:
    namespace = find(cluster, name) or {}
    return {c["type"]: c for c in namespace.get("status", {}).get("conditions", ())}


@pytest.fixture
def stopped(controlled: Cluster) -> Iterator[Cluster]:
    """From when kube-apiserver knows; the server is back afterwards."""
    controlled.server.stop()
    try:
        for version in VERSIONS:
            until_available(controlled.kubectl, version, "False", 90)
        # Or it may be a minute until kube-apiserver asks again, if the server answered while it ended. One version is told
        # stale a minute after the other all the same: it asks once a minute, and both at one Service.
        touched = [f"apiservice/{version}.{GROUP}" for version in VERSIONS]
        controlled.kubectl("annotate", *touched, "server=stopped")
        until("discovery is stale", lambda: set(freshness(controlled).values()) == {"Stale"}, 180)
        yield controlled
    finally:
        controlled.server.start()
        for version in VERSIONS:
            until_available(controlled.kubectl, version, "True", 90)


def test_a_namespace_goes_while_the_server_is_up(controlled: Cluster) -> None:
    make_namespace(controlled, "passing")
    controlled.kubectl("delete", "namespace", "passing", "--wait=false")
    until("it is gone", lambda: find(controlled, "passing") is None)


def test_a_namespace_goes_once_the_server_is_back(stopped: Cluster) -> None:
    done = stopped.kubectl.run("top", "nodes")
    assert done.returncode == 1
    make_namespace(stopped, "waiting")
    stopped.kubectl("delete", "namespace", "waiting", "--wait=false")
    failure = until(
        "discovery fails",
        lambda: conditions(stopped, "waiting").get("NamespaceDeletionDiscoveryFailure"),
        90,
    )
    assert failure["status"] == "True"
    assert GROUP in failure["message"]

    stopped.server.start()
    until("it is gone", lambda: find(stopped, "waiting") is None, 150)
    until("metrics are back", lambda: stopped.kubectl.rows("top", "nodes"))

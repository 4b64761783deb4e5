"""Who may read, with kube-apiserver's own RBAC, front proxy and reviews."""

import pytest

from tests.cluster.real.client import Kubectl, Object
from tests.cluster.real.conftest import Cluster
from tests.cluster.real.control_plane import SERVER_ACCOUNT
from tests.cluster.real.deployed import GROUP
from tests.programs import until

_NODES = f"/apis/{GROUP}/v1beta1/nodes"
_READER = "--clusterrole=system:aggregated-metrics-reader"


def reviews(cluster: Cluster, user: str) -> list[Object]:
    """The SubjectAccessReviews in which the server asked about that user, as it had them from the front proxy."""
    asked = (e["requestObject"]["spec"] for e in cluster.control_plane.asked_by_the_server() if _is_review(e))
    return [spec for spec in asked if spec.get("user") == user]


def _is_review(event: Object) -> bool:
    return bool(event["objectRef"]["resource"] == "subjectaccessreviews")


def refused(kubectl: Kubectl, *arguments: str) -> bool:
    done = kubectl.run(*arguments)
    return done.returncode == 1 and "Forbidden" in done.stderr


def test_a_user_without_rights_is_forbidden(own: Cluster) -> None:
    stranger = own.control_plane.user("stranger")
    assert refused(stranger, "get", "--raw", _NODES)
    assert refused(stranger, "top", "nodes")
    assert refused(stranger, "top", "pods", "-A")
    assert reviews(own, "stranger") == []  # kube-apiserver refused on its own


def test_a_token_straight_to_the_server_is_reviewed_by_kube_apiserver(own: Cluster) -> None:
    kubectl = own.kubectl
    kubectl("create", "serviceaccount", "prober", "-n", "default")
    token = kubectl("create", "token", "prober", "-n", "default").strip()
    straight = own.server.asked_as(token)
    assert straight.ask(_NODES).status == 403
    assert own.server.asked_as("").ask(_NODES).status == 403
    assert own.server.asked_as("made-up").ask(_NODES).status == 401

    kubectl("create", "serviceaccount", "reader", "-n", "default")
    kubectl("create", "clusterrolebinding", "reader", _READER, "--serviceaccount=default:reader")
    token = kubectl("create", "token", "reader", "-n", "default").strip()
    assert own.server.asked_as(token).ask(_NODES).status == 200
    (spec,) = reviews(own, "system:serviceaccount:default:reader")
    assert "system:serviceaccounts:default" in spec["groups"]
    assert spec["resourceAttributes"] == {
        "group": GROUP,
        "version": "v1beta1",
        "resource": "nodes",
        "verb": "list",
    }


def test_viewers_of_a_namespace_read_its_metrics_and_no_others(controlled: Cluster) -> None:
    pod = controlled.nodes[0].view().pods[0]
    viewer = controlled.control_plane.user("viewer")
    controlled.kubectl(
        "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer", "-n", pod.namespace
    )
    rows = until("viewer reads", lambda: viewer.rows("top", "pods", "-n", pod.namespace))
    assert pod.name in {row[0] for row in rows}
    assert refused(viewer, "top", "pods", "-A")
    assert refused(viewer, "get", "--raw", _NODES)


def test_metrics_readers_read_nodes(own: Cluster) -> None:
    reader = own.control_plane.user("grace", "metrics-readers")
    own.kubectl("create", "clusterrolebinding", "metrics-readers", _READER, "--group=metrics-readers")
    until("grace reads", lambda: reader.run("get", "--raw", _NODES).returncode == 0)
    (spec,) = reviews(own, "grace")
    assert set(spec["groups"]) == {"metrics-readers", "system:authenticated"}


def test_an_impersonated_user_arrives_with_groups(own: Cluster) -> None:
    own.kubectl("create", "clusterrolebinding", "impersonated", _READER, "--group=impersonated")
    impersonating = ("--as=jane", "--as-group=impersonated", "--as-group=a b/c:d")
    until("jane reads", lambda: own.kubectl.run("get", "--raw", _NODES, *impersonating).returncode == 0)
    (spec,) = reviews(own, "jane")
    assert set(spec["groups"]) == {"impersonated", "a b/c:d", "system:authenticated"}
    assert refused(own.kubectl, "get", "--raw", _NODES, "--as=jane")


def test_an_impersonated_user_arrives_with_everything_extra(own: Cluster) -> None:
    own.kubectl("create", "clusterrolebinding", "extra", _READER, "--user=joe")
    headers = {
        "Impersonate-User": "joe",
        "Impersonate-Extra-Scopes": "view",
        "Impersonate-Extra-Example.org%2freason": "100% sure, and more",
    }
    api = own.control_plane.admin
    until("joe reads", lambda: api.ask(_NODES, headers=headers).status == 200)
    (spec,) = reviews(own, "joe")
    assert spec["extra"] == {"scopes": ["view"], "example.org/reason": ["100% sure, and more"]}


@pytest.mark.parametrize("path", ["/metrics", "/apis", "/"])
def test_paths_that_are_no_resource_are_not_open_to_nobody(own: Cluster, path: str) -> None:
    assert own.server.asked_as("").ask(path).status == 403


def test_the_server_needs_no_right_beyond_its_manifests(own: Cluster) -> None:
    events = own.control_plane.asked_by_the_server()
    assert {e["user"]["username"] for e in events} == {SERVER_ACCOUNT}
    denied = [e["requestURI"] for e in events if e["responseStatus"]["code"] in (401, 403)]
    assert denied == []
    assert {e["objectRef"]["resource"] for e in events} <= {
        "nodes",
        "pods",
        "configmaps",
        "subjectaccessreviews",
        "tokenreviews",
    }

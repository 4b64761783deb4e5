"""The stand-in kube-apiserver, asked over TLS as kubectl and a metrics server ask."""

import json

import aiohttp
import pytest

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.resources import NODES as NODE_TYPE
from pymetrics_server.standin.resources import PODS as POD_TYPE
from tests.standin.conftest import NODES, PODS, Client, Kubectl

PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def next_event(answer: aiohttp.ClientResponse) -> dict[str, object]:
    found: dict[str, object] = json.loads(await answer.content.readline())
    return found


async def test_nodes_tell_where_their_kubelet_listens(admin: Client) -> None:
    status, nodes = await admin.get("/api/v1/nodes")
    assert (status, nodes["kind"], len(nodes["items"])) == (200, "NodeList", NODES)
    ports = {n["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] for n in nodes["items"]}
    assert len(ports) == NODES
    assert nodes["items"][0]["status"]["addresses"][0] == {"type": "InternalIP", "address": "127.0.0.1"}


async def test_pods_are_served_as_metadata_alone_to_who_asks_for_that(server_account: Client) -> None:
    status, pods = await server_account.get("/api/v1/pods?fieldSelector=status.phase%3DRunning", PARTIAL)
    assert (status, pods["kind"]) == (200, "PartialObjectMetadataList")
    assert len(pods["items"]) == NODES * PODS
    assert set(pods["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_selectors_narrow_lists(admin: Client) -> None:
    _, pods = await admin.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dsim-00001")
    assert {p["spec"]["nodeName"] for p in pods["items"]} == {"sim-00001"}
    _, nodes = await admin.get("/api/v1/nodes?labelSelector=kubernetes.io/hostname%3Dsim-00000")
    assert [n["metadata"]["name"] for n in nodes["items"]] == ["sim-00000"]
    _, failed = await admin.get("/api/v1/pods?fieldSelector=status.phase%3DFailed")
    assert failed["items"] == []
    status, bad = await admin.get("/api/v1/pods?fieldSelector=spec.nonsense%3D1")
    assert (status, bad["reason"]) == (400, "BadRequest")


async def test_a_long_list_comes_in_pages_of_one_revision(admin: Client) -> None:
    names, token, revisions = [], "", set()
    while True:
        _, page = await admin.get(f"/api/v1/pods?limit=3&continue={token}")
        assert len(page["items"]) <= 3
        names += [p["metadata"]["name"] for p in page["items"]]
        revisions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert len(names) == len(set(names)) == NODES * PODS
    assert len(revisions) == 1


async def test_a_page_of_a_forgotten_revision_is_gone(admin: Client, cluster: StandinCluster) -> None:
    _, page = await admin.get("/api/v1/pods?limit=3")
    cluster.revisions.compact()
    status, gone = await admin.get(f"/api/v1/pods?limit=3&continue={page['metadata']['continue']}")
    assert (status, gone["reason"]) == (410, "Expired")


async def test_a_watch_tells_what_changes_and_then_bookmarks(admin: Client, cluster: StandinCluster) -> None:
    _, pods = await admin.get("/api/v1/pods")
    first = pods["items"][0]
    start = pods["metadata"]["resourceVersion"]
    path = f"/api/v1/pods?watch=1&resourceVersion={start}&allowWatchBookmarks=true&labelSelector=app"
    async with admin.stream(path) as answer:
        name, namespace = first["metadata"]["name"], first["metadata"]["namespace"]
        body = {key: first[key] for key in ("metadata", "spec", "status")}
        changed = {**body, "metadata": {"name": name, "namespace": namespace, "labels": {"app": "other"}}}
        cluster.revisions.put(POD_TYPE, changed)
        event = await next_event(answer)
        while event["type"] == "BOOKMARK":
            event = await next_event(answer)
        assert event["type"] == "MODIFIED"
        cluster.revisions.put(POD_TYPE, {**changed, "metadata": {"name": name, "namespace": namespace}})
        left = await next_event(answer)
        assert left["type"] == "DELETED"
        bookmark = await next_event(answer)
        assert bookmark["type"] == "BOOKMARK"


async def test_a_watch_without_a_revision_begins_with_what_is(admin: Client) -> None:
    async with admin.stream("/api/v1/nodes?watch=true&timeoutSeconds=1") as answer:
        kinds = [(await next_event(answer))["type"] for _ in range(NODES)]
        assert kinds == ["ADDED"] * NODES
        assert await answer.content.readline() == b""


async def test_a_watch_from_a_forgotten_revision_is_told_to_list_again(
    admin: Client, cluster: StandinCluster
) -> None:
    _, nodes = await admin.get("/api/v1/nodes")
    cluster.revisions.compact()
    path = f"/api/v1/nodes?watch=true&resourceVersion={nodes['metadata']['resourceVersion']}"
    async with admin.stream(path) as answer:
        event = await next_event(answer)
        assert event["type"] == "ERROR"
        assert event["object"]["code"] == 410  # type: ignore[index]  # a Status
        assert await answer.content.readline() == b""


async def test_a_node_that_is_deleted_is_gone_for_watchers_and_readers(
    admin: Client, cluster: StandinCluster
) -> None:
    _, nodes = await admin.get("/api/v1/nodes")
    path = f"/api/v1/nodes?watch=true&resourceVersion={nodes['metadata']['resourceVersion']}"
    async with admin.stream(path) as answer:
        cluster.revisions.delete(NODE_TYPE, "", "sim-00000")
        assert (await next_event(answer))["type"] == "DELETED"
    status, missing = await admin.get("/api/v1/nodes/sim-00000")
    assert (status, missing["message"]) == (404, 'nodes "sim-00000" not found')


async def test_the_server_account_may_do_what_its_manifest_grants_and_no_more(server_account: Client) -> None:
    name = "extension-apiserver-authentication"
    status, trust = await server_account.get(f"/api/v1/namespaces/kube-system/configmaps/{name}")
    assert status == 200
    assert json.loads(trust["data"]["requestheader-allowed-names"]) == ["front-proxy-client"]
    _, listed = await server_account.get(
        f"/api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3D{name}"
    )
    assert len(listed["items"]) == 1
    status, refused = await server_account.get("/api/v1/namespaces/kube-system/configmaps")
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert refused["message"] == (
        'configmaps is forbidden: User "system:serviceaccount:kube-system:metrics-server" cannot list resource '
        '"configmaps" in API group "" in the namespace "kube-system"'
    )


async def test_who_shows_nothing_is_anonymous_and_a_wrong_token_is_nobody(
    anonymous: Client, cluster: StandinCluster
) -> None:
    status, refused = await anonymous.get("/api/v1/nodes")
    assert status == 403
    assert "system:anonymous" in refused["message"]
    assert (await anonymous.get("/version"))[0] == 200
    status, unknown = await anonymous.get("/version", Authorization="Bearer wrong")
    assert (status, unknown["reason"]) == (401, "Unauthorized")
    assert [access.user for access in cluster.apiserver.accesses] == ["system:anonymous"] * 2


async def test_token_reviews_know_the_tokens_of_this_cluster(
    server_account: Client, cluster: StandinCluster
) -> None:
    token = cluster.add_user("jane", "devs")
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status, review = await server_account.post(path, {"spec": {"token": token}})
    assert (status, review["status"]["authenticated"]) == (201, True)
    assert review["status"]["user"]["username"] == "jane"
    assert review["status"]["user"]["groups"] == ["devs", "system:authenticated"]
    _, review = await server_account.post(path, {"spec": {"token": "wrong"}})
    assert review["status"]["authenticated"] is False
    status, _ = await server_account.post(path, {"spec": []})
    assert status == 400


async def test_access_reviews_follow_the_policy(server_account: Client) -> None:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

    async def allowed(user: str, *groups: str, **spec: object) -> bool:
        status, review = await server_account.post(path, {"spec": {"user": user, "groups": groups, **spec}})
        assert status == 201
        return bool(review["status"]["allowed"])

    pods = {"verb": "list", "group": "metrics.k8s.io", "resource": "pods", "namespace": "default"}
    assert await allowed("jane", "metrics-readers", resourceAttributes=pods)
    assert not await allowed("jane", "system:authenticated", resourceAttributes=pods)
    assert not await allowed("system:anonymous", "system:unauthenticated", resourceAttributes=pods)
    metrics = {"verb": "get", "path": "/metrics"}
    assert not await allowed("jane", "system:authenticated", nonResourceAttributes=metrics)
    assert await allowed("root", "system:masters", nonResourceAttributes=metrics)


async def test_a_method_that_is_not_served_is_refused(admin: Client) -> None:
    status, refused = await admin.post("/api/v1/nodes", {})
    assert (status, refused["reason"]) == (405, "MethodNotAllowed")
    assert (await admin.get("/apis/apps/v1/statefulsets"))[0] == 404


async def test_a_type_that_is_not_spoken_is_not_acceptable(admin: Client) -> None:
    assert (await admin.get("/api/v1/nodes", "application/vnd.kubernetes.protobuf"))[0] == 406
    status, nodes = await admin.get("/api/v1/nodes", "application/vnd.kubernetes.protobuf, */*")
    assert (status, nodes["kind"]) == (200, "NodeList")


async def test_kubectl_prints_nodes_and_pods(kubectl: Kubectl) -> None:
    code, out, err = await kubectl("get", "nodes")
    assert code == 0, err
    header, *rows = out.splitlines()
    assert header.split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert [row.split()[:2] for row in rows] == [["sim-00000", "Ready"], ["sim-00001", "Ready"]]
    code, out, err = await kubectl("get", "pods", "-A", "--chunk-size=3")
    assert code == 0, err
    header, *rows = out.splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert len(rows) == NODES * PODS
    assert all(row.split()[2:4] == ["2/2", "Running"] for row in rows)


async def test_kubectl_lists_the_resources(kubectl: Kubectl) -> None:
    code, out, err = await kubectl("api-resources", "--no-headers")
    assert code == 0, err
    assert {"nodes", "pods", "apiservices", "tokenreviews"} <= {row.split()[0] for row in out.splitlines()}


@pytest.mark.parametrize(
    ("asked", "as_user", "said"),
    [
        (("list", "nodes.metrics.k8s.io"), "", "yes"),
        (("get", "pods.metrics.k8s.io", "-n", "default"), "jane", "no"),
        (("get", "/apis"), "jane", "yes"),
    ],
)
async def test_kubectl_is_told_what_one_may(
    kubectl: Kubectl, asked: tuple[str, ...], as_user: str, said: str
) -> None:
    impersonation = ("--as", as_user, "--as-group", "system:authenticated") if as_user else ()
    code, out, err = await kubectl("auth", "can-i", *asked, *impersonation)
    assert (out.strip(), code) == (said, 0 if said == "yes" else 1), err


async def test_who_is_no_master_may_not_ask_as_somebody_else(server_account: Client) -> None:
    status, refused = await server_account.get("/api/v1/nodes", **{"Impersonate-User": "jane"})
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert 'cannot impersonate resource "users"' in refused["message"]


async def test_kubectl_describes_a_node_without_an_error(kubectl: Kubectl) -> None:
    code, out, err = await kubectl("describe", "node", "sim-00000")
    assert (code, err) == (0, "")
    assert "Failed" not in out
    assert "0001" not in out  # Go's zero time
    assert "HolderIdentity:  sim-00000" in out


async def test_what_a_source_shows_anew_appears_and_what_it_drops_goes(
    admin: Client, cluster: StandinCluster
) -> None:
    before = cluster.revisions.revision
    cluster.sync()
    assert cluster.revisions.revision == before  # usage alone is no change of an object
    cluster.drop_source("sim-00001")
    _, nodes = await admin.get("/api/v1/nodes")
    assert [n["metadata"]["name"] for n in nodes["items"]] == ["sim-00000"]
    _, pods = await admin.get("/api/v1/pods")
    assert {p["spec"]["nodeName"] for p in pods["items"]} == {"sim-00000"}
    _, leases = await admin.get("/apis/coordination.k8s.io/v1/leases")
    assert [lease["spec"]["holderIdentity"] for lease in leases["items"]] == ["sim-00000"]

"""What kube-apiserver refuses is told once with who we are and the command that grants it, and that command is right."""

import asyncio
import logging
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymetrics_server.cluster.configmap import ConfigMapWatch
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.grants import (
    AUTHENTICATION_READER,
    DELEGATOR,
    READER,
    Need,
    Role,
    commands,
    hint,
)
from pymetrics_server.cluster.informer import NodeInformer, PodInformer, node_informer, pod_informer
from pymetrics_server.cluster.reviews import Reviews
from pymetrics_server.errors import ApiserverError, FailureClass
from pymetrics_server.meta.grants import kubelet_cure
from pymetrics_server.meta.identity import Attributes, UserInfo
from pymetrics_server.standin.cluster import StandinCluster
from tests.cluster.waiting import until
from tests.fakes.apiserver import FakeApiserver
from tests.integration.kubectls import INSTALLED, Kubectl

US = "system:serviceaccount:kube-system:metrics-server"
OURS = "kube-system:metrics-server"
ROLE_READER = f"kubectl create clusterrole system:metrics-server:granted-reader:{OURS} --verb=list,watch --resource=nodes,pods"
BIND_READER = (
    f"kubectl create clusterrolebinding system:metrics-server:granted-reader:{OURS} "
    f"--clusterrole=system:metrics-server:granted-reader:{OURS} --serviceaccount={OURS}"
)
BIND_DELEGATOR = (
    f"kubectl create clusterrolebinding system:metrics-server:granted-delegator:{OURS} "
    f"--clusterrole=system:auth-delegator --serviceaccount={OURS}"
)
BIND_AUTHENTICATION_READER = (
    f"kubectl -n kube-system create rolebinding system:metrics-server:granted-auth-reader:{OURS} "
    f"--role=extension-apiserver-authentication-reader --serviceaccount={OURS}"
)
MANIFESTS = Path(__file__).parents[2] / "manifests"


@asynccontextmanager
async def running(reflected: NodeInformer | PodInformer | ConfigMapWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(reflected.run(), name="reflected")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def forbidden(verb: str, resource: str, who: str = US) -> str:
    return f'{resource} is forbidden: User "{who}" cannot {verb} resource "{resource}" in API group "" at the cluster scope'


def refusal(who: str = US, more: str = "") -> ApiserverError:
    return ApiserverError(forbidden("list", "nodes", who) + more, 403)


def refused_by_kubelet(user: str) -> str:
    return f"Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[stats])\n"


def quoted(text: str) -> list[str]:
    return [part for part in text.split("`") if part.startswith("kubectl create")]


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[dict[str, Any]]:
    return [{"message": r.getMessage(), **vars(r)["kv"]} for r in caplog.records if r.levelno == level]


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pymetrics_server")


@pytest.mark.parametrize(
    ("resource", "path", "command"),
    [
        ("nodes", "/api/v1/nodes", BIND_READER),
        ("pods", "/api/v1/pods", BIND_READER),
        (
            "configmaps",
            "/api/v1/namespaces/kube-system/configmaps",
            BIND_AUTHENTICATION_READER,
        ),
    ],
)
async def test_a_refused_list_is_told_once_with_its_command_and_once_when_it_is_granted(
    server: FakeApiserver,
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
    resource: str,
    path: str,
    command: str,
) -> None:
    reflected: NodeInformer | PodInformer | ConfigMapWatch = ConfigMapWatch(connection, lambda _: None)
    if resource != "configmaps":
        reflected = node_informer(connection) if resource == "nodes" else pod_informer(connection)
    server.refuse(path, 403, forbidden("list", resource), times=4)
    async with running(reflected):
        await until(lambda: reflected.last_error)
        assert f"`{command}`" in reflected.last_hint  # what /readyz gives as its reason
        await until(lambda: server.watchers(path))
        await until(lambda: not reflected.last_error)
    (line,) = said(caplog, logging.ERROR)
    assert (line["verb"], line["resource"], line["user"]) == ("list", resource, US)
    assert f"`{command}`" in line["hint"]
    assert [x["message"] for x in said(caplog, logging.INFO)].count("Granted again") == 1
    assert not reflected.last_hint


async def test_a_refused_watch_is_told_as_a_watch(
    server: FakeApiserver, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = node_informer(connection)
    async with running(nodes):
        await until(lambda: server.watchers("/api/v1/nodes"))
        server.refuse("/api/v1/nodes", 403, forbidden("watch", "nodes"), times=2)
        server.end_watches("/api/v1/nodes")
        await until(lambda: nodes.last_error)
        await until(lambda: server.watchers("/api/v1/nodes"))
    verbs = [line["verb"] for line in said(caplog, logging.ERROR) if "verb" in line]
    assert verbs == ["watch"]


@pytest.mark.parametrize("reviewed", ["tokenreviews", "subjectaccessreviews"])
async def test_refused_reviews_are_told_once_with_the_command_and_once_when_they_are_granted(
    server: FakeApiserver, connection: Connection, caplog: pytest.LogCaptureFixture, reviewed: str
) -> None:
    reviews = Reviews(connection)

    async def ask() -> None:
        if reviewed == "tokenreviews":
            await reviews.token_review("t")
        else:
            await reviews.subject_access_review(UserInfo("u"), Attributes("get", "/metrics"))

    group = {"tokenreviews": "authentication", "subjectaccessreviews": "authorization"}[reviewed]
    path = f"/apis/{group}.k8s.io/v1/{reviewed}"
    server.refuse(path, 403, forbidden("create", reviewed), times=3)
    for _ in range(3):
        with pytest.raises(ApiserverError):
            await ask()
    await ask()
    await ask()
    (line,) = said(caplog, logging.ERROR)
    assert (line["verb"], line["resource"], line["user"]) == ("create", f"{reviewed}.{group}.k8s.io", US)
    assert f"`{BIND_DELEGATOR}`" in line["hint"]
    assert [x["message"] for x in said(caplog, logging.INFO)] == ["Granted again"]


async def test_credentials_that_are_not_accepted_are_one_line_that_says_what_they_may_be(
    server: FakeApiserver, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    server.tokens = set()
    nodes = node_informer(connection)
    async with running(nodes):
        await until(lambda: len(server.lists("/api/v1/nodes")) > 3)
        server.tokens = None
        await until(lambda: nodes.has_synced)
    (line,) = said(caplog, logging.ERROR)
    assert "out of date, revoked, or another cluster's" in line["hint"]
    assert "kubectl create" not in line["hint"]


def test_nobody_is_never_granted_anything() -> None:
    told = hint(refusal("system:anonymous"), "list", Need("nodes", READER))
    assert told.startswith("no credentials were shown")
    assert "kubectl" not in told


def test_a_role_that_is_bound_and_missing_is_created_and_not_bound_again() -> None:
    more = '; RBAC: clusterrole.rbac.authorization.k8s.io "system:metrics-server" not found'
    told = hint(refusal(more=more), "list", Need("nodes", READER))
    assert (
        "`kubectl create clusterrole system:metrics-server --verb=list,watch --resource=nodes,pods`" in told
    )
    assert "create clusterrolebinding" not in told


def test_a_rule_that_is_missing_is_granted_by_a_role_of_its_own_and_its_binding() -> None:
    told = hint(refusal(), "list", Need("nodes", READER))
    assert f"`{ROLE_READER}` and `{BIND_READER}`" in told
    assert f"`kubectl auth can-i list nodes --as={US}`" in told


@pytest.mark.parametrize("text", [*(f.cure for f in FailureClass), kubelet_cure(refused_by_kubelet(US)), *(
    hint(refusal(), "list", Need("nodes", role)) for role in (READER, DELEGATOR, AUTHENTICATION_READER)
)])  # fmt: skip
def test_nothing_told_grants_more_than_is_needed(text: str) -> None:
    for word in ("cluster-admin", "nodes/proxy", "system:masters", "*"):
        assert word not in text


@pytest.fixture(name="kubectl", scope="module")
def _kubectl(tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    if INSTALLED is None:
        pytest.skip("kubectl is not installed: apt-get install kubernetes-client")
    home = tmp_path_factory.mktemp("kubectl")
    (home / "kubeconfig").write_text("{}")
    return Kubectl(INSTALLED, home / "kubeconfig", home)


def dry_run(kubectl: Kubectl, command: str, home: Path) -> dict[str, Any]:
    """What the command would create."""
    program, *arguments = shlex.split(command)
    assert program == "kubectl"
    done = kubectl(*arguments, "--dry-run=client", "-o", "yaml")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


@pytest.mark.parametrize("role", [READER, DELEGATOR, AUTHENTICATION_READER])
@pytest.mark.parametrize(
    ("who", "subject"),
    [
        (US, {"kind": "ServiceAccount", "name": "metrics-server", "namespace": "kube-system"}),
        ("system:serviceaccount:monitoring:ms", {"kind": "ServiceAccount", "name": "ms", "namespace": "monitoring"}),
        ("jane o'neil/ops%", {"kind": "User", "name": "jane o'neil/ops%", "apiGroup": "rbac.authorization.k8s.io"}),
    ],
)  # fmt: skip
def test_the_binding_that_is_suggested_binds_that_role_to_us_alone(
    kubectl: Kubectl, tmp_path: Path, role: Role, who: str, subject: dict[str, str]
) -> None:
    made = dry_run(kubectl, commands(role, who)[-1], tmp_path)
    kind = "Role" if role.namespace else "ClusterRole"
    bound = made["metadata"]["name"] if role.verbs else role.name
    assert made["kind"] == f"{kind}Binding"
    assert made["metadata"].get("namespace", "") == role.namespace
    assert made["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": bound}
    assert made["subjects"] == [subject]
    assert not {"/", "%"} & set(made["metadata"]["name"])


def test_what_is_suggested_creates_nothing_that_the_manifests_have_created() -> None:
    taken = {
        document["metadata"]["name"]
        for document in yaml.safe_load_all((MANIFESTS / "components.yaml").read_text())
    }
    every = [c for role in (READER, DELEGATOR, AUTHENTICATION_READER) for c in commands(role, US)]
    every += quoted(kubelet_cure(refused_by_kubelet(US)))
    created = [re.findall(r"create (\w+) (\S+)", command)[0] for command in every]
    assert len(set(created)) == len(every)
    assert not taken & {name for _, name in created}
    assert "system:metrics-server" in taken


async def test_the_roles_that_are_suggested_grant_exactly_what_is_missing(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    """kubectl asks the cluster which resources there are."""
    kubelets, bind_kubelets = quoted(kubelet_cure(refused_by_kubelet(US)))
    async with StandinCluster(tmp_path, 1, host=False) as cluster:
        asking = Kubectl(str(INSTALLED), cluster.admin_kubeconfig, tmp_path)
        reader = await asyncio.to_thread(dry_run, asking, commands(READER, US)[0], tmp_path)
        of_kubelets = await asyncio.to_thread(dry_run, asking, kubelets, tmp_path)
    bound = dry_run(kubectl, bind_kubelets, tmp_path)
    assert reader["rules"] == [
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list", "watch"]}
    ]
    assert of_kubelets["rules"] == [
        {"apiGroups": [""], "resources": ["nodes/stats", "nodes/metrics"], "verbs": ["get"]}
    ]
    assert bound["roleRef"]["name"] == of_kubelets["metadata"]["name"]
    assert bound["subjects"] == [
        {"kind": "ServiceAccount", "name": "metrics-server", "namespace": "kube-system"}
    ]

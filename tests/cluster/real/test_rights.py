"""Every right that the manifests give the server is for something that somebody relies on.

One server for each right, with an account of its own that has all the others; all start at once. Those that have
every right say when what is not there by now will not come.
"""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
import yaml

from tests.cluster.real.agent import COMMAND
from tests.cluster.real.client import Object
from tests.cluster.real.conftest import NODES, PODS, Cluster
from tests.cluster.real.container import Container, token_of
from tests.cluster.real.deployed import BASE, GROUP

Right = tuple[str, str]  #: resource, verb

_NOTHING: Right = ("", "")
_LIST = f"/apis/{GROUP}/v1beta1"
_READER = "rights-reader"
_CHANGED = "rights-changed"
_FIRST_ADDRESS = 200


class Need(NamedTuple):
    lost: frozenset[str] = frozenset()
    flags: tuple[str, ...] = ()  #: that keep the server from going round it


_CHANGES = frozenset({"node changes", "pod changes"})
_ALL_METRICS = frozenset({"ready", "nodes", "pods"}) | _CHANGES

#: Right -> what nobody sees without it.
NEEDED_FOR: Mapping[Right, Need] = {
    _NOTHING: Need(),
    ("nodes/stats", "get"): Need(_ALL_METRICS, ("--kubelet-endpoint=summary",)),
    ("nodes/metrics", "get"): Need(_ALL_METRICS, ("--kubelet-endpoint=resource",)),
    ("nodes", "list"): Need(_ALL_METRICS),
    ("nodes", "watch"): Need(frozenset({"node changes"})),
    ("pods", "list"): Need(frozenset({"ready", "pods", "pod changes"})),
    ("pods", "watch"): Need(frozenset({"pod changes"})),
    ("tokenreviews", "create"): Need(frozenset({"bearer"})),
    ("subjectaccessreviews", "create"): Need(frozenset({"bearer", "kubectl"})),
    ("configmaps", "*"): Need(frozenset({"ready", "kubectl"})),
}


class Case(NamedTuple):
    without: Right
    flags: tuple[str, ...]


def documents(name: str) -> list[Object]:
    return [d for d in yaml.safe_load_all((BASE / name).read_text()) if d]


def rights(rules: list[Object]) -> list[Right]:
    return [(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]]


def without(rules: list[Object], right: Right) -> list[Object]:
    """One rule for each right that stays."""
    return [
        {**copy.deepcopy(rule), "resources": [one[0]], "verbs": [one[1]]}
        for rule in rules
        for one in rights([rule])
        if one != right
    ]


def _role() -> Object:
    (found,) = (d for d in documents("resource-reader.yaml") if d["kind"] == "ClusterRole")
    return found


def account_objects(name: str, right: Right, delegator: list[Object]) -> list[Object]:
    """An account with what manifests/base gives the server's, but for that right."""
    reader = _role()
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}
    made: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": "kube-system"},
        }
    ]
    for part, rules in (("reader", reader["rules"]), ("delegator", delegator)):
        role = {"name": f"{name}-{part}"}
        made += [
            {**reader, "metadata": role, "rules": without(rules, right)},
            _binding("ClusterRoleBinding", role, {"kind": "ClusterRole", **role}, subject),
        ]
    if right[0] != "configmaps":
        (auth_reader,) = documents("auth-reader.yaml")
        metadata = {"name": f"{name}-auth-reader", "namespace": "kube-system"}
        made.append({**auth_reader, "metadata": metadata, "subjects": [subject]})
    return made


def _binding(kind: str, metadata: Object, role: Object, subject: Object) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": group, **role},
        "subjects": [subject],
    }


class Server:
    """One of them, as its users see it."""

    def __init__(self, cluster: Cluster, case: Case, container: Container, token: str) -> None:
        self.case = case
        self.process = container.process
        pki = cluster.control_plane.pki
        proxied = {"X-Remote-User": _READER, "X-Remote-Group": "system:authenticated"}
        self._anybody = container.asked_as("")
        self._ways = {
            "bearer": container.asked_as(token),
            "kubectl": container.asked_with(proxied, pki.front_proxy_client),
        }
        self._pod = cluster.nodes[0].view().pods[0]
        self._node_name = cluster.nodes[0].name
        self._admin = container.asked_with({}, pki.admin)

    def missing(self) -> set[str]:
        """Sights that nobody has, whatever way he comes."""
        missing = {name for name, api in self._ways.items() if not api.answers(f"{_LIST}/nodes")}
        nodes, pods = self._listed("nodes"), self._listed("pods")
        seen = {
            "ready": self._anybody.answers("/readyz"),
            "nodes": len(nodes) >= NODES,
            "pods": len(pods) >= NODES * PODS,
            "node changes": nodes.get(("", self._node_name), {}).get(_CHANGED) == "yes",
            "pod changes": pods.get((self._pod.namespace, self._pod.name), {}).get(_CHANGED) == "yes",
        }
        return missing | {name for name, there in seen.items() if not there}

    def lacks_only(self, more: frozenset[str] = frozenset()) -> bool:
        return self.missing() <= NEEDED_FOR[self.case.without].lost | more

    def _listed(self, plural: str) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """(namespace, name) -> labels."""
        for api in (self._admin, *self._ways.values()):
            if api.answers(path := f"{_LIST}/{plural}"):
                found = [item["metadata"] for item in api.items(path)]
                return {(m.get("namespace", ""), m["name"]): m.get("labels", {}) for m in found}
        return {}


@pytest.fixture(name="servers", scope="module")
def _servers(own: Cluster) -> Iterator[list[Server]]:
    """From when each shows all that it is going to."""
    plane, kubectl = own.control_plane, own.kubectl
    delegator = plane.admin.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:auth-delegator")
    every = [*rights(_role()["rules"]), *rights(delegator["rules"]), ("configmaps", "*")]
    assert set(every) | {_NOTHING} == NEEDED_FOR.keys()
    cases = [Case(right, NEEDED_FOR[right].flags) for right in every]
    cases += {Case(_NOTHING, case.flags) for case in cases}
    objects = [
        made
        for index, case in enumerate(cases)
        for made in account_objects(_name(index), case.without, delegator["rules"])
    ]
    kubectl("create", "serviceaccount", _READER, "-n", "kube-system")
    subjects = (f"--serviceaccount=kube-system:{_READER}", f"--user={_READER}")
    role = "--clusterrole=system:aggregated-metrics-reader"
    kubectl("create", "clusterrolebinding", _READER, role, *subjects)
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    token = token_of(plane, _READER)
    with ThreadPoolExecutor(len(cases)) as stoppers, contextlib.ExitStack() as stopping:
        servers = []
        for index, case in enumerate(cases):
            container = _container(own, index, case.flags)
            stopping.callback(stoppers.submit, container.process.stop)
            container.process.start()
            servers.append(Server(own, case, container, token))
        changes = frozenset({"node changes", "pod changes"})
        _until_all(servers, changes)
        pod = own.nodes[0].view().pods[0]
        kubectl("label", "node", own.nodes[0].name, f"{_CHANGED}=yes")
        kubectl("label", "pod", pod.name, "-n", pod.namespace, f"{_CHANGED}=yes")
        _until_all(servers)
        yield servers
        kubectl("label", "node", own.nodes[0].name, f"{_CHANGED}-")
        kubectl("label", "pod", pod.name, "-n", pod.namespace, f"{_CHANGED}-")
        kubectl("delete", "-f", "-", "--wait=false", stdin=yaml.safe_dump_all(objects))


def _until_all(servers: list[Server], more: frozenset[str] = frozenset()) -> None:
    for server in servers:

        def settled(one: Server = server) -> bool:
            return one.lacks_only(more)

        server.process.until(f"shows what it can, {server.case}", settled, 90)


def _container(own: Cluster, index: int, flags: Sequence[str]) -> Container:
    (deployment,) = (d for d in documents("metrics-server-deployment.yaml") if d["kind"] == "Deployment")
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    spec["containers"][0]["args"] += flags
    plane, name = own.control_plane, _name(index)
    return Container(plane, COMMAND, name, spec, plane.pod_ip(_FIRST_ADDRESS + index), token_of(plane, name))


def _name(index: int) -> str:
    return f"rights-{index}"


def test_with_every_right_there_is_everything(servers: list[Server]) -> None:
    whole = [server for server in servers if server.case.without == _NOTHING]
    assert len(whole) == 3
    assert [server.missing() for server in whole] == [set(), set(), set()]


@pytest.mark.parametrize("right", [r for r in NEEDED_FOR if r != _NOTHING], ids=" ".join)
def test_without_one_right_something_is_lost(servers: list[Server], right: Right) -> None:
    (server,) = (server for server in servers if server.case.without == right)
    assert server.missing() == NEEDED_FOR[right].lost
    assert server.process.running

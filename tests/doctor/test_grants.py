"""What the server may do, and the command for what it may not."""

import pytest

from pymetrics_server.doctor.checks.grants import grants as check
from pymetrics_server.doctor.evidence import Evidence, Grant, Subject
from pymetrics_server.doctor.finding import Finding, Stage, State
from pymetrics_server.doctor.permissions import NEEDED
from tests.doctor.seen import ACCOUNT, grants, seen


def found_in(evidence: Evidence) -> list[Finding]:
    found = list(check(evidence))
    assert found
    assert {finding.stage for finding in found} == {Stage.GRANTS}
    return found


def without(*resources: str, args: tuple[str, ...] = ()) -> list[Finding]:
    return found_in(seen(grants=grants(without=resources), subject=Subject(server_args=args)))


def test_the_evidence_of_these_tests_asks_what_the_doctor_asks() -> None:
    def key(grant: Grant) -> tuple[str, ...]:
        return grant.verb, grant.resource, grant.group, grant.namespace, grant.name

    assert {key(grant) for grant in grants()} == {key(grant) for grant in NEEDED}


def test_who_may_do_all_is_healthy_and_each_thing_is_listed() -> None:
    (found,) = found_in(seen())
    assert found.state is State.HEALTHY
    assert ACCOUNT in found.seen
    assert "get nodes/stats" in found.details
    assert "create tokenreviews.authentication.k8s.io" in found.details


def test_one_of_the_kubelets_endpoints_is_enough_to_go_on_with() -> None:
    (found,) = without("nodes/stats")
    assert (found.id, found.state) == ("grant-endpoint-missing", State.WARNING)
    assert "--verb=get --resource=nodes/stats,nodes/metrics" in found.cure


def test_none_of_the_kubelets_endpoints_is_sick() -> None:
    (found,) = without("nodes/stats", "nodes/metrics")
    assert (found.id, found.state) == ("grant-missing", State.SICK)
    assert found.seen.endswith("may not get nodes/stats, get nodes/metrics")
    assert found.cure == (
        "kubectl create clusterrole system:metrics-server:granted-kubelets:kube-system:metrics-server --verb=get "
        "--resource=nodes/stats,nodes/metrics && kubectl create clusterrolebinding "
        "system:metrics-server:granted-kubelets:kube-system:metrics-server "
        "--clusterrole=system:metrics-server:granted-kubelets:kube-system:metrics-server "
        "--serviceaccount=kube-system:metrics-server"
    )


@pytest.mark.parametrize(
    ("endpoint", "refused", "state"),
    [
        ("summary", "nodes/stats", State.SICK),
        ("summary", "nodes/metrics", State.HEALTHY),
        ("resource", "nodes/metrics", State.SICK),
        ("resource", "nodes/stats", State.HEALTHY),
        ("auto", "nodes/stats", State.WARNING),
    ],
)
def test_only_the_endpoint_that_is_asked_need_be_granted(endpoint: str, refused: str, state: State) -> None:
    (found,) = without(refused, args=(f"--kubelet-endpoint={endpoint}",))
    assert found.state is state


@pytest.mark.parametrize(
    ("resource", "granting"),
    [
        ("nodes", "--verb=list,watch --resource=nodes,pods"),
        ("pods", "--verb=list,watch --resource=nodes,pods"),
        ("tokenreviews", "--clusterrole=system:auth-delegator"),
        ("subjectaccessreviews", "--clusterrole=system:auth-delegator"),
        ("configmaps", "kubectl -n kube-system create rolebinding"),
    ],
)
def test_each_thing_that_is_refused_has_the_command_that_grants_it(resource: str, granting: str) -> None:
    (found,) = without(resource)
    assert found.state is State.SICK
    assert resource in found.seen
    assert granting in found.cure
    assert "--serviceaccount=kube-system:metrics-server" in found.cure


def test_one_command_grants_all_that_lacks_and_each_role_once() -> None:
    (found,) = without("nodes", "pods", "tokenreviews", "subjectaccessreviews")
    assert found.cure.count("kubectl create clusterrole ") == 1
    assert found.cure.count("kubectl create clusterrolebinding ") == 2


def test_a_reason_that_several_have_is_told_once() -> None:
    gone = 'RBAC: clusterrole "system:metrics-server" not found'
    refused = [Grant("list", what, allowed=False, reason=gone) for what in ("nodes", "pods")]
    (found,) = found_in(seen(grants=refused))
    assert found.details == [f"list nodes, list pods: {gone}"]


def test_what_is_refused_tells_the_reason_that_was_given() -> None:
    refused = Grant("list", "nodes", allowed=False, reason="RBAC: clusterrole not found")
    (found,) = found_in(seen(grants=[refused]))
    assert found.details == ["list nodes: RBAC: clusterrole not found"]


def test_a_permission_that_nobody_thought_of_can_be_granted_as_well() -> None:
    (found,) = found_in(seen(grants=[Grant("get", "leases", "coordination.k8s.io", allowed=False)]))
    assert "--verb=get --resource=leases.coordination.k8s.io" in found.cure


def test_who_may_not_ask_for_others_is_told_what_it_takes() -> None:
    reason = 'subjectaccessreviews.authorization.k8s.io is forbidden: User "jane" cannot create it'
    (found,) = found_in(seen(grants=grants(unasked=reason)))
    assert found.state is State.UNSEEN
    assert reason in found.seen
    assert "kubectl auth can-i create subjectaccessreviews" in found.cure


def test_a_server_that_is_nowhere_may_nothing_that_can_be_asked() -> None:
    (found,) = found_in(seen(grants=grants(unasked="no pod tells the server's ServiceAccount")))
    assert (found.state, found.cure) == (State.UNSEEN, "")


def test_permissions_that_were_not_asked_are_unseen() -> None:
    (found,) = found_in(seen(grants=()))
    assert found.state is State.UNSEEN


def test_what_is_refused_is_told_beside_what_could_not_be_asked() -> None:
    mixed = [Grant("list", "nodes", allowed=False), Grant("list", "pods", reason="timeout")]
    assert [each.state for each in found_in(seen(grants=mixed))] == [State.SICK, State.UNSEEN]


def test_a_user_of_another_kind_is_bound_by_name() -> None:
    evidence = seen(grants=grants(without=["pods"]), subject=Subject(account="jane@example.org"))
    (found,) = found_in(evidence)
    assert "--user=jane@example.org" in found.cure

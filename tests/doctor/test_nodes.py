"""What is said of kubelets that cannot be scraped, and of those that tell what cannot be right."""

from collections.abc import Sequence
from typing import Any

import pytest

from pymetrics_server.doctor.checks.nodes import nodes
from pymetrics_server.doctor.evidence import Asked, Evidence, NodeProbe, Subject
from pymetrics_server.doctor.finding import Finding, State
from pymetrics_server.doctor.verdict import explained, verdict_of
from tests.doctor.seen import (
    NODE_NAMES,
    NOW_NS,
    Object,
    certificate,
    csr,
    denied,
    deployment,
    items,
    node,
    node_metrics,
    pod,
    probe,
    put,
    seen,
)

STALE = "2026-06-01T11:50:00Z"
NOT_SERVED: dict[Asked, Any] = {Asked.SERVED_NODES: items()}
NO_SUCH_HOST = (
    'E0601 11:59:30.000000       1 scraper.go:149] "Failed to scrape node" err="Get '
    '\\"https://node1:10250/metrics/resource\\": dial tcp: lookup node1 on 10.96.0.10:53: no such host" node="node-1"\n'
)


def in_pod(probes: Sequence[NodeProbe], changes: dict[Asked, Any] | None = None, **fields: Any) -> Evidence:
    return seen(changes, in_pod=True, kubeconfig="", probes=tuple(probes), **fields)


def all_failing(failure: str, **fields: Any) -> list[NodeProbe]:
    return [probe(name, failure=failure, **fields) for name in NODE_NAMES]


def one_failing(failure: str, **fields: Any) -> list[NodeProbe]:
    return [probe("node-1", failure=failure, **fields), probe("node-2"), probe("node-3")]


def only(evidence: Evidence) -> Finding:
    (found,) = nodes(evidence)
    return found


def of(evidence: Evidence, finding_id: str) -> Finding:
    (found,) = (each for each in nodes(evidence) if each.id == finding_id)
    return found


def without_ready(made: Object) -> Object:
    return put(made, "status.conditions.0.status", "Unknown")


def test_nodes_that_answer_are_told_with_their_addresses_and_ages() -> None:
    found = only(seen())
    assert found.state is State.HEALTHY
    assert found.seen == "3 of 3 nodes answer, the oldest sample is 4 s old"
    assert found.details[0] == "node-1: summary at InternalIP 10.0.0.1:10250 in 15 ms"


def test_of_many_nodes_five_are_shown_and_the_rest_counted() -> None:
    names = [f"node-{number}" for number in range(1, 41)]
    changes = {Asked.NODES: items(*(node(name) for name in names))}
    probes = [probe(name, failure="refused" if number < 7 else "") for number, name in enumerate(names)]
    found = only(in_pod(probes, changes))
    assert found.id == "node-refused"
    assert found.seen.startswith("7 of 40 nodes cannot be scraped: node-1: ")
    assert len(found.details) == 6
    assert found.details[-1] == "and 2 more"


def test_each_way_to_fail_is_one_finding() -> None:
    probes = [
        probe("node-1", failure="dns"),
        probe("node-2", failure="refused"),
        probe("node-3", failure="dns"),
    ]
    assert [found.id for found in nodes(in_pod(probes))] == ["node-dns", "node-refused"]


def test_a_certificate_without_the_address_is_told_exactly_and_cured_by_the_nodes_name() -> None:
    probes = [
        probe(
            name,
            failure="tls_name_mismatch",
            detail="IP address mismatch",
            certificate=certificate(name, names=(name,)),
        )
        for name in NODE_NAMES
    ]
    found = only(in_pod(probes))
    assert found.id == "node-tls-name-mismatch"
    assert (
        found.seen
        == "all 3 nodes cannot be scraped: node-1: dialled 10.0.0.1, the certificate names node-1 only"
    )
    assert "certificate of CN=kubernetes for node-1, 2026-05-02 to 2027-05-02" in found.details[0]
    assert "IP address mismatch" in found.details[0]
    assert found.cure == (
        "kubectl -n kube-system patch deployment metrics-server --type=json -p "
        '\'[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--kubelet-tls-verify=node-name"}]\''
    )


def test_metrics_server_is_not_given_a_flag_that_it_does_not_know() -> None:
    changed = put(
        deployment(),
        "spec.template.spec.containers.0.image",
        "metrics-server:v0.9.0",
    )
    probes = [
        probe(name, failure="tls_name_mismatch", certificate=certificate(name, names=(name,)))
        for name in NODE_NAMES
    ]
    found = only(in_pod(probes, {Asked.DEPLOYMENTS: items(changed)}))
    assert "patch" not in found.cure
    assert found.cure.startswith("run pymetrics-server with --kubelet-tls-verify=node-name")


def test_a_certificate_of_another_name_is_not_cured_by_the_nodes_name() -> None:
    wrong = certificate("node-1", names=("localhost", "127.0.0.1"))
    found = only(in_pod(one_failing("tls_name_mismatch", certificate=wrong)))
    assert "the certificate names localhost, 127.0.0.1 only" in found.seen
    assert "node-name" not in found.cure


def test_a_certificate_that_the_kubelet_made_itself_is_recognised() -> None:
    own = certificate("node-1", issuer="CN=node-1-ca@1764000000")
    found = only(in_pod(one_failing("tls_unknown_issuer", certificate=own)))
    assert "signed its certificate itself" in found.seen
    assert "serverTLSBootstrap" in found.cure


def test_kubelets_of_one_foreign_ca_are_cured_by_that_ca() -> None:
    probes = [
        probe(name, failure="tls_unknown_issuer", certificate=certificate(name, issuer="CN=kubelet-ca"))
        for name in NODE_NAMES
    ]
    found = only(in_pod(probes))
    assert "CN=kubelet-ca is not among the CAs that are trusted" in found.seen
    assert found.cure == "give the certificate of the CA CN=kubelet-ca with --kubelet-certificate-authority"


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ({"not_after_s": NOW_NS // 10**9 - 3 * 86_400}, "the certificate ended on 2026-05-29, 3 days ago"),
        ({"not_before_s": NOW_NS // 10**9 + 86_400}, "the certificate begins only on 2026-06-02"),
    ],
)
def test_a_certificate_out_of_date_is_told_with_its_date(dates: dict[str, int], words: str) -> None:
    probes = one_failing("tls_expired", certificate=certificate("node-1", **dates))
    assert words in only(in_pod(probes)).seen


@pytest.mark.parametrize(
    "failure", ["tls_alert_internal", "tls_unknown_issuer", "tls_name_mismatch", "tls_expired"]
)
def test_a_request_that_nobody_approved_explains_the_certificate(failure: str) -> None:
    changes = {Asked.CSRS: items(csr("csr-7", "node-1"))}
    found = explained(nodes(in_pod(one_failing(failure), changes)))
    verdict = verdict_of(found)
    assert verdict.id == "node-csr-pending"
    assert verdict.cure == "kubectl certificate approve csr-7"
    assert [(each.state, each.because_of) for each in found[1:]] == [(State.FOLLOWS, "node-csr-pending")]


@pytest.mark.parametrize("how", ["Denied", "Failed"])
def test_a_request_that_was_denied_or_failed_explains_the_certificate(how: str) -> None:
    conditions = ["Approved", how] if how == "Failed" else [how]
    changes = {Asked.CSRS: items(csr("csr-7", "node-1", *conditions))}
    found = list(nodes(in_pod(one_failing("tls_alert_internal"), changes)))
    assert found[0].id == "node-csr-denied"
    assert found[0].details == (f"node-1: csr-7, {how.lower()}",)
    assert found[1].because_of == "node-csr-denied"


def test_only_the_newest_request_of_a_node_counts() -> None:
    newer = put(csr("csr-8", "node-1", "Approved"), "metadata.creationTimestamp", "2026-06-01T11:30:00Z")
    changes = {Asked.CSRS: items(newer, csr("csr-7", "node-1"))}
    assert only(in_pod(one_failing("tls_name_mismatch"), changes)).state is State.SICK


def test_a_request_explains_its_own_node_and_no_other() -> None:
    probes = [
        probe("node-1", failure="tls_name_mismatch"),
        probe("node-2", failure="tls_name_mismatch"),
        probe("node-3"),
    ]
    found = list(nodes(in_pod(probes, {Asked.CSRS: items(csr("csr-7", "node-1"))})))
    assert [(each.id, each.state) for each in found] == [
        ("node-csr-pending", State.SICK),
        ("node-tls-name-mismatch", State.FOLLOWS),
        ("node-tls-name-mismatch", State.SICK),
    ]
    assert "node-2" in found[2].seen


def test_a_request_that_waits_beside_a_node_that_answers_is_a_warning() -> None:
    found = only(seen({Asked.CSRS: items(csr("csr-7", "node-1"))}))
    assert (found.id, found.state) == ("node-csr-pending", State.WARNING)


def test_requests_for_other_certificates_are_none_of_ours() -> None:
    other = put(csr("csr-7", "node-1"), "spec.signerName", "kubernetes.io/kube-apiserver-client")
    assert only(seen({Asked.CSRS: items(other)})).state is State.HEALTHY


@pytest.mark.parametrize(
    ("status", "failure", "detail"),
    [
        (401, "unauthenticated", 'request failed, status: "401 Unauthorized"'),
        (
            403,
            "forbidden",
            'request failed, status: "403 Forbidden": Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=stats)',
        ),
    ],
)
def test_a_kubelet_that_takes_us_for_anonymous_is_told_to_ask_kube_apiserver(
    status: int, failure: str, detail: str
) -> None:
    found = only(in_pod(one_failing(failure, status=status, detail=detail)))
    assert (found.id, found.state) == ("node-anonymous", State.SICK)
    assert "authentication.webhook.enabled: true" in found.cure
    assert detail in found.seen


@pytest.mark.parametrize(("status", "failure"), [(401, "unauthenticated"), (403, "forbidden")])
def test_a_kubelet_that_asks_who_we_are_is_not_sick(status: int, failure: str) -> None:
    probes = all_failing(
        failure, status=status, credentials="none", detail="Forbidden (user=system:anonymous)"
    )
    found = only(seen(NOT_SERVED, probes=tuple(probes)))
    assert found.state is State.HEALTHY
    assert found.seen == "3 of 3 kubelets are reached, and tell nothing to whoever asks from here"


def test_that_the_person_may_not_read_kubelets_says_nothing_of_the_server() -> None:
    probes = all_failing(
        "forbidden", status=403, credentials="user", detail="Forbidden (user=jane, verb=get)"
    )
    assert only(seen(NOT_SERVED, probes=tuple(probes))).state is State.HEALTHY


def test_a_403_of_ours_is_cured_by_a_grant_to_our_account_alone() -> None:
    detail = "Forbidden (user=system:serviceaccount:kube-system:metrics-server, verb=get, resource=nodes, subresource=stats)"
    found = only(in_pod(all_failing("forbidden", status=403, detail=detail)))
    assert found.id == "node-forbidden"
    assert "--resource=nodes/stats,nodes/metrics" in found.cure
    assert "--serviceaccount=kube-system:metrics-server" in found.cure
    assert "cluster-admin" not in found.cure


def test_names_that_do_not_resolve_are_cured_by_ip_addresses_first() -> None:
    args = ["--cert-dir=/tmp", "--kubelet-preferred-address-types=Hostname"]
    changed = put(
        deployment(),
        "spec.template.spec.containers.0.args",
        args,
    )
    probes = all_failing("dns", detail="lookup node1: no such host")
    found = only(in_pod(probes, {Asked.DEPLOYMENTS: items(changed)}, subject=Subject(server_args=args)))
    assert found.seen == "all 3 nodes cannot be scraped: node-1: lookup node1: no such host"
    assert '"op":"replace"' in found.cure
    assert '"path":"/spec/template/spec/containers/0/args/1"' in found.cure
    assert '"--kubelet-preferred-address-types=InternalIP,Hostname"' in found.cure


def test_a_node_without_a_preferred_address_is_told_with_those_it_has() -> None:
    nameless = put(node("node-1"), "status.addresses", [{"type": "ExternalDNS", "address": "one.example"}])
    probes = one_failing(
        "no_address", address="", address_type="", certificate=None, detail="no address matched types"
    )
    found = only(in_pod(probes, {Asked.NODES: items(nameless, node("node-2"), node("node-3"))}))
    assert found.id == "node-no-address"
    assert "the Node lists ExternalDNS one.example" in found.details[0]
    assert "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname,ExternalDNS" in found.cure


@pytest.mark.parametrize("csrs", [items(), items(csr("csr-1", "node-1"))])
def test_where_there_is_no_server_the_first_thing_is_to_install_one(csrs: Object) -> None:
    changes = {Asked.PODS: items(), Asked.DEPLOYMENTS: items(), Asked.CSRS: csrs, **NOT_SERVED}
    found = list(nodes(seen(changes, probes=tuple(one_failing("tls_alert_internal")))))
    assert "node-tls-alert-internal" in {each.id for each in found}
    assert State.SICK not in {each.state for each in found}


def test_a_node_that_is_not_ready_and_not_reached_is_a_warning() -> None:
    changes = {Asked.NODES: items(without_ready(node("node-1")), node("node-2"), node("node-3"))}
    found = only(in_pod(one_failing("connect_timeout"), changes))
    assert (found.id, found.state) == ("node-connect-timeout", State.WARNING)
    assert "NotReady" in found.seen


def test_the_certificate_of_a_node_that_is_not_ready_is_sick_all_the_same() -> None:
    changes = {Asked.NODES: items(without_ready(node("node-1")), node("node-2"), node("node-3"))}
    assert only(in_pod(one_failing("tls_expired"), changes)).state is State.SICK


def test_all_nodes_but_the_servers_own_points_at_the_network_between_nodes() -> None:
    probes = [
        probe("node-1", failure="connect_timeout"),
        probe("node-2"),
        probe("node-3", failure="connect_timeout"),
    ]
    found = only(in_pod(probes))
    assert found.seen.startswith(
        "2 of 3 nodes (all but node-2, on which the server runs) cannot be scraped: "
    )
    assert "from node to node" in found.cause


def test_the_servers_own_node_alone_points_at_hairpin_traffic() -> None:
    probes = [probe("node-1"), probe("node-2", failure="connect_timeout"), probe("node-3")]
    found = only(in_pod(probes))
    assert found.seen.startswith("1 of 3 nodes (only node-2, on which the server runs) cannot be scraped: ")
    assert "hairpin" in found.cause


def test_what_is_met_from_outside_has_no_pattern_around_the_servers_node() -> None:
    probes = [probe("node-1"), probe("node-2", failure="connect_timeout"), probe("node-3")]
    assert only(seen(NOT_SERVED, probes=tuple(probes))).seen.startswith("1 of 3 nodes cannot be scraped: ")


@pytest.mark.parametrize(
    "label", ["eks.amazonaws.com/nodegroup", "kubernetes.azure.com/agentpool", "topology.kubernetes.io/zone"]
)
def test_nodes_of_one_pool_that_fail_are_told_by_it(label: str) -> None:
    pools = [
        put(node(name), "metadata.labels", {label: pool, "kubernetes.io/os": "linux"})
        for name, pool in zip(
            ("node-1", "node-2", "node-3", "node-4"), ("gpu", "gpu", "web", "web"), strict=True
        )
    ]
    probes = [
        *(probe(name, failure="refused") for name in ("node-1", "node-2")),
        probe("node-3"),
        probe("node-4"),
    ]
    found = only(in_pod(probes, {Asked.NODES: items(*pools), Asked.PODS: items()}))
    assert found.seen.startswith(f"2 of 4 nodes (all with {label}=gpu and no others) cannot be scraped: ")


def test_no_kubelet_reached_from_outside_is_unseen_and_says_where_to_run() -> None:
    changes = {Asked.SERVED_NODES: 503}
    evidence = seen(changes, probes=tuple(all_failing("connect_timeout")), nodes_reachable_from_here=False)
    found = only(evidence)
    assert found.state is State.UNSEEN
    assert found.cure == "kubectl -n kube-system exec deploy/metrics-server -- pymetrics-server doctor"


def test_nodes_that_are_served_just_now_need_not_be_reached_from_outside() -> None:
    evidence = seen(probes=tuple(all_failing("connect_timeout")), nodes_reachable_from_here=False)
    found = only(evidence)
    assert found.state is State.HEALTHY
    assert found.seen == "the server has scraped 3 of 3 nodes just now; from here none gave a sample"


def test_a_failure_met_from_outside_is_none_where_the_server_has_just_scraped() -> None:
    evidence = seen(probes=tuple(one_failing("tls_unknown_issuer")))
    assert only(evidence).state is State.HEALTHY


def test_what_is_not_known_here_is_a_warning_and_says_how_the_probes_differ() -> None:
    caveat = "the cluster's CA is not known here: kubelets were proven with this machine's CAs"
    evidence = seen(NOT_SERVED, probes=tuple(one_failing("tls_unknown_issuer")), probe_caveat=caveat)
    found = only(evidence)
    assert found.state is State.WARNING
    assert found.details[-1] == caveat


def test_the_servers_log_tells_of_nodes_that_cannot_be_reached_from_here() -> None:
    served = items(node_metrics("node-1", STALE), node_metrics("node-2"), node_metrics("node-3"))
    evidence = seen(
        {Asked.LOG: NO_SUCH_HOST, Asked.SERVED_NODES: served},
        probes=tuple(all_failing("connect_timeout")),
        nodes_reachable_from_here=False,
    )
    found = of(evidence, "node-dns")
    assert found.state is State.SICK
    assert "lookup node1 on 10.96.0.10:53: no such host" in found.seen
    assert found.details[0].endswith("(by the server)")


def test_a_log_of_before_is_no_news_of_a_node_that_is_served_just_now() -> None:
    assert only(seen({Asked.LOG: NO_SUCH_HOST})).state is State.HEALTHY


def test_from_inside_the_pod_the_probe_is_newer_than_the_log() -> None:
    evidence = in_pod([probe(name) for name in NODE_NAMES], {Asked.LOG: NO_SUCH_HOST, **NOT_SERVED})
    assert only(evidence).state is State.HEALTHY


def test_a_log_tells_nothing_of_a_node_that_is_gone() -> None:
    gone = NO_SUCH_HOST.replace('node="node-1"', 'node="node-9"')
    assert only(seen({Asked.LOG: gone})).state is State.HEALTHY


def test_what_readyz_says_counts_where_the_log_does_not_name_a_node() -> None:
    readyz = (
        "internal server error: no metrics to serve: tls_name_mismatch at 3 of 3 nodes, the kubelet's certificate "
        "does not name the address it was reached at; reissue it\n"
    )
    evidence = seen(
        {Asked.READYZ: readyz, **NOT_SERVED},
        probes=tuple(all_failing("dns")),
        nodes_reachable_from_here=False,
    )
    found = of(evidence, "node-tls-name-mismatch")
    assert found.seen.startswith("3 of 3 nodes, as the server itself says: ")


def test_a_kubelet_that_fails_even_for_kube_apiserver_is_sick() -> None:
    probes = [
        *(probe(name, failure="connect_timeout") for name in NODE_NAMES),
        probe(
            "node-1",
            address_type="proxy",
            failure="server_error",
            status=500,
            detail="failed to get rootFs info",
        ),
    ]
    evidence = seen(NOT_SERVED, probes=tuple(probes), nodes_reachable_from_here=False)
    found = of(evidence, "node-server-error")
    assert found.state is State.SICK
    assert "node-1 when kube-apiserver asks: failed to get rootFs info" in found.seen


def test_kube_apiservers_own_way_to_a_kubelet_is_a_warning() -> None:
    probes = [
        *(probe(name, failure="connect_timeout") for name in NODE_NAMES),
        probe("node-1", address_type="proxy", failure="connect_timeout", detail="dial tcp: i/o timeout"),
    ]
    evidence = seen(NOT_SERVED, probes=tuple(probes), nodes_reachable_from_here=False)
    found = of(evidence, "node-connect-timeout")
    assert (found.state, found.cure) == (State.WARNING, "kubectl describe node node-1")
    assert "kube-apiserver's way" in found.cause


def test_a_sample_through_kube_apiserver_is_looked_at_as_well() -> None:
    probes = [
        *(probe(name, failure="connect_timeout") for name in NODE_NAMES),
        *(probe(name, address_type="proxy", memory_bytes=0) for name in NODE_NAMES),
    ]
    evidence = seen(NOT_SERVED, probes=tuple(probes), nodes_reachable_from_here=False)
    assert only(evidence).id == "node-zero"


@pytest.mark.parametrize(
    "fields",
    [
        {"cpu_nanocores": 0, "cpu_ns": 0},
        {"cpu_nanocores": None, "cpu_ns": None},
        {"memory_bytes": 0},
        {"memory_bytes": None},
    ],
)
def test_a_node_of_no_cpu_or_no_memory_measures_nothing(fields: dict[str, Any]) -> None:
    found = only(in_pod([probe("node-1", **fields), probe("node-2"), probe("node-3")]))
    assert (found.id, found.state) == ("node-zero", State.SICK)
    assert found.details[0].startswith("node-1: CPU ")


def test_a_rate_of_zero_beside_a_counter_that_moves_is_not_zero() -> None:
    assert only(in_pod([probe(name, cpu_nanocores=0) for name in NODE_NAMES])).state is State.HEALTHY


def test_a_node_without_containers_is_a_warning() -> None:
    found = only(in_pod([probe("node-1", containers=0), probe("node-2"), probe("node-3")]))
    assert (found.id, found.state) == ("node-zero", State.WARNING)


def test_a_sample_of_long_ago_is_stale() -> None:
    found = only(in_pod([probe("node-1", sample_age_ms=95_000), probe("node-2"), probe("node-3")]))
    assert (found.id, found.state) == ("node-stale", State.SICK)
    assert found.details == ("node-1: 95.0 s old (kubelet v1.36.2, containerd://2.1.0)",)


def test_a_sample_of_the_future_is_a_matter_of_clocks() -> None:
    found = only(in_pod([probe("node-1", sample_age_ms=-7_200), probe("node-2"), probe("node-3")]))
    assert (found.id, found.state) == ("node-clock", State.WARNING)
    assert found.details == (
        "node-1: 7.2 s ahead of this machine's clock (kubelet v1.36.2, containerd://2.1.0)",
    )


def test_samples_that_are_all_equally_old_are_a_matter_of_this_machines_clock() -> None:
    found = only(in_pod([probe(name, sample_age_ms=300_000) for name in NODE_NAMES]))
    assert found.id == "node-clock"
    assert "this machine's clock is ahead" in found.seen


def test_nodes_that_were_not_looked_at_in_time_are_counted() -> None:
    found = only(in_pod([probe("node-1")], probed_all=False))
    assert found.state is State.WARNING
    assert found.seen == "time ran out when 1 of 3 nodes had been looked at"


def test_nodes_that_may_not_be_listed_are_unseen_and_the_log_still_tells() -> None:
    changes = {Asked.NODES: denied("nodes", verb="list"), Asked.LOG: NO_SUCH_HOST, **NOT_SERVED}
    found = list(nodes(seen(changes, probes=())))
    assert [(each.id, each.state) for each in found] == [("nodes", State.UNSEEN), ("node-dns", State.SICK)]


def test_a_cluster_without_nodes_is_unseen() -> None:
    found = only(seen({Asked.NODES: items(), **NOT_SERVED}, probes=()))
    assert (found.id, found.state) == ("nodes", State.UNSEEN)


def test_nodes_that_the_selector_leaves_out_are_not_missed() -> None:
    subject = seen().subject
    selecting = type(subject)(
        server_args=(*subject.server_args, "--node-selector=kubernetes.io/hostname!=node-1")
    )
    found = only(in_pod(one_failing("refused"), subject=selecting))
    assert found.seen.startswith("2 of 2 nodes answer")


def test_nothing_asked_and_nothing_probed_is_unseen_and_not_healthy() -> None:
    found = list(nodes(Evidence(NOW_NS, "", "", in_pod=False, subject=seen().subject)))
    assert [each.state for each in found] == [State.UNSEEN]


def test_what_is_no_pod_or_node_does_not_stop_it() -> None:
    odd: Object = {"metadata": {"name": 7}}
    found = only(
        seen({Asked.PODS: items(odd, pod()), Asked.NODES: items(odd, *(node(name) for name in NODE_NAMES))})
    )
    assert found.state is State.HEALTHY


def test_a_selector_that_matches_no_node_is_a_warning() -> None:
    found = only(seen(subject=Subject(server_args=("--node-selector=pool=metrics",))))
    assert found.state is State.WARNING
    assert found.seen == "--node-selector matches none of the 3 nodes, so that the server scrapes none"


def test_a_node_without_pods_among_others_is_not_odd() -> None:
    probes = [probe("node-1", pods=0, containers=0), probe("node-2"), probe("node-3")]
    assert only(in_pod(probes)).state is State.HEALTHY


def test_most_nodes_of_one_pool_are_told_by_it_too() -> None:
    names = [f"node-{number}" for number in range(1, 6)]
    pools = [
        put(node(name), "metadata.labels", {"kubernetes.io/os": "windows" if name < "node-4" else "linux"})
        for name in names
    ]
    probes = [probe(name, failure="slow_response" if name < "node-3" else "") for name in names]
    found = only(in_pod(probes, {Asked.NODES: items(*pools), Asked.PODS: items()}))
    assert found.seen.startswith(
        "2 of 5 nodes (only such with kubernetes.io/os=windows, of which there are 3) cannot be "
    )


def test_an_ipv6_address_stands_in_brackets() -> None:
    found = only(in_pod([probe(name, address="fd00::1") for name in NODE_NAMES]))
    assert "summary at InternalIP [fd00::1]:10250" in found.details[0]


def test_the_only_node_of_a_cluster_has_no_pattern() -> None:
    found = only(
        in_pod([probe("node-1", failure="refused", detail="refused")], {Asked.NODES: items(node("node-1"))})
    )
    assert found.seen == "the one node that there is cannot be scraped: node-1: refused"

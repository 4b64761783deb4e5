"""kube-apiserver and its front proxy: what is seen of them, and what that means."""

import json

import pytest

from pymetrics_server.doctor.checks import Check
from pymetrics_server.doctor.checks.aggregation import apiserver, front_proxy
from pymetrics_server.doctor.evidence import Answer, Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, State
from tests.doctor.seen import (
    NOW_NS,
    answered,
    apiserver_pod,
    client_ca,
    denied,
    front_proxy_ca,
    items,
    put,
    seen,
    status,
    trust,
    unanswered,
)

DAY_NS = 86_400 * 1_000_000_000


def the(check: Check, evidence: Evidence) -> Finding:
    (finding,) = check(evidence)
    return finding


def test_a_kube_apiserver_that_answers_is_named_with_its_version() -> None:
    found = the(apiserver, seen())
    assert found.state is State.HEALTHY
    assert "v1.36.2" in found.seen
    assert "https://10.0.0.100:6443" in found.seen


@pytest.mark.parametrize(
    ("failure", "ailment"),
    [
        ("unreachable", "apiserver-unreachable"),
        ("refused", "apiserver-unreachable"),
        ("timeout", "apiserver-unreachable"),
        ("untrusted", "apiserver-untrusted"),
        ("credentials", "apiserver-credentials"),
    ],
)
def test_a_kube_apiserver_that_cannot_be_asked_is_the_first_thing_to_mend(failure: str, ailment: str) -> None:
    found = the(apiserver, seen({Asked.VERSION: unanswered(failure, "dial: the words")}))
    assert (found.id, found.state, found.stage) == (ailment, State.SICK, Stage.APISERVER)
    assert "dial: the words" in found.seen


def test_an_unreachable_one_is_asked_for_once_more() -> None:
    found = the(apiserver, seen({Asked.VERSION: unanswered("refused")}, kubeconfig=""))
    assert found.cure == "kubectl cluster-info"


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        ("https://10.0.0.1:6443", "10.0.0.1:6443"),
        ("https://api.x", "api.x:443"),
        ("https://[fd00::1]:6443", "'[fd00::1]:6443'"),
    ],
)
def test_an_untrusted_certificate_is_to_be_looked_at_where_it_is_shown(server: str, shown: str) -> None:
    found = the(apiserver, seen({Asked.VERSION: unanswered("untrusted")}, server=server))
    assert found.cure == f"pymetrics-server certs inspect {shown}"


def test_401_is_told_from_an_address_that_nobody_listens_at() -> None:
    found = the(apiserver, seen({Asked.VERSION: 401}))
    assert found.id == "apiserver-credentials"


def test_a_refusal_of_the_version_is_an_answer_too() -> None:
    assert the(apiserver, seen({Asked.VERSION: 403})).state is State.HEALTHY


def test_a_load_balancer_without_a_kube_apiserver_behind_it_is_no_kube_apiserver() -> None:
    found = the(apiserver, seen({Asked.VERSION: Answer("/version", 503, "<html>\nno backend</html>")}))
    assert found.id == "apiserver-unreachable"
    assert "503: <html> no backend" in found.seen


def test_a_healthy_front_proxy_shows_its_ca_and_whom_it_believes() -> None:
    found = the(front_proxy, seen())
    assert found.state is State.HEALTHY
    assert "front-proxy-client" in found.seen
    assert found.details == [
        "CN=front-proxy-ca, issued by CN=front-proxy-ca, valid until 2036-05-29T12:00:00Z"
    ]


@pytest.mark.parametrize(
    "what", [404, put(trust(), "data", {"client-ca-file": client_ca()}), trust(ca_pem=" \n")]
)
def test_without_a_request_headers_ca_the_aggregation_layer_is_off(what: object) -> None:
    found = the(front_proxy, seen({Asked.TRUST: what}))
    assert (found.id, found.state) == ("aggregation-off", State.SICK)
    assert found.cure.startswith("pymetrics-server certs aggregator")


def test_a_configmap_that_may_not_be_read_is_unseen_and_says_who_could() -> None:
    refusal = denied("configmaps", namespace="kube-system")
    found = the(front_proxy, seen({Asked.TRUST: refusal}))
    assert found.state is State.UNSEEN
    assert 'User "jane" cannot get' in found.seen
    assert "kubectl auth can-i --list" in found.cure


def test_whoever_shows_no_credentials_is_told_so() -> None:
    found = the(front_proxy, seen({Asked.TRUST: denied("configmaps", user="system:anonymous")}))
    assert "--kubeconfig" in found.cure
    assert "system:anonymous" not in found.cure


@pytest.mark.parametrize(
    "answer", [unanswered("timeout"), answered("<html>"), answered(500), Answer("", failure="unasked")]
)
def test_what_is_no_configmap_is_unseen(answer: Answer) -> None:
    assert the(front_proxy, seen({Asked.TRUST: answer})).state is State.UNSEEN


def test_a_ca_that_is_no_certificate_is_named_with_why() -> None:
    found = the(front_proxy, seen({Asked.TRUST: trust(ca_pem="-----BEGIN CERTIFICATE-----\nnone\n")}))
    assert (found.id, found.state) == ("front-proxy-ca-unusable", State.SICK)


def test_an_expired_ca_is_sick_and_says_when_it_ended() -> None:
    ca = front_proxy_ca(30, NOW_NS - 31 * DAY_NS)
    found = the(front_proxy, seen({Asked.TRUST: trust(ca)}))
    assert (found.id, found.state) == ("front-proxy-ca-expired", State.SICK)
    assert "2026-05-31T12:00:00Z; now it is 2026-06-01T12:00:00Z" in found.seen


def test_a_ca_that_ends_within_a_month_is_a_warning() -> None:
    found = the(front_proxy, seen({Asked.TRUST: trust(front_proxy_ca(29))}))
    assert (found.id, found.state) == ("front-proxy-ca-expires-soon", State.WARNING)


@pytest.mark.parametrize(
    ("names", "option"),
    [
        ('["system:auth-proxy", "other"]', " --name system:auth-proxy"),
        ('["a b"]', " --name 'a b'"),
        ("[]", ""),
        ("no list", ""),
    ],
)
def test_a_new_front_proxy_gets_a_name_that_is_allowed_already(names: str, option: str) -> None:
    expired = front_proxy_ca(30, NOW_NS - 31 * DAY_NS)
    found = the(front_proxy, seen({Asked.TRUST: trust(expired, requestheader_allowed_names=names)}))
    assert found.cure == f"pymetrics-server certs aggregator --out /etc/kubernetes/aggregator{option} --force"


def test_one_valid_ca_among_expired_ones_is_enough() -> None:
    both = front_proxy_ca(30, NOW_NS - 31 * DAY_NS) + front_proxy_ca()
    assert the(front_proxy, seen({Asked.TRUST: trust(both)})).state is State.HEALTHY


def test_any_name_of_the_clients_ca_is_a_warning() -> None:
    open_to_all = trust(client_ca(), requestheader_allowed_names="[]")
    found = the(front_proxy, seen({Asked.TRUST: open_to_all}))
    assert (found.id, found.state) == ("front-proxy-names-open", State.WARNING)


@pytest.mark.parametrize(
    "fine",
    [
        trust(requestheader_allowed_names="[]"),
        trust(client_ca()),
        trust(client_ca(), requestheader_allowed_names="{"),
    ],
)
def test_any_name_of_a_ca_of_its_own_or_one_name_of_the_clients_ca_is_fine(fine: object) -> None:
    assert the(front_proxy, seen({Asked.TRUST: fine})).state is State.HEALTHY


def test_headers_that_kube_apiserver_does_not_remove_are_a_warning() -> None:
    unusual = trust(requestheader_username_headers=json.dumps(["X-Remote-User", "X-Forwarded-User"]))
    found = the(front_proxy, seen({Asked.TRUST: unusual}))
    assert (found.id, found.state) == ("front-proxy-headers-unusual", State.WARNING)
    assert found.seen.endswith(": X-Forwarded-User")


def test_without_a_header_for_the_user_nobody_is_known() -> None:
    found = the(front_proxy, seen({Asked.TRUST: trust(requestheader_username_headers="[]")}))
    assert (found.id, found.state) == ("front-proxy-headers-missing", State.SICK)


def test_a_kube_apiserver_without_a_certificate_to_show_is_named() -> None:
    flags = ["kube-apiserver", "--requestheader-client-ca-file=/ca.crt"]
    pod = put(apiserver_pod(), "spec.containers.0.command", flags)
    found = the(front_proxy, seen({Asked.APISERVER_PODS: items(pod)}))
    assert (found.id, found.state) == ("front-proxy-certificate-missing", State.SICK)
    assert "kube-apiserver-node-1" in found.seen


@pytest.mark.parametrize("what", [403, items(), status(200)])
def test_where_kube_apiserver_is_no_pod_nothing_is_said_of_its_flags(what: object) -> None:
    assert the(front_proxy, seen({Asked.APISERVER_PODS: what})).state is State.HEALTHY

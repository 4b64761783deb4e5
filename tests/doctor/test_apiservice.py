"""What kube-apiserver says of the two APIServices, and what it means."""

import base64

import pytest

from pymetrics_server.doctor.checks.apiservice import apiservices
from pymetrics_server.doctor.checks.condition import decoded
from pymetrics_server.doctor.checks.proxy import is_exempt
from pymetrics_server.doctor.evidence import Answer, Asked, Evidence, Subject
from pymetrics_server.doctor.finding import Finding, Stage, State
from tests.doctor.seen import (
    NOW_NS,
    Object,
    answered,
    apiserver_pod,
    apiservice,
    client_ca,
    denied,
    endpointslice,
    front_proxy_ca,
    items,
    pod,
    put,
    seen,
    service,
    unanswered,
)

URL = "https://10.96.7.7:443/apis/metrics.k8s.io/v1beta1"
GET = f'failing or missing response from {URL}: Get "{URL}": '
TIMED_OUT = f"{GET}dial tcp 10.96.7.7:443: i/o timeout"
CORPORATE = "http://jane:secret@proxy.corp:3128"


def found_in(evidence: Evidence) -> dict[str, Finding]:
    found = list(apiservices(evidence))
    assert {finding.stage for finding in found} == {Stage.APISERVICE}
    return {finding.id: finding for finding in found}


def failed(message: str, reason: str = "FailedDiscoveryCheck", **changes: object) -> Evidence:
    """v1beta1 is not available; there is no v1."""
    return seen(
        {
            Asked.APISERVICE_V1BETA1: apiservice("v1beta1", "False", reason, message),
            Asked.APISERVICE_V1: 404,
            **{Asked[name]: what for name, what in changes.items()},
        }
    )


def sick_in(evidence: Evidence) -> Finding:
    (found,) = (each for each in found_in(evidence).values() if each.state is State.SICK)
    return found


def test_two_apiservices_that_are_available_are_healthy() -> None:
    found = found_in(seen())
    assert list(found) == ["apiservice-v1beta1", "apiservice-v1"]
    assert {each.state for each in found.values()} == {State.HEALTHY}
    assert "kube-system/metrics-server" in found["apiservice-v1beta1"].seen
    assert "insecureSkipTLSVerify" in found["apiservice-v1"].details[0]


@pytest.mark.parametrize(
    ("message", "ailment"),
    [
        (TIMED_OUT, "apiservice-timeout"),
        (f"{GET}dial tcp 10.244.1.5:10250: connect: connection refused", "apiservice-refused"),
        (f"{GET}dial tcp 10.244.1.5:10250: connect: no route to host", "apiservice-timeout"),
        (f"{GET}dial tcp 10.244.1.5:10250: connect: network is unreachable", "apiservice-timeout"),
        (f"{GET}EOF", "apiservice-eof"),
        (f"{GET}read tcp 10.0.0.1:4->10.96.7.7:443: read: connection reset by peer", "apiservice-eof"),
        (f"{GET}http: server gave HTTP response to HTTPS client", "apiservice-eof"),
        (f"{GET}context deadline exceeded", "apiservice-timeout"),
        (
            f"{GET}context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            "apiservice-timeout",
        ),
        (f"{GET}net/http: TLS handshake timeout", "apiservice-timeout"),
        (f"timed out waiting for {URL}", "apiservice-timeout"),
        (
            "no response from https://10.96.7.7:443: Get https://10.96.7.7:443: net/http: request canceled while waiting "
            "for connection (Client.Timeout exceeded while awaiting headers)",
            "apiservice-timeout",
        ),
        (f"{GET}proxyconnect tcp: dial tcp 10.1.1.1:3128: connect: connection refused", "apiservice-proxy"),
        (f"{GET}Proxy Authentication Required", "apiservice-proxy"),
        (f"{GET}remote error: tls: unknown certificate authority", "apiservice-unauthorized"),
        (f"{GET}remote error: tls: bad certificate", "apiservice-unauthorized"),
        (f"{GET}x509: certificate signed by unknown authority", "apiservice-untrusted"),
        (f"failing or missing response from {URL}: bad status from {URL}: 401", "apiservice-unauthorized"),
        (f"failing or missing response from {URL}: bad status from {URL}: 403", "apiservice-forbidden"),
        (f"failing or missing response from {URL}: bad status from {URL}: 503", "apiservice-unavailable"),
        (f"failing or missing response from {URL}: bad status from {URL}: 404", "apiservice-unavailable"),
        ('no endpoints available for service "metrics-server"', "apiservice-unavailable"),
        ("what nobody has ever read", "apiservice-unavailable"),
    ],
)
def test_what_kube_aggregator_writes_is_decoded(message: str, ailment: str) -> None:
    found = sick_in(failed(message))
    assert found.id == ailment
    assert found.seen.startswith("v1beta1.metrics.k8s.io is not available (FailedDiscoveryCheck): ")
    assert "response from" not in found.seen
    assert message in found.details[0]
    assert "since 2026-06-01T12:00:00Z" in found.details[0]


def test_the_words_are_those_that_stand_behind_the_addresses() -> None:
    assert decoded(TIMED_OUT).words == "dial tcp 10.96.7.7:443: i/o timeout"
    assert decoded(TIMED_OUT).host == "10.96.7.7"
    assert decoded(f"bad status from {URL}: 401").words == "it answers with status 401"
    assert decoded('Get "https://[fd00::7]:443/apis": EOF').host == "fd00::7"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ServiceNotFound", 'service/metrics-server in "kube-system" is not present'),
        (
            "ServiceAccessError",
            'service/metrics-server in "kube-system" cannot be checked due to: connection refused',
        ),
        ("ServicePortError", 'service/metrics-server in "kube-system" is not listening on port 443'),
        ("EndpointsNotFound", 'cannot find endpointslices for service/metrics-server in "kube-system"'),
        (
            "MissingEndpoints",
            'endpoints for service/metrics-server in "kube-system" have no addresses with port name "https"',
        ),
    ],
)
def test_what_is_wrong_with_the_service_is_told_in_kube_aggregators_words(reason: str, message: str) -> None:
    found = sick_in(failed(message, reason))
    assert found.id == "apiservice-unavailable"
    assert found.seen == f"v1beta1.metrics.k8s.io is not available ({reason}): {message}"


def test_an_apiservice_that_nobody_looked_at_yet_is_not_available() -> None:
    fresh = put(apiservice("v1beta1"), "status", {})
    found = sick_in(seen({Asked.APISERVICE_V1BETA1: fresh}))
    assert found.id == "apiservice-unavailable"
    assert "has not looked" in found.seen


def test_a_timeout_names_the_port_of_the_pod_and_not_of_the_service() -> None:
    moved = items(put(endpointslice(), "ports.0.port", 4443))
    assert "open port 4443 " in sick_in(failed(TIMED_OUT, ENDPOINTSLICES=moved)).cure


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        (items(), "the control plane is managed"),
        (items(apiserver_pod()), "needs kube-proxy"),
        (
            items(put(apiserver_pod(), "spec.containers.0.command", ["--enable-aggregator-routing=true"])),
            "the pod's own address",
        ),
    ],
)
def test_a_timeout_tells_which_way_kube_apiserver_goes(pods: Object, words: str) -> None:
    assert words in sick_in(failed(TIMED_OUT, APISERVER_PODS=pods)).details[-1]


def test_a_proxy_that_no_proxy_does_not_keep_from_services_is_the_cause() -> None:
    proxied = apiserver_pod(HTTPS_PROXY=CORPORATE, NO_PROXY="127.0.0.1,.svc,.cluster.local,10.0.0.0/24")
    for message in (TIMED_OUT, f"{GET}EOF", f"{GET}Service Unavailable"):
        found = sick_in(failed(message, APISERVER_PODS=items(proxied)))
        assert found.id == "apiservice-proxy"
        assert found.cure.startswith("add 10.96.0.0/12 and .svc to NO_PROXY")
        assert "through http://proxy.corp:3128" in found.seen
        assert "secret" not in found.seen


@pytest.mark.parametrize("no_proxy", ["10.96.0.0/12", "10.0.0.0/8,.svc", "10.96.7.7", "10.96.7.7:443", "*"])
def test_a_proxy_that_is_not_asked_for_services_is_no_cause(no_proxy: str) -> None:
    proxied = apiserver_pod(https_proxy=CORPORATE, no_proxy=no_proxy)
    assert sick_in(failed(TIMED_OUT, APISERVER_PODS=items(proxied))).id == "apiservice-timeout"


def test_a_status_of_the_server_itself_came_through_whatever_is_between() -> None:
    proxied = items(apiserver_pod(HTTPS_PROXY=CORPORATE))
    found = sick_in(failed(f"bad status from {URL}: 401", APISERVER_PODS=proxied))
    assert found.id == "apiservice-unauthorized"


@pytest.mark.parametrize("message", ["EOF", "failing or missing response from https://127.0.0.1:9/apis: EOF"])
def test_where_no_services_address_is_told_the_services_own_counts(message: str) -> None:
    proxied = items(apiserver_pod(HTTPS_PROXY=CORPORATE))
    assert "asks 10.96.7.7 through" in sick_in(failed(message, APISERVER_PODS=proxied)).seen


def test_a_proxy_does_no_harm_while_the_apiservice_is_available() -> None:
    evidence = seen({Asked.APISERVER_PODS: items(apiserver_pod(HTTPS_PROXY=CORPORATE))})
    assert {each.state for each in found_in(evidence).values()} == {State.HEALTHY}


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("", "10.96.7.7", False),
        (" 10.96.0.0/12 , x", "10.96.7.7", True),
        ("10.97.0.0/16", "10.96.7.7", False),
        ("fd00::/8", "fd00::7", True),
        ("fd00::/8", "10.96.7.7", False),
        (".svc", "metrics-server.kube-system.svc", True),
        ("svc", "metrics-server.kube-system.svc", True),
        ("*.svc", "metrics-server.kube-system.svc", True),
        (".svc", "10.96.7.7", False),
        ("vc", "metrics-server.kube-system.svc", False),
        (",,", "metrics-server.kube-system.svc", False),
        ("", "localhost", True),
        ("", "127.0.0.1", True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(no_proxy: str, host: str, exempt: bool) -> None:
    assert is_exempt(no_proxy, host) is exempt


@pytest.mark.parametrize(
    ("status", "ailment"),
    [(401, "apiservice-unauthorized"), (500, "apiservice-unavailable"), (503, "apiservice-unavailable")],
)
def test_requests_that_fail_count_though_kube_apiserver_has_not_noticed_yet(
    status: int, ailment: str
) -> None:
    found = sick_in(seen({Asked.SERVED_NODES: status, Asked.SERVED_PODS: status}))
    assert found.id == ailment
    assert "available by its condition, and requests fail: " in found.seen
    assert str(status) in found.seen


def test_what_the_server_says_of_the_front_proxys_certificate_is_told() -> None:
    log = '{"msg": "Refused a request", "reason": "Unable to authenticate the request: [x509: no]", "certificate": "CN=proxy"}'
    found = sick_in(failed(f"bad status from {URL}: 401", LOG=log))
    assert found.seen.endswith("the server refuses the certificate that it is shown, CN=proxy: x509: no")


def test_without_v1beta1_nothing_is_installed() -> None:
    found = sick_in(seen({Asked.APISERVICE_V1BETA1: 404, Asked.APISERVICE_V1: 404}))
    assert (found.id, found.cure) == ("apiservice-missing", "kubectl apply -f components.yaml")
    assert found.seen.endswith("is not registered, nor is v1")


def test_v1_alone_is_not_enough_for_autoscalers() -> None:
    found = sick_in(seen({Asked.APISERVICE_V1BETA1: 404}))
    assert found.id == "apiservice-missing"
    assert found.seen.endswith("is not registered, and v1 is")


def test_without_v1_clients_ask_v1beta1() -> None:
    assert found_in(seen({Asked.APISERVICE_V1: 404}))["apiservice-v1"].state is State.HEALTHY


@pytest.mark.parametrize(
    "answer", [denied("apiservices", group="apiregistration.k8s.io"), unanswered("timeout"), answered("[]")]
)
def test_apiservices_that_may_not_be_read_are_unseen(answer: Answer) -> None:
    found = found_in(seen({Asked.APISERVICE_V1BETA1: answer, Asked.APISERVICE_V1: answer}))
    assert {each.state for each in found.values()} == {State.UNSEEN}
    assert all(each.cure for each in found.values())


def adapter(available: str = "True") -> Object:
    made = apiservice("v1beta1", available, "X", "all is well", service="monitoring/prometheus-adapter")
    return put(made, "metadata.labels", {"app.kubernetes.io/name": "prometheus-adapter"})


@pytest.mark.parametrize("available", ["True", "False"])
def test_another_provider_is_named_whether_it_serves_or_not(available: str) -> None:
    found = sick_in(seen({Asked.APISERVICE_V1BETA1: adapter(available), Asked.APISERVICE_V1: 404}))
    assert found.id == "apiservice-other-provider"
    assert "monitoring/prometheus-adapter" in found.seen
    assert ("is not available" in found.seen) == (available == "False")
    assert found.cure == "kubectl get apiservice v1beta1.metrics.k8s.io -o yaml"


def test_another_provider_of_both_versions_is_named_once() -> None:
    theirs = {
        asked: put(made, "spec.service", {"namespace": "monitoring", "name": "prometheus-adapter"})
        for asked, made in (
            (Asked.APISERVICE_V1BETA1, apiservice("v1beta1")),
            (Asked.APISERVICE_V1, apiservice("v1")),
        )
    }
    found = list(apiservices(seen(theirs)))
    assert [each.id for each in found] == ["apiservice-other-provider", "apiservice-v1"]


def test_another_provider_of_any_name_is_known_by_its_pods() -> None:
    theirs = put(apiservice("v1beta1", service="mon/resource"), "metadata.labels", {})
    running = put(
        put(pod(), "metadata.labels", {}), "spec.containers.0", {"name": "x", "image": "x/adapter:v1"}
    )
    evidence = seen(
        {
            Asked.APISERVICE_V1BETA1: theirs,
            Asked.APISERVICE_V1: 404,
            Asked.SERVICE: put(service(), "metadata.labels", {}),
            Asked.PODS: items(running),
        },
        subject=Subject(namespace="mon", service="resource"),
    )
    assert "mon/resource, with x/adapter:v1" in found_in(evidence)["apiservice-other-provider"].seen


@pytest.mark.parametrize(
    "ours",
    [
        {"name": "x", "image": "rancher/mirrored-metrics-server:v0.7.1"},
        {"name": "x", "image": "x", "args": ["--kubelet-insecure-tls"]},
    ],
)
def test_a_metrics_server_of_another_name_is_no_other_provider(ours: Object) -> None:
    evidence = seen(
        {
            Asked.APISERVICE_V1BETA1: put(apiservice("v1beta1", service="a/b"), "metadata.labels", {}),
            Asked.APISERVICE_V1: 404,
            Asked.SERVICE: put(service(), "metadata.labels", {}),
            Asked.PODS: items(put(put(pod(), "metadata.labels", {}), "spec.containers.0", ours)),
        },
        subject=Subject(namespace="a", service="b"),
    )
    assert "apiservice-other-provider" not in found_in(evidence)


def test_an_apiservice_without_a_service_is_kube_apiservers_own() -> None:
    local = put(apiservice("v1beta1", reason="Local"), "spec.service", None)
    found = found_in(seen({Asked.APISERVICE_V1BETA1: local, Asked.APISERVICE_V1: 404}))
    assert "kube-apiserver itself" in found["apiservice-other-provider"].seen


@pytest.mark.parametrize(
    "stale",
    [
        apiservice("v1", "False", "FailedDiscoveryCheck", f"bad status from {URL}: 404"),
        apiservice("v1", "False", "ServiceNotFound", 'service/gone in "x" is not present', service="x/gone"),
        put(apiservice("v1"), "status", {}),
    ],
)
def test_a_v1_that_is_not_served_is_stale_and_may_be_deleted(stale: Object) -> None:
    found = sick_in(seen({Asked.APISERVICE_V1: stale}))
    assert (found.id, found.cure) == ("apiservice-v1-stale", "kubectl delete apiservice v1.metrics.k8s.io")


def test_a_v1_of_another_service_is_a_warning() -> None:
    other = apiservice("v1", service="other/metrics-server")
    found = found_in(seen({Asked.APISERVICE_V1: other}))["apiservice-other-provider"]
    assert found.state is State.WARNING
    assert "other/metrics-server, v1beta1.metrics.k8s.io to kube-system/metrics-server" in found.seen


def with_bundle(pem: str) -> Object:
    made = put(apiservice("v1beta1"), "spec.insecureSkipTLSVerify", False)
    return put(made, "spec.caBundle", base64.b64encode(pem.encode()).decode())


def test_a_ca_bundle_is_said_to_verify() -> None:
    found = found_in(seen({Asked.APISERVICE_V1BETA1: with_bundle(client_ca())}))["apiservice-v1beta1"]
    assert found.details == ["kube-apiserver verifies the server's certificate with the caBundle"]


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ("no certificate", "cannot be read"),
        (front_proxy_ca(30, NOW_NS - 31 * 86_400_000_000_000), "ended at 2026-05-31T12:00:00Z"),
    ],
)
def test_a_ca_bundle_that_proves_nothing_is_sick_although_the_condition_is_true(
    bundle: str, words: str
) -> None:
    found = sick_in(seen({Asked.APISERVICE_V1BETA1: with_bundle(bundle)}))
    assert found.id == "apiservice-untrusted"
    assert words in found.seen
    assert "--name metrics-server --namespace kube-system" in found.cure


@pytest.mark.parametrize(
    ("words", "ailment"),
    [
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "apiservice-untrusted",
        ),
        ("dial tcp 10.96.7.7:443: i/o timeout", "apiservice-timeout"),
        ("EOF", "apiservice-eof"),
        ("proxyconnect tcp: EOF", "apiservice-proxy"),
    ],
)
def test_what_only_requests_meet_is_found_although_the_condition_is_true(words: str, ailment: str) -> None:
    refused = Answer("/apis/metrics.k8s.io/v1beta1/nodes", 503, f"error trying to reach service: {words}\n")
    found = sick_in(seen({Asked.SERVED_NODES: refused}))
    assert found.id == ailment
    assert words in found.seen

"""What is read out of the log of pymetrics-server, and of metrics-server's old and new."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.doctor.checks.serverlog import class_of, client_refused, failing_nodes, why_not_ready
from pymetrics_server.errors import FailureClass

OURS = (
    'E0601 11:59:30.000000       1 scraper.py:291] "Failed to scrape node" err="refused: connection refused" '
    'node="node-1" addresses=["10.0.0.1","node-1"] failure="refused" cause="nothing listens" cure="check it"'
)
AGAIN = (
    'I0601 11:59:45.000000       1 scraper.py:260] "Node answers again" node="node-1" failure="refused" '
    "failed_for_s=15.0 attempts=2"
)


def test_a_line_of_ours_names_the_node_the_class_and_what_was_seen() -> None:
    said = failing_nodes(OURS)["node-1"]
    assert (said.failure, said.words) == (FailureClass.REFUSED, "connection refused")


def test_a_node_that_answers_again_is_forgotten() -> None:
    assert not failing_nodes(f"{OURS}\n{AGAIN}\n")


def test_the_last_word_on_a_node_counts() -> None:
    later = OURS.replace("refused: connection refused", "dns: no such host").replace('"refused"', '"dns"')
    assert failing_nodes(f"{OURS}\n{AGAIN}\n{later}")["node-1"].failure is FailureClass.DNS


def test_a_log_of_json_lines_is_read_as_well() -> None:
    line = {
        "ts": 1.0,
        "msg": "Failed to scrape node",
        "err": "dns: no such host",
        "node": "node-1",
        "failure": "dns",
    }
    said = failing_nodes(json.dumps(line))["node-1"]
    assert (said.failure, said.words) == (FailureClass.DNS, "no such host")


def test_every_node_of_a_round_of_the_old_metrics_server_is_found() -> None:
    line = (
        "E1003 05:46:13.757009       1 manager.go:102] unable to fully collect metrics: [unable to fully scrape metrics "
        "from source kubelet_summary:node1: unable to fetch metrics from Kubelet node1 (node1): Get "
        "https://node1:10250/stats/summary/: dial tcp: lookup node1 on 10.96.0.10:53: no such host, unable to fully "
        "scrape metrics from source kubelet_summary:node2: unable to fetch metrics from Kubelet node2 (10.0.0.2): "
        'request failed - "403 Forbidden", response: "Forbidden (user=system:anonymous, verb=get, resource=nodes, '
        'subresource=stats)"]'
    )
    found = failing_nodes(line)
    assert found["node1"].failure is FailureClass.DNS
    assert "lookup node1 on 10.96.0.10:53: no such host" in found["node1"].words
    assert found["node2"].failure is FailureClass.FORBIDDEN
    assert found["node2"].words.endswith(
        '(user=system:anonymous, verb=get, resource=nodes, subresource=stats)"'
    )


def test_a_round_of_the_old_metrics_server_replaces_the_one_before() -> None:
    rounds = [
        "E1003 05:46:13.7 1 manager.go:102] unable to fully collect metrics: unable to fully scrape metrics from source "
        f"kubelet_summary:{name}: unable to fetch: dial tcp 10.0.0.1:10250: i/o timeout"
        for name in ("node1", "node2")
    ]
    assert list(failing_nodes("\n".join(rounds))) == ["node2"]


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        ("dial tcp: lookup node1: no such host", FailureClass.DNS),
        (
            "dial tcp: lookup node1 on 10.96.0.10:53: read udp 10.1.1.6:4->10.96.0.10:53: i/o timeout",
            FailureClass.DNS,
        ),
        ("dial tcp 10.0.0.4:10250: i/o timeout", FailureClass.CONNECT_TIMEOUT),
        ("dial tcp 10.0.0.4:10250: connect: connection refused", FailureClass.REFUSED),
        ("dial tcp 10.0.0.4:10250: connect: no route to host", FailureClass.UNREACHABLE),
        ("dial tcp 10.0.0.4:10250: socket: too many open files", FailureClass.LOCAL_LIMIT),
        (
            "tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.4 because it doesn't contain any IP SANs",
            FailureClass.TLS_NAME_MISMATCH,
        ),
        ("x509: certificate is valid for node-1, not 10.0.0.4", FailureClass.TLS_NAME_MISMATCH),
        ("x509: certificate signed by unknown authority", FailureClass.TLS_UNKNOWN_ISSUER),
        ("x509: certificate has expired or is not yet valid: current time", FailureClass.TLS_EXPIRED),
        ("remote error: tls: internal error", FailureClass.TLS_ALERT_INTERNAL),
        (
            "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
            FailureClass.SLOW_RESPONSE,
        ),
        ("context deadline exceeded", FailureClass.SLOW_RESPONSE),
        ('request failed, status: "401 Unauthorized"', FailureClass.UNAUTHENTICATED),
        ('request failed, status: "403 Forbidden"', FailureClass.FORBIDDEN),
        ('request failed, status: "404 Not Found"', FailureClass.NOT_FOUND),
        ('request failed - "500 Internal Server Error"', FailureClass.SERVER_ERROR),
        ("no address matched types [InternalIP]", FailureClass.NO_ADDRESS),
        ("read tcp: connection reset by peer", FailureClass.DISCONNECTED),
        ("tls_expired: certificate has expired", FailureClass.TLS_EXPIRED),
    ],
)
def test_the_words_of_go_and_ours_have_a_class(words: str, failure: FailureClass) -> None:
    assert class_of(words) is failure


def test_words_that_nobody_knows_have_none() -> None:
    assert class_of("unable to get CPU for container: missing cpu usage metric") is None


def test_readyz_tells_the_most_frequent_failure() -> None:
    told = why_not_ready(
        "internal server error: no metrics to serve: dns at 3 of 40 nodes, it does not resolve; put"
    )
    assert told is not None
    assert (told.failure, told.failing, told.nodes) == (FailureClass.DNS, 3, 40)


@pytest.mark.parametrize(
    "readyz",
    ["ok", "", "internal server error: no metrics to serve", "no metrics to serve: x at 1 of 1 nodes"],
)
def test_readyz_without_a_failure_tells_none(readyz: str) -> None:
    assert why_not_ready(readyz) is None


def test_a_certificate_that_was_refused_in_the_handshake_is_told_with_the_reason() -> None:
    log = (
        'W1123 10:00:00.000000       1 listener.py:88] "A client\'s certificate was refused in the TLS handshake" '
        'peer="10.0.0.10" reason="x509: certificate signed by unknown authority"\n'
        'I1123 10:00:01.000000       1 scraper.py:237] "Node answers again" node="a"'
    )
    assert client_refused(log) == "x509: certificate signed by unknown authority"


def test_a_request_that_was_refused_for_its_certificate_tells_whose_it_is() -> None:
    entry = {
        "msg": "Refused a request",
        "code": 401,
        "reason": "Unable to authenticate the request: [x509: subject with cn=kube-proxy is not in the allowed list]",
        "certificate": "CN=kube-proxy, issued by CN=ca",
    }
    told = "CN=kube-proxy, issued by CN=ca: x509: subject with cn=kube-proxy is not in the allowed list"
    assert client_refused(json.dumps(entry)) == told


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no line of a log",
        '{"msg": "Refused a request", "code": 403, "reason": "RBAC: not granted"}',
        '{"msg": "Refused a request", "code": 401, "reason": "Unable to authenticate the request: invalid bearer token"}',
        '{"msg": "Listening"}',
    ],
)
def test_whoever_was_refused_for_something_else_showed_no_bad_certificate(line: str) -> None:
    assert client_refused(line) == ""


def test_of_several_refusals_the_last_one_counts() -> None:
    def refused(reason: str) -> str:
        return json.dumps(
            {"msg": "A client's certificate was refused in the TLS handshake", "reason": reason}
        )

    assert client_refused(f"{refused('first')}\n{refused('last')}") == "last"


@given(st.text())
def test_any_text_may_stand_in_a_log(text: str) -> None:
    failing_nodes(f'{text}\n{{{text}\nE0601 11:59:30.0 1 x.go:1] "Failed to scrape node" {text}')

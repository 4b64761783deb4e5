"""The catalogue of ailments: each can be told, none sends anybody to open the cluster."""

import re
from string import Formatter
from typing import Any

import pytest

from pymetrics_server.doctor.ailment import Ailment, node_id
from pymetrics_server.doctor.asked_ailment import AskedAilment
from pymetrics_server.doctor.checks.aggregation import apiserver, front_proxy
from pymetrics_server.doctor.checks.apiservice import apiservices
from pymetrics_server.doctor.checks.backend import backend
from pymetrics_server.doctor.checks.grants import grants as check_grants
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import Finding, Stage, typed
from pymetrics_server.doctor.verdict import FOLLOWS
from pymetrics_server.errors import FailureClass
from tests.doctor.seen import (
    NOW_NS,
    apiserver_pod,
    apiservice,
    client_ca,
    endpointslice,
    front_proxy_ca,
    grants,
    items,
    pod,
    put,
    seen,
    service,
    trust,
    unanswered,
)

IDS = {ailment.id for ailment in (*Ailment, *AskedAilment)} | {node_id(failure) for failure in FailureClass}
GIVEN_AWAY = [
    "cluster-admin",
    "AlwaysAllow",
    "system:anonymous",
    "system:unauthenticated",
    "nodes/proxy",
    "insecure",
]
STAGES = (Stage.APISERVER, Stage.AGGREGATION, Stage.GRANTS, Stage.BACKEND, Stage.APISERVICE)


def failed(message: str) -> Evidence:
    return seen({Asked.APISERVICE_V1BETA1: apiservice("v1beta1", "False", "FailedDiscoveryCheck", message)})


def of_pod(status: dict[str, object], **spec: object) -> Evidence:
    made = put(pod(), "status.conditions.3.status", "False")
    made = put(made, "status.containerStatuses.0", {"name": "metrics-server", **status})
    for name, value in spec.items():
        made = put(made, f"spec.{name}", value)
    return seen({Asked.PODS: items(made)})


def last(reason: str, message: str = "") -> dict[str, object]:
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": reason, "message": message}},
    }


#: Of each ailment that these checks find, a cluster that has it.
EXAMPLES = {
    "apiserver-unreachable": seen({Asked.VERSION: unanswered("refused")}),
    "apiserver-untrusted": seen({Asked.VERSION: unanswered("untrusted")}),
    "apiserver-credentials": seen({Asked.VERSION: 401}),
    "aggregation-off": seen({Asked.TRUST: 404}),
    "front-proxy-ca-unusable": seen({Asked.TRUST: trust("none")}),
    "front-proxy-ca-expired": seen({Asked.TRUST: trust(front_proxy_ca(1, NOW_NS // 2))}),
    "front-proxy-ca-expires-soon": seen({Asked.TRUST: trust(front_proxy_ca(1))}),
    "front-proxy-names-open": seen({Asked.TRUST: trust(client_ca(), requestheader_allowed_names="[]")}),
    "front-proxy-headers-unusual": seen({Asked.TRUST: trust(requestheader_uid_headers='["X-Me"]')}),
    "front-proxy-headers-missing": seen({Asked.TRUST: trust(requestheader_username_headers="")}),
    "front-proxy-certificate-missing": seen(
        {
            Asked.APISERVER_PODS: items(
                put(apiserver_pod(), "spec.containers.0.command", ["--requestheader-client-ca-file=ca"])
            )
        }
    ),
    "grant-missing": seen(grants=grants(without=["pods"])),
    "grant-endpoint-missing": seen(grants=grants(without=["nodes/stats"])),
    "pod-missing": seen({Asked.PODS: items(), Asked.DEPLOYMENTS: items()}),
    "pod-unschedulable": of_pod({}, nodeName=""),
    "pod-image": of_pod({"state": {"waiting": {"reason": "ErrImagePull"}}}),
    "pod-not-started": of_pod({"state": {"waiting": {"reason": "ContainerCreating"}}}),
    "pod-out-of-memory": of_pod(last("OOMKilled")),
    "pod-port-taken": of_pod(last("Error", "address already in use")),
    "pod-crashing": of_pod(last("Error")),
    "pod-not-ready": of_pod({"state": {"running": {}}}),
    "service-missing": seen({Asked.SERVICE: 404}),
    "service-port": seen({Asked.SERVICE: put(service(), "spec.ports", [])}),
    "service-selects-nothing": seen(
        {Asked.SERVICE: put(service(), "spec.selector", {"a": "b"}), Asked.PODS: items()}
    ),
    "endpoints-none": seen({Asked.ENDPOINTSLICES: items(endpointslice(ready=False))}),
    "apiservice-missing": seen({Asked.APISERVICE_V1BETA1: 404}),
    "apiservice-other-provider": seen(
        {Asked.APISERVICE_V1BETA1: put(apiservice("v1beta1"), "spec.service", None)}
    ),
    "apiservice-v1-stale": seen({Asked.APISERVICE_V1: apiservice("v1", "False", "ServiceNotFound", "gone")}),
    "apiservice-timeout": failed("dial tcp 10.0.0.1:443: i/o timeout"),
    "apiservice-refused": failed("dial tcp 10.0.0.1:443: connect: connection refused"),
    "apiservice-eof": failed("EOF"),
    "apiservice-proxy": failed("proxyconnect tcp: EOF"),
    "apiservice-unauthorized": failed("bad status from https://10.0.0.1: 401"),
    "apiservice-forbidden": failed("bad status from https://10.0.0.1: 403"),
    "apiservice-untrusted": failed("x509: certificate signed by unknown authority"),
    "apiservice-unavailable": failed("?"),
}


def found_in(evidence: Evidence) -> list[Finding]:
    return [
        finding
        for check in (apiserver, front_proxy, check_grants, backend, apiservices)
        for finding in check(evidence)
    ]


def test_no_two_ailments_are_one() -> None:
    names = [*Ailment.__members__, *AskedAilment.__members__]
    ailments = (*Ailment, *AskedAilment)
    assert len(names) == len(ailments), "two with the same words are aliases of one another"
    assert len({ailment.id for ailment in ailments}) == len(names)


def test_what_a_stranger_named_is_quoted_where_it_is_pasted_into_a_shell() -> None:
    found = AskedAilment.ASKED_POD_NOT_RUNNING.found(
        "phase Pending", namespace="default", name="web; rm -rf /"
    )
    assert found.cure == "kubectl -n default describe pod 'web; rm -rf /'"


def test_a_command_stands_in_a_cure_as_it_is() -> None:
    command = typed("kubectl", "-n", "default", "get", "pods", "-w")
    assert Ailment.POD_MISSING.found("none", command=command).cure == "kubectl -n default get pods -w"


def test_every_ailment_up_to_the_apiservices_has_its_example_here() -> None:
    assert set(EXAMPLES) == {ailment.id for ailment in Ailment if ailment.stage in STAGES}


@pytest.mark.parametrize("ailment_id", EXAMPLES)
def test_an_ailment_is_found_and_its_cause_and_cure_are_whole(ailment_id: str) -> None:
    found = {finding.id: finding for finding in found_in(EXAMPLES[ailment_id])}
    assert ailment_id in found
    finding = found[ailment_id]
    assert finding.seen
    assert finding.cause
    assert finding.cure
    assert "{" not in finding.cause
    assert not re.search(r"\{[a-z_]+\}", finding.cure)


@pytest.mark.parametrize("ailment", [*Ailment, *AskedAilment], ids=lambda ailment: ailment.id)
def test_an_ailment_can_be_filled_in(ailment: Ailment | AskedAilment) -> None:
    words = [part for text in (ailment.cause, ailment.cure) for part in Formatter().parse(text)]
    facts: dict[str, Any] = {name: "X" for _, name, _, _ in words if name}
    finding = ailment.found("it was seen", **facts)
    assert (finding.id, finding.stage) == (ailment.id, ailment.stage)
    assert finding.cause
    assert finding.cure
    assert finding.cause[-1] not in ".:"


@pytest.mark.parametrize("ailment", [*Ailment, *AskedAilment], ids=lambda ailment: ailment.id)
def test_no_cure_gives_more_than_is_needed(ailment: Ailment | AskedAilment) -> None:
    assert not [each for each in GIVEN_AWAY if each in ailment.cure]


@pytest.mark.parametrize("ailment_id", EXAMPLES)
def test_no_cure_that_a_check_makes_gives_more_than_is_needed(ailment_id: str) -> None:
    for finding in found_in(EXAMPLES[ailment_id]):
        assert not [each for each in GIVEN_AWAY if each in finding.cure]


@pytest.mark.parametrize("ailment_id", sorted(FOLLOWS))
def test_whatever_explains_an_ailment_exists(ailment_id: str) -> None:
    for pattern in FOLLOWS[ailment_id]:
        begin = pattern.removesuffix("*")
        assert any(each.startswith(begin) if pattern.endswith("*") else each == begin for each in IDS), (
            pattern
        )
    assert ailment_id in IDS


def test_an_empty_cluster_of_which_nothing_was_asked_breaks_no_check() -> None:
    nothing = Evidence(taken_ns=0, server="", kubeconfig="", in_pod=False, subject=seen().subject)
    assert {finding.stage for finding in found_in(nothing)} == set(STAGES)


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "{}", '{"items": null}', '{"items": [1, null, {}]}', '{"spec": 1}']
)
def test_whatever_kube_apiserver_answers_breaks_no_check(body: str) -> None:
    assert found_in(seen(dict.fromkeys(Asked, body)))

import asyncio
import base64
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pymetrics_server.clock import SystemClock
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.doctor.collecting import Wanted, collect
from pymetrics_server.doctor.evidence import Asked, Evidence, Subject
from pymetrics_server.doctor.kubectl import kubectl_version
from pymetrics_server.doctor.objects import Csr, Node, PodMetrics, listed
from pymetrics_server.x509 import make_ca
from tests.doctor.answering import Answering, answering, asking, credentials_for
from tests.doctor.seen import (
    ACCOUNT,
    apiservice,
    csr,
    deployment,
    items,
    node,
    node_metrics,
    pod,
    pod_metrics,
    put,
    service,
    status,
    trust,
)
from tests.fakes.apiserver import FakeApiserver

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
SERVER_POD = "metrics-server-6d94bc8694-abcde"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
METRICS = "/apis/metrics.k8s.io/v1beta1"
SARS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
SELF_SARS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
HPA = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web"


async def allowed(request: web.Request) -> web.Response:
    return web.json_response({**(await request.json()), "status": {"allowed": True}}, status=201)


@pytest.fixture
async def apiserver() -> AsyncIterator[Answering]:
    """Of a healthy cluster."""
    async with answering() as running:
        running.says = {
            "/version": {"gitVersion": "v1.36.2"},
            f"{KUBE_SYSTEM}/configmaps/extension-apiserver-authentication": trust(),
            f"{KUBE_SYSTEM}/configmaps/kube-root-ca.crt": {"data": {"ca.crt": "PEM"}},
            f"{APISERVICES}/v1beta1.metrics.k8s.io": apiservice("v1beta1"),
            f"{APISERVICES}/v1.metrics.k8s.io": apiservice("v1"),
            f"{KUBE_SYSTEM}/services/metrics-server": service(),
            f"{KUBE_SYSTEM}/pods": items(pod()),
            f"{KUBE_SYSTEM}/pods/https:{SERVER_POD}:10250/proxy/readyz/metric-storage-ready": "ok",
            f"{KUBE_SYSTEM}/pods/{SERVER_POD}/log": "I1123 all is well\n",
            "/apis/apps/v1/namespaces/kube-system/deployments": items(deployment()),
            "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices": items(),
            "/api/v1/nodes": items(node("node-1")),
            "/api/v1/pods": items(pod()),
            "/apis/certificates.k8s.io/v1/certificatesigningrequests": items(),
            f"{METRICS}/nodes": items(node_metrics("node-1")),
            f"{METRICS}/pods": items(pod_metrics()),
            SARS: allowed,
            SELF_SARS: allowed,
        }
        yield running


async def collected(
    credentials: Credentials,
    wanted: Wanted | None = None,
    *,
    within_s: float = 20.0,
    kubeconfig: str = "a file",
) -> Evidence:
    async with asking(credentials, within_s) as asker:
        return await collect(
            asker, credentials, wanted or Wanted(), SystemClock(), lambda done, total, what: None, kubeconfig
        )


async def looked(apiserver: Answering, folder: Path, wanted: Wanted | None = None) -> Evidence:
    return await collected(await credentials_for(folder, apiserver.url), wanted)


async def test_every_question_is_asked_once_and_nothing_is_changed(
    apiserver: Answering, tmp_path: Path
) -> None:
    evidence = await looked(apiserver, tmp_path)
    unasked = {
        Asked.POD,
        Asked.POD_METRICS,
        Asked.HPA,
        Asked.HPA_TARGET,
        Asked.HPA_PODS,
        Asked.HPA_POD_METRICS,
    }
    assert set(evidence.answers) == set(Asked) - unasked
    assert [asked for asked, answer in evidence.answers.items() if not answer.ok] == []
    questions = [(seen.path, *seen.query.items()) for seen in apiserver.seen if seen.method == "GET"]
    assert len(questions) == len(set(questions))
    assert {(seen.method, seen.path) for seen in apiserver.seen if seen.method != "GET"} == {("POST", SARS)}


async def test_the_server_is_whoever_the_apiservice_names(apiserver: Answering, tmp_path: Path) -> None:
    apiserver.says[f"{APISERVICES}/v1beta1.metrics.k8s.io"] = apiservice("v1beta1", service="monitoring/ms")
    apiserver.says["/api/v1/namespaces/monitoring/services/ms"] = service()
    theirs = put(pod(), "spec.serviceAccountName", "reader")
    apiserver.says["/api/v1/namespaces/monitoring/pods"] = items(theirs)
    subject = (await looked(apiserver, tmp_path)).subject
    assert (subject.namespace, subject.service) == ("monitoring", "ms")
    assert subject.account == "system:serviceaccount:monitoring:reader"
    assert "--kubelet-use-node-status-port" in subject.server_args


async def test_the_service_that_was_typed_goes_before_the_apiservices(
    apiserver: Answering, tmp_path: Path
) -> None:
    subject = (await looked(apiserver, tmp_path, Wanted(namespace="mine", service="own"))).subject
    assert (subject.namespace, subject.service) == ("mine", "own")


@pytest.mark.parametrize("label", ["k8s-app=metrics-server", "app.kubernetes.io/name=metrics-server"])
async def test_a_server_without_apiservice_and_usual_name_is_found_by_its_labels(
    apiserver: Answering, tmp_path: Path, label: str
) -> None:
    theirs = put(put(service(), "metadata.namespace", "tools"), "metadata.name", "release-ms")

    async def by_label(request: web.Request) -> web.Response:
        return web.json_response(items(*([theirs] if request.query["labelSelector"] == label else [])))

    for version in ("v1", "v1beta1"):
        del apiserver.says[f"{APISERVICES}/{version}.metrics.k8s.io"]
    del apiserver.says[f"{KUBE_SYSTEM}/services/metrics-server"]
    apiserver.says["/api/v1/services"] = by_label
    apiserver.says["/api/v1/namespaces/tools/services/release-ms"] = theirs
    evidence = await looked(apiserver, tmp_path)
    assert (evidence.subject.namespace, evidence.subject.service) == ("tools", "release-ms")
    assert evidence.answer(Asked.SERVICE).ok


async def test_a_server_without_a_pod_is_known_from_its_deployment(
    apiserver: Answering, tmp_path: Path
) -> None:
    apiserver.says[f"{KUBE_SYSTEM}/pods"] = items()
    subject = (await looked(apiserver, tmp_path)).subject
    assert subject.account == ACCOUNT
    assert "--secure-port=10250" in subject.server_args


async def test_beside_a_sidecar_the_server_is_the_container_with_its_flags(
    apiserver: Answering, tmp_path: Path
) -> None:
    server = pod()["spec"]["containers"][0]
    sidecar = {"name": "proxy", "args": ["--port=1"]}
    apiserver.says[f"{KUBE_SYSTEM}/pods"] = items(put(pod(), "spec.containers", [sidecar, server]))
    evidence = await looked(apiserver, tmp_path)
    assert evidence.subject.server_args == tuple(server["args"])
    (asked,) = apiserver.asked(f"{KUBE_SYSTEM}/pods/{SERVER_POD}/log")
    assert asked.query == {"container": "metrics-server", "tailLines": "200"}


async def test_a_refusal_costs_itself_and_says_why(apiserver: Answering, tmp_path: Path) -> None:
    async def refused(_: web.Request) -> web.Response:
        return web.json_response(status(403, 'nodes is forbidden: User "jane" cannot list'), status=403)

    apiserver.says["/api/v1/nodes"] = refused
    evidence = await looked(apiserver, tmp_path)
    answer = evidence.answer(Asked.NODES)
    assert (answer.status, answer.failure) == (403, "")
    assert answer.words == 'nodes is forbidden: User "jane" cannot list'
    assert [asked for asked, other in evidence.answers.items() if not other.ok] == [Asked.NODES]


async def test_why_a_pod_is_not_ready_is_asked_of_the_pod_that_is_not(
    apiserver: Answering, tmp_path: Path
) -> None:
    sick = put(pod("metrics-server-sick"), "status.conditions.3.status", "False")
    apiserver.says[f"{KUBE_SYSTEM}/pods"] = items(pod(), sick)
    why = "internal server error: no metrics to serve: tls_unknown_issuer at 3 of 3 nodes"

    async def not_ready(_: web.Request) -> web.Response:
        return web.Response(status=500, text=f"{why}\n")

    path = f"{KUBE_SYSTEM}/pods/https:metrics-server-sick:10250/proxy/readyz/metric-storage-ready"
    apiserver.says[path] = not_ready
    answer = (await looked(apiserver, tmp_path)).answer(Asked.READYZ)
    assert (answer.status, answer.body) == (500, why)


async def test_where_a_single_check_may_not_be_read_the_list_of_checks_is(
    apiserver: Answering, tmp_path: Path
) -> None:
    readyz = f"{KUBE_SYSTEM}/pods/https:{SERVER_POD}:10250/proxy/readyz"
    apiserver.says |= {
        f"{readyz}/metric-storage-ready": 403,
        readyz: "[-]metric-storage-ready failed: reason withheld",
    }
    answer = (await looked(apiserver, tmp_path)).answer(Asked.READYZ)
    assert (answer.status, answer.body) == (200, "[-]metric-storage-ready failed: reason withheld")
    assert [seen.query for seen in apiserver.asked(readyz)] == [{"verbose": ""}]


async def test_nodes_come_in_pages_and_without_bulk(apiserver: Answering, tmp_path: Path) -> None:
    names = [f"node-{number}" for number in range(5)]

    async def paged(request: web.Request) -> web.Response:
        assert request.query["limit"] == "500"
        at = int(request.query.get("continue", "0"))
        found = put(put(node(names[at]), "status.images", [{"names": ["x"]}]), "metadata.managedFields", [{}])
        token = str(at + 1) if at + 1 < len(names) else ""
        return web.json_response({**items(found), "metadata": {"continue": token}})

    apiserver.says["/api/v1/nodes"] = paged
    answer = (await looked(apiserver, tmp_path)).answer(Asked.NODES)
    assert [found.metadata.name for found in listed(answer, Node) or ()] == names
    assert "images" not in answer.body
    assert "managedFields" not in answer.body
    assert answer.words == ""


async def test_a_list_that_breaks_off_keeps_what_came(apiserver: Answering, tmp_path: Path) -> None:
    async def breaks_off(request: web.Request) -> web.Response:
        if "continue" in request.query:
            return web.json_response(status(410, "The provided continue parameter is too old"), status=410)
        return web.json_response({**items(node("node-1")), "metadata": {"continue": "more"}})

    apiserver.says["/api/v1/nodes"] = breaks_off
    answer = (await looked(apiserver, tmp_path)).answer(Asked.NODES)
    assert len(listed(answer, Node) or ()) == 1
    assert answer.words == "cut short after 1: The provided continue parameter is too old"


async def test_of_served_and_running_pods_only_names_and_times_are_kept(
    apiserver: Answering, tmp_path: Path
) -> None:
    evidence = await looked(apiserver, tmp_path)
    served = json.loads(evidence.answer(Asked.SERVED_PODS).body)["items"]
    metadata = {"namespace": "kube-system", "name": SERVER_POD}
    assert served == [{"metadata": metadata, "timestamp": "2026-06-01T11:59:50Z", "window": "15s"}]
    assert len(listed(evidence.answer(Asked.SERVED_PODS), PodMetrics) or ()) == 1
    running = json.loads(evidence.answer(Asked.RUNNING_PODS).body)["items"]
    assert running == [{"metadata": {**metadata, "creationTimestamp": "2026-06-01T10:00:00Z"}}]
    (asked,) = apiserver.asked("/api/v1/pods")
    assert "PartialObjectMetadataList" in asked.accept


async def test_only_requests_for_kubelets_serving_certificates_are_kept(
    apiserver: Answering, tmp_path: Path
) -> None:
    other = put(csr("csr-2", "node-1"), "spec.signerName", "kubernetes.io/kube-apiserver-client")
    ours = put(csr("csr-1", "node-1"), "spec.request", "LS0t")
    apiserver.says["/apis/certificates.k8s.io/v1/certificatesigningrequests"] = items(ours, other)
    answer = (await looked(apiserver, tmp_path)).answer(Asked.CSRS)
    assert [found.metadata.name for found in listed(answer, Csr) or ()] == ["csr-1"]
    assert "LS0t" not in answer.body


async def test_no_secret_is_kept_of_what_pods_are_given(apiserver: Answering, tmp_path: Path) -> None:
    env = [
        {"name": "PASSWORD", "value": "hunter2"},
        {"name": "https_proxy", "value": "http://jane:hunter2@proxy:3128"},
        {"name": "NO_PROXY", "value": "10.0.0.0/8,.svc"},
    ]
    given = put(put(pod(), "spec.containers.0.env", env), "spec.containers.0.args", ["--token=hunter2"])
    apiserver.says[f"{KUBE_SYSTEM}/pods"] = items(given)
    apiserver.says[f"{KUBE_SYSTEM}/pods/{SERVER_POD}/log"] = "GET / Authorization: Bearer hunter2hunter2\n"
    evidence = await looked(apiserver, tmp_path)
    assert not [asked for asked, answer in evidence.answers.items() if "hunter2" in answer.body]
    body = evidence.answer(Asked.PODS).body
    assert "PASSWORD" in body
    assert "proxy:3128" in body
    assert "10.0.0.0/8,.svc" in body


async def test_what_the_server_may_is_asked_for_its_account_with_its_groups(
    apiserver: Answering, tmp_path: Path
) -> None:
    async def some(request: web.Request) -> web.Response:
        review = await request.json()
        attributes = review["spec"]["resourceAttributes"]
        yes = attributes.get("subresource") != "stats"
        return web.json_response({**review, "status": {"allowed": yes, "reason": "because"}}, status=201)

    apiserver.says[SARS] = some
    evidence = await looked(apiserver, tmp_path)
    refused = [(grant.verb, grant.resource, grant.reason) for grant in evidence.grants if not grant.allowed]
    assert refused == [("get", "nodes/stats", "because")]
    specs = [json.loads(seen.body)["spec"] for seen in apiserver.asked(SARS)]
    assert {spec["user"] for spec in specs} == {ACCOUNT}
    groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]
    assert all(spec["groups"] == groups for spec in specs)
    about = {"verb": "watch", "version": "v1", "resource": "configmaps", "namespace": "kube-system"}
    wanted = about | {"name": "extension-apiserver-authentication"}
    assert wanted in [spec["resourceAttributes"] for spec in specs]


async def test_who_may_not_ask_about_permissions_learns_why_and_not_that_they_lack(
    apiserver: Answering, tmp_path: Path
) -> None:
    apiserver.says[SARS] = 403
    evidence = await looked(apiserver, tmp_path)
    assert {(grant.allowed, grant.reason) for grant in evidence.grants} == {
        (None, "the message of Forbidden")
    }


async def test_nobody_is_accused_of_lacking_permissions_where_no_server_is(
    apiserver: Answering, tmp_path: Path
) -> None:
    apiserver.says[f"{KUBE_SYSTEM}/pods"] = items()
    apiserver.says["/apis/apps/v1/namespaces/kube-system/deployments"] = items()
    evidence = await looked(apiserver, tmp_path)
    assert {grant.allowed for grant in evidence.grants} == {None}
    assert apiserver.asked(SARS) == []


async def test_in_the_servers_pod_it_asks_about_itself(apiserver: Answering, tmp_path: Path) -> None:
    async with FakeApiserver() as real:
        claims = base64.urlsafe_b64encode(json.dumps({"sub": ACCOUNT}).encode()).decode().rstrip("=")
        own = await credentials_for(tmp_path, real.url, token=f"e30.{claims}.sig", ca_pem=real.ca.cert_pem)
        for path in (f"{KUBE_SYSTEM}/services/metrics-server", f"{APISERVICES}/v1beta1.metrics.k8s.io"):
            real.refuse(path, 403, "forbidden")
        evidence = await collected(own, kubeconfig="")
    assert evidence.in_pod
    assert evidence.subject.account == ACCOUNT
    posted = {seen.path for seen in real.requests if seen.method == "POST"}
    assert posted == {SELF_SARS}


async def test_a_pod_that_is_asked_about_is_looked_at_with_its_metrics(
    apiserver: Answering, tmp_path: Path
) -> None:
    apiserver.says["/api/v1/namespaces/shop/pods/web-1"] = pod("web-1")
    apiserver.says[f"{METRICS}/namespaces/shop/pods/web-1"] = pod_metrics("shop/web-1")
    evidence = await looked(apiserver, tmp_path, Wanted(pod="shop/web-1"))
    assert evidence.subject.pod == "shop/web-1"
    assert evidence.answer(Asked.POD).ok
    assert "usage" in evidence.answer(Asked.POD_METRICS).body


def hpa(api_version: str, kind: str) -> dict[str, Any]:
    return {"spec": {"scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": "web"}}}


@pytest.mark.parametrize(
    ("api_version", "kind", "scale"),
    [
        ("apps/v1", "Deployment", "/apis/apps/v1/namespaces/shop/deployments/web/scale"),
        ("v1", "ReplicationController", "/api/v1/namespaces/shop/replicationcontrollers/web/scale"),
        ("example.org/v1", "Shop", "/apis/example.org/v1/namespaces/shop/shopses/web/scale"),
    ],
)
async def test_an_hpa_is_followed_to_its_target_and_to_its_pods(
    apiserver: Answering, tmp_path: Path, api_version: str, kind: str, scale: str
) -> None:
    resources = [{"name": "shopses/scale", "kind": "Scale"}, {"name": "shopses", "kind": "Shop"}]
    apiserver.says["/apis/example.org/v1"] = {"resources": resources}
    apiserver.says[HPA] = hpa(api_version, kind)
    apiserver.says[scale] = {"status": {"replicas": 1, "selector": "app=web,tier in (a,b)"}}
    apiserver.says["/api/v1/namespaces/shop/pods"] = items(pod("web-1"))
    apiserver.says[f"{METRICS}/namespaces/shop/pods"] = items(pod_metrics("shop/web-1"))
    evidence = await looked(apiserver, tmp_path, Wanted(hpa="shop/web"))
    assert all(
        evidence.answer(asked).ok
        for asked in (Asked.HPA, Asked.HPA_TARGET, Asked.HPA_PODS, Asked.HPA_POD_METRICS)
    )
    (asked,) = apiserver.asked("/api/v1/namespaces/shop/pods")
    assert asked.query["labelSelector"] == "app=web,tier in (a,b)"


async def test_a_kind_that_does_not_exist_is_said_to_be_missing(apiserver: Answering, tmp_path: Path) -> None:
    apiserver.says["/apis/example.org/v1"] = {"resources": []}
    apiserver.says[HPA] = hpa("example.org/v1", "Shop")
    answer = (await looked(apiserver, tmp_path, Wanted(hpa="shop/web"))).answer(Asked.HPA_TARGET)
    assert (answer.status, answer.words) == (404, "example.org/v1 has no kind Shop")


async def test_metrics_are_asked_in_the_version_that_is_registered(
    apiserver: Answering, tmp_path: Path
) -> None:
    del apiserver.says[f"{APISERVICES}/v1beta1.metrics.k8s.io"]
    apiserver.says["/apis/metrics.k8s.io/v1/nodes"] = items(node_metrics("node-1"))
    assert (await looked(apiserver, tmp_path)).answer(Asked.SERVED_NODES).ok


async def test_where_nothing_listens_one_question_says_so(tmp_path: Path, unused_tcp_port: int) -> None:
    evidence = await collected(await credentials_for(tmp_path, f"https://127.0.0.1:{unused_tcp_port}"))
    assert set(evidence.answers) == {Asked.VERSION}
    answer = evidence.answer(Asked.VERSION)
    assert (answer.status, answer.failure) == (0, "refused")
    assert "connection refused" in answer.words
    assert evidence.subject == Subject()


async def test_a_kube_apiserver_of_another_ca_is_untrusted(tmp_path: Path) -> None:
    async with FakeApiserver() as real:
        stranger = make_ca("stranger", SystemClock().now_ns()).cert_pem
        evidence = await collected(await credentials_for(tmp_path, real.url, token="t", ca_pem=stranger))
    answer = evidence.answer(Asked.VERSION)
    assert (answer.status, answer.failure) == (0, "untrusted")


async def test_a_name_that_does_not_resolve_is_said_as_kubectl_says_it(tmp_path: Path) -> None:
    evidence = await collected(await credentials_for(tmp_path, "https://kube-apiserver.invalid:6443"))
    answer = evidence.answer(Asked.VERSION)
    assert answer.failure == "unreachable"
    assert "lookup kube-apiserver.invalid: no such host" in answer.words


async def test_a_token_that_is_not_known_any_more_is_told_by_its_status(tmp_path: Path) -> None:
    async with FakeApiserver() as real:
        real.tokens = {"Bearer another"}
        old = await credentials_for(tmp_path, real.url, token="old", ca_pem=real.ca.cert_pem)
        evidence = await collected(old)
    assert evidence.answer(Asked.VERSION).status == 401


async def test_whoever_does_not_answer_is_waited_for_only_so_long(
    apiserver: Answering, tmp_path: Path
) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    apiserver.says[f"{METRICS}/pods"] = never
    began_s = asyncio.get_running_loop().time()
    evidence = await collected(await credentials_for(tmp_path, apiserver.url), within_s=0.7)
    assert asyncio.get_running_loop().time() - began_s < 5
    answer = evidence.answer(Asked.SERVED_PODS)
    assert (answer.status, answer.failure) == (0, "timeout")
    assert evidence.answer(Asked.NODES).ok


async def test_an_answer_without_an_end_is_not_read_to_its_end(apiserver: Answering, tmp_path: Path) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 20))

    apiserver.says["/apis/certificates.k8s.io/v1/certificatesigningrequests"] = flood
    answer = (await looked(apiserver, tmp_path)).answer(Asked.CSRS)
    assert (answer.status, answer.failure, answer.words) == (0, "too-large", "more than 32 MiB")


async def test_what_is_no_kube_apiserver_is_named_for_it(apiserver: Answering, tmp_path: Path) -> None:
    apiserver.says["/version"] = "<html>Please log in</html>"
    answer = (await looked(apiserver, tmp_path)).answer(Asked.VERSION)
    assert (answer.status, answer.failure) == (0, "unreachable")
    assert "is no kube-apiserver" in answer.words


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (
            'Client Version: version.Info{Major:"1", Minor:"9", GitVersion:"v1.9.11", GoVersion:"go1.9"}',
            "v1.9.11",
        ),
        ("Client Version: v1.36.2\nKustomize Version: v5.8.0", "v1.36.2"),
        ("something else", ""),
    ],
)
async def test_the_kubectl_of_any_age_tells_its_version(tmp_path: Path, said: str, version: str) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert await kubectl_version(str(program)) == version


async def test_no_kubectl_is_no_trouble(tmp_path: Path) -> None:
    assert await kubectl_version(str(tmp_path / "nothing")) == ""

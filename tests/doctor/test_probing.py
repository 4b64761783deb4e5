import asyncio
import base64
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pymetrics_server.clock import SystemClock
from pymetrics_server.doctor.certificate import seen as seen_certificate
from pymetrics_server.doctor.evidence import Answer, Asked, Evidence, NodeProbe, Subject
from pymetrics_server.doctor.probing import probe
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.doctor.answering import Answering, answering, asking, credentials_for
from tests.doctor.seen import ACCOUNT, items, node, put
from tests.kubelet.fake_kubelet import FakeKubelet, by_path, reply, server_context, serving

NOW_NS = SystemClock().now_ns()
CA = make_ca("kubernetes", NOW_NS)
STRANGER = make_ca("node-1-ca@1780315200", NOW_NS)
SUMMARY = (Path(__file__).parent.parent / "payloads/summary-k8s1.36-only-cpu-memory.json").read_bytes()
NOWHERE = "224.0.0.1"  # the kernel knows of no way to a multicast group for TCP, and sends nothing
TOKEN = "user-token"
INSECURE = "--kubelet-insecure-tls"
MANIFESTS = (
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    "--kubelet-use-node-status-port",
)


def context(*hosts: str, ca: Pair = CA, days: int = 365, at_ns: int = NOW_NS) -> ssl.SSLContext:
    pair = issue(
        ca, "system:node:node-1", at_ns, organizations=["system:nodes"], hosts=hosts, server=True, days=days
    )
    return server_context(pair)


def at(name: str, port: int, *addresses: str) -> dict[str, Any]:
    """With `addresses` of InternalIP, ExternalIP and so on; without any, on this machine."""
    kinds = ("InternalIP", "ExternalIP", "Hostname")
    found = [
        {"type": kind, "address": each}
        for kind, each in zip(kinds, addresses or ("127.0.0.1",), strict=False)
    ]
    return put(
        put(node(name), "status.addresses", found), "status.daemonEndpoints.kubeletEndpoint.Port", port
    )


def evidence(nodes: Sequence[dict[str, Any]], args: Sequence[str] = MANIFESTS, **fields: Any) -> Evidence:
    root_ca = {"data": {"ca.crt": CA.cert_pem.decode()}}
    answers = {
        Asked.NODES: Answer("/api/v1/nodes", 200, json.dumps(items(*nodes))),
        Asked.ROOT_CA: Answer("/root-ca", 200, json.dumps(root_ca)),
    }
    subject = Subject(server_args=args)
    made = Evidence(NOW_NS, "https://somewhere", "a file", False, subject, answers)
    return msgspec.structs.replace(made, **fields)


@pytest.fixture
async def apiserver() -> AsyncIterator[Answering]:
    async with answering() as running:
        yield running


async def probed(
    folder: Path,
    seen: Evidence,
    *,
    apiserver: str = "https://127.0.0.1:1",
    within_s: float = 20.0,
    **how: Any,
) -> Evidence:
    """With the user's token, towards kubelets; kube-apiserver listens nowhere."""
    how = {"token": TOKEN, **how}
    credentials = await credentials_for(folder, apiserver, token=how.pop("token"), ca_pem=CA.cert_pem)
    async with asking(credentials, within_s + 5) as asker:
        until_s = asyncio.get_running_loop().time() + within_s
        return await probe(seen, asker, credentials, SystemClock(), deadline_s=until_s, **how)


@contextlib.asynccontextmanager
async def kubelet(
    tls: ssl.SSLContext | None = None, body: bytes = SUMMARY, status: str = "200 OK"
) -> AsyncIterator[FakeKubelet]:
    async with serving(reply(body, status), tls or context("127.0.0.1")) as running:
        yield running


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Takes no connection and refuses none: the queue of those that wait to be taken is full."""
    with socket.socket() as listener, contextlib.ExitStack() as queue:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def only(seen: Evidence) -> NodeProbe:
    (found,) = seen.probes
    return found


async def test_a_kubelet_that_answers_tells_of_its_node(tmp_path: Path) -> None:
    async with kubelet() as running:
        seen = await probed(tmp_path, evidence([at("node-1", running.port)]))
    found = only(seen)
    assert (found.failure, found.status, found.endpoint) == ("", 200, "summary")
    assert (found.address, found.address_type, found.port) == ("127.0.0.1", "InternalIP", running.port)
    assert found.credentials == "user"
    assert found.cpu_ns
    assert found.memory_bytes
    assert found.pods
    assert found.containers >= found.pods
    assert found.sample_age_ms is not None
    assert running.paths == ["/stats/summary?only_cpu_and_memory=true"]
    assert f"Authorization: Bearer {TOKEN}" in running.heads[0]
    assert seen.probed_all
    assert seen.nodes_reachable_from_here
    assert seen.probe_caveat == ""


async def test_a_refused_summary_is_followed_by_the_resource_metrics(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "payloads/resource-k8s1.36.txt").read_bytes()
    answer = by_path({"/stats/summary": reply(b"no", "403 Forbidden"), "/metrics/resource": reply(text)})
    async with serving(answer, context("127.0.0.1")) as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)])))
    assert (found.failure, found.endpoint) == ("", "resource")


@pytest.mark.parametrize(
    ("hosts", "ca", "at_ns", "days", "failure"),
    [
        (["127.0.0.1"], STRANGER, NOW_NS, 365, "tls_unknown_issuer"),
        (["node-1", "10.9.9.9"], CA, NOW_NS, 365, "tls_name_mismatch"),
        (["127.0.0.1"], CA, NOW_NS - 400 * 86_400_000_000_000, 365, "tls_expired"),
    ],
    ids=["unknown-issuer", "name-mismatch", "expired"],
)
async def test_a_kubelet_that_is_not_proven_shows_its_certificate_and_is_shown_no_token(
    tmp_path: Path, hosts: list[str], ca: Pair, at_ns: int, days: int, failure: str
) -> None:
    async with kubelet(context(*hosts, ca=ca, at_ns=at_ns, days=days)) as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)])))
    assert found.failure == failure
    assert found.certificate is not None
    assert found.certificate.subject == "CN=system:node:node-1,O=system:nodes"
    assert found.certificate.issuer == f"CN={'kubernetes' if ca is CA else 'node-1-ca@1780315200'}"
    assert list(found.certificate.names) == hosts
    assert found.certificate.not_after_s - found.certificate.not_before_s == days * 86_400 + 3600
    assert not found.certificate.is_self_signed
    assert running.heads == []


async def test_outside_nothing_is_shown_to_kubelets_that_the_server_does_not_verify(tmp_path: Path) -> None:
    async with kubelet(context("nobody", ca=STRANGER), b"Unauthorized", status="401 Unauthorized") as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)], [*MANIFESTS, INSECURE])))
    assert (found.failure, found.status, found.credentials) == ("unauthenticated", 401, "none")
    assert running.heads
    assert not [head for head in running.heads if "authorization" in head.lower()]


async def test_no_credentials_go_over_plain_http(tmp_path: Path) -> None:
    plain = [*MANIFESTS, "--deprecated-kubelet-completely-insecure"]
    async with serving(reply(SUMMARY), None) as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)], plain)))
    assert (found.failure, found.credentials) == ("", "none")
    assert "authorization" not in running.heads[0].lower()


def token_of(account: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": account}).encode()).decode().rstrip("=")
    return f"e30.{claims}.sig"


@pytest.mark.parametrize(
    ("account", "shown"), [(ACCOUNT, "ours"), ("system:serviceaccount:default:me", "user")]
)
async def test_in_a_pod_it_is_told_whose_credentials_were_shown(
    tmp_path: Path, account: str, shown: str
) -> None:
    async with kubelet() as running:
        inside = evidence([at("node-1", running.port)], in_pod=True)
        found = only(await probed(tmp_path, inside, token=token_of(account)))
    assert (found.failure, found.credentials) == ("", shown)
    assert token_of(account) in running.heads[0]


async def test_in_another_pod_nothing_is_shown_to_kubelets_that_are_not_verified(tmp_path: Path) -> None:
    async with kubelet() as running:
        inside = evidence([at("node-1", running.port)], [*MANIFESTS, INSECURE], in_pod=True)
        found = only(await probed(tmp_path, inside, token=token_of("system:serviceaccount:default:me")))
    assert found.credentials == "none"
    assert "authorization" not in running.heads[0].lower()


async def test_a_kubelets_403_is_told_in_its_own_words(tmp_path: Path) -> None:
    words = "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=stats)"
    async with kubelet(None, words.encode(), status="403 Forbidden") as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)])))
    assert (found.failure, found.status) == ("forbidden", 403)
    assert words in found.detail


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize(("token", "credentials"), [(TOKEN, "user"), ("", "none")])
async def test_without_a_token_being_nobody_to_a_kubelet_tells_nothing(
    tmp_path: Path, status: str, token: str, credentials: str
) -> None:
    """A client certificate is known to kubelets that have its CA only."""
    words = b"Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=stats)"
    async with kubelet(None, words, status) as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)]), token=token))
    assert found.status in (401, 403)
    assert found.credentials == credentials


async def test_a_port_where_nothing_listens_is_refused(tmp_path: Path, unused_tcp_port: int) -> None:
    found = only(await probed(tmp_path, evidence([at("node-1", unused_tcp_port)], in_pod=True)))
    assert (found.failure, found.address) == ("refused", "127.0.0.1")


async def test_a_name_that_does_not_resolve_is_told_with_it(tmp_path: Path) -> None:
    lost = put(at("node-1", 10250), "status.addresses", [{"type": "Hostname", "address": "node-1.invalid"}])
    found = only(await probed(tmp_path, evidence([lost], in_pod=True)))
    assert (found.failure, found.address_type) == ("dns", "Hostname")
    assert "node-1.invalid" in found.detail


async def test_the_address_that_took_the_connection_is_told(tmp_path: Path) -> None:
    async with kubelet(context("127.0.0.1")) as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port, NOWHERE, "127.0.0.1")])))
    assert (found.failure, found.address, found.address_type) == ("", "127.0.0.1", "ExternalIP")


async def test_a_node_without_a_usable_address_is_told_as_such(tmp_path: Path) -> None:
    hidden = put(at("node-1", 10250), "status.addresses", [{"type": "InternalIP", "address": "***HIDDEN***"}])
    found = only(await probed(tmp_path, evidence([hidden], in_pod=True)))
    assert (found.failure, found.address) == ("no_address", "")


async def test_the_servers_own_flags_say_where_and_whom_to_ask(tmp_path: Path) -> None:
    async with kubelet(context("127.0.0.1")) as running:
        args = [f"--kubelet-port={running.port}", "--kubelet-preferred-address-types=ExternalIP", "-lpool=a"]
        mine = put(at("node-1", 1, NOWHERE, "127.0.0.1"), "metadata.labels", {"pool": "a"})
        seen = await probed(tmp_path, evidence([mine, at("node-2", 1)], args))
    assert (only(seen).node, only(seen).failure, only(seen).port) == ("node-1", "", running.port)


async def test_a_node_that_measures_nothing_is_told_from_one_that_tells_nothing(tmp_path: Path) -> None:
    summary = json.loads(SUMMARY)
    summary["node"]["cpu"]["usageCoreNanoSeconds"] = 0
    async with kubelet(None, json.dumps(summary).encode()) as running:
        found = only(await probed(tmp_path, evidence([at("node-1", running.port)])))
    assert (found.failure, found.cpu_ns, found.memory_bytes) == ("", 0, None)
    assert "node: cpu is zero" in found.detail


async def test_a_ca_that_only_the_servers_pod_has_is_told_of(tmp_path: Path) -> None:
    async with kubelet() as running:
        args = [*MANIFESTS, "--kubelet-certificate-authority=/etc/kubelet/ca.crt"]
        seen = await probed(tmp_path, evidence([at("node-1", running.port)], args))
    assert only(seen).failure == ""
    assert "/etc/kubelet/ca.crt" in seen.probe_caveat


async def test_a_thousand_nodes_of_which_half_are_dead_are_done_in_time(
    tmp_path: Path, dead_port: int
) -> None:
    """Dead ones are waited for a third of the usual time, which would be 12 s of the 20."""
    told: list[tuple[int, int]] = []
    async with kubelet() as running:
        nodes = [at(f"node-{i:04}", dead_port if i % 2 else running.port) for i in range(1000)]
        began_s = asyncio.get_running_loop().time()
        seen = await probed(
            tmp_path, evidence(nodes), told=lambda done, all_: told.append((done, all_)), connect_s=1.0
        )
        took_s = asyncio.get_running_loop().time() - began_s
    assert took_s < 15
    assert seen.probed_all
    assert [each.node for each in seen.probes] == sorted(each.node for each in seen.probes)
    assert {each.failure for each in seen.probes} == {"", "connect_timeout"}
    assert sum(each.failure == "" for each in seen.probes) == 500
    assert told == [(number + 1, 1000) for number in range(1000)]


async def test_what_is_not_done_when_time_is_over_is_left_out(tmp_path: Path, dead_port: int) -> None:
    async with kubelet() as running:
        nodes = [at("node-1", running.port), *(at(f"node-dead-{i}", dead_port) for i in range(3))]
        seen = await probed(tmp_path, evidence(nodes), within_s=1.0, connect_s=30.0)
    assert [each.node for each in seen.probes] == ["node-1"]
    assert not seen.probed_all


async def test_outside_and_without_a_way_to_any_node_some_are_asked_through_kube_apiserver(
    tmp_path: Path, apiserver: Answering
) -> None:
    for i in range(30):
        apiserver.says[f"/api/v1/nodes/node-{i:02}/proxy/stats/summary"] = json.loads(SUMMARY)
    nodes = [at(f"node-{i:02}", 10250, NOWHERE) for i in range(30)]
    seen = await probed(tmp_path, evidence(nodes), apiserver=apiserver.url)
    assert not seen.nodes_reachable_from_here
    direct = [each for each in seen.probes if each.address_type != "proxy"]
    assert {each.failure for each in direct} == {"unreachable"}
    assert len(direct) == 30
    proxied = [each for each in seen.probes if each.address_type == "proxy"]
    assert len(proxied) == 20
    assert {(each.failure, each.credentials) for each in proxied} == {("", "user")}
    assert all(each.cpu_ns for each in proxied)


async def test_who_may_not_ask_through_kube_apiserver_is_told_once(
    tmp_path: Path, apiserver: Answering
) -> None:
    apiserver.says = {f"/api/v1/nodes/node-{i}/proxy/stats/summary": 403 for i in range(3)}
    nodes = [at(f"node-{i}", 10250, NOWHERE) for i in range(3)]
    seen = await probed(tmp_path, evidence(nodes), apiserver=apiserver.url)
    proxied = [each for each in seen.probes if each.address_type == "proxy"]
    assert [(each.failure, each.status) for each in proxied] == [("forbidden", 403)]


async def test_outside_it_gives_up_where_no_node_of_many_can_be_reached(
    tmp_path: Path, apiserver: Answering
) -> None:
    nodes = [at(f"node-{i}", 10250, NOWHERE) for i in range(1500)]
    seen = await probed(tmp_path, evidence(nodes), apiserver=apiserver.url)
    assert not seen.nodes_reachable_from_here
    assert not seen.probed_all
    assert len(seen.probes) < 600


async def test_in_a_pod_nodes_that_cannot_be_reached_are_told_as_they_are(tmp_path: Path) -> None:
    seen = await probed(tmp_path, evidence([at("node-1", 10250, NOWHERE)], in_pod=True))
    assert seen.nodes_reachable_from_here
    assert only(seen).failure == "unreachable"


async def test_without_a_list_of_nodes_nothing_is_probed(tmp_path: Path) -> None:
    nothing = evidence([], answers={Asked.NODES: Answer("/api/v1/nodes", 403, "no")})
    assert await probed(tmp_path, nothing) == nothing


def test_what_is_no_certificate_is_none() -> None:
    assert seen_certificate(b"\x30\x82\x00") is None

"""One scrape over real TLS: every way in which a kubelet disappoints has its own name, and costs bounded memory."""

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.client import Endpoint, KubeletClient
from pymetrics_server.kubelet.connection import KubeletConnection
from pymetrics_server.kubelet.lookups import Lookups
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.kubelet.tls import KubeletTLS, client_context
from pymetrics_server.kubelet.transport import KubeletTransport, TransportSettings
from pymetrics_server.kubelet.turns import Turns
from pymetrics_server.meta.objects import Node, NodeAddress
from pymetrics_server.meta.usage import NodeSample
from pymetrics_server.meta.verification import Verification
from pymetrics_server.x509 import issue, make_ca
from tests.fakes.clock import FakeClock
from tests.kubelet.fake_kubelet import Answer, FakeKubelet, by_path, reply, server_context, serving

NOW_NS = time.time_ns()
CA = make_ca("kubelet-ca", NOW_NS)
OTHER_CA = make_ca("kubelet-ca", NOW_NS)
TRUSTED = server_context(issue(CA, "node", NOW_NS, hosts=["127.0.0.1", "::1"], server=True))

SUMMARY = json.dumps(
    {
        "node": {
            "cpu": {"time": "2026-11-23T07:11:46Z", "usageCoreNanoSeconds": 5},
            "memory": {"workingSetBytes": 7},
        },
        "pods": [],
    }
).encode()
RESOURCE = b"node_cpu_usage_seconds_total 2 1795417905980\nnode_memory_working_set_bytes 9 1795417905980\n"
BOTH = {"/stats/summary": reply(SUMMARY), "/metrics/resource": reply(RESOURCE)}
FORBIDDEN = reply(b"Forbidden (user=ms, verb=get, resource=nodes, subresource=stats)", "403 Forbidden")
MiB = 1 << 20


class Tokens:
    """Credentials: the first token until it is refused, then the next."""

    def __init__(self, *tokens: str | None) -> None:
        self.tokens = list(tokens)
        self.refused: list[str | None] = []

    async def bearer_token(self) -> str | None:
        return self.tokens[0]

    async def renew(self, refused: str | None) -> bool:
        self.refused.append(refused)
        if len(self.tokens) == 1:
            return False
        self.tokens.pop(0)
        return True


@contextlib.asynccontextmanager
async def scraper(
    port: int,
    *,
    endpoint: Endpoint = "auto",
    tls: KubeletTLS = KubeletTLS(ca_pem=CA.cert_pem),  # noqa: B008  frozen
    timeout_s: float = 10,
    token: str | None = "s3cret",
    tokens: Tokens | None = None,
    clock: FakeClock | None = None,
    max_body_bytes: int = 64 * MiB,
    types: Sequence[str] = ("InternalIP", "Hostname"),
) -> AsyncIterator[KubeletClient]:
    settings = TransportSettings(
        preferred_address_types=types,
        port=port,
        use_node_status_port=False,
        request_timeout_ns=int(timeout_s * 1e9),
        completely_insecure=tls.verify is Verification.HTTP,
        max_body_bytes=max_body_bytes,
        user_agent="metrics-server/test",
    )
    context = client_context(tls)
    transport = KubeletTransport(settings, lambda: context, tokens or Tokens(token))
    with contextlib.closing(transport):
        yield KubeletClient(transport, endpoint, clock or FakeClock())


def node(address: str = "127.0.0.1", *, path: str = "", kind: str = "InternalIP") -> Node:
    return Node(name="n", addresses=(NodeAddress(kind, address),), resource_metrics_path=path)


async def failure_of(client: KubeletClient, asked: Node | None = None) -> KubeletError:
    with pytest.raises(KubeletError) as raised:
        await client.scrape(asked or node())
    assert "\n" not in raised.value.detail
    return raised.value


async def failure_with(answer: Answer, **options: float) -> KubeletError:
    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port, **options) as client:  # type: ignore[arg-type]
        return await failure_of(client)


async def test_a_summary_is_asked_for_as_the_original_asks() -> None:
    async with serving(by_path(BOTH), TRUSTED) as kubelet, scraper(kubelet.port) as client:
        sample = await client.scrape(node())
    assert sample.node is not None
    assert sample.node.cpu_ns == 5
    (head,) = kubelet.heads
    assert head.startswith("GET /stats/summary?only_cpu_and_memory=true HTTP/1.1\r\n")
    headers = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
    assert headers == {
        "Host": f"127.0.0.1:{kubelet.port}",
        "User-Agent": "metrics-server/test",
        "Accept-Encoding": "gzip",
        "Authorization": "Bearer s3cret",
    }


async def test_a_connection_is_used_again_for_the_next_scrape() -> None:
    async with serving(by_path(BOTH), TRUSTED) as kubelet, scraper(kubelet.port) as client:
        for _ in range(5):
            await client.scrape(node())
    assert (len(kubelet.heads), kubelet.connections) == (5, 1)


async def test_a_kubelet_that_hung_up_meanwhile_is_asked_over_a_new_connection() -> None:
    hung_up = asyncio.Event()

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        await reply(SUMMARY)(path, writer)
        await writer.drain()
        writer.close()
        hung_up.set()

    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        for _ in range(3):
            await client.scrape(node())
            await hung_up.wait()
            hung_up.clear()
    assert (len(kubelet.heads), kubelet.connections) == (3, 3)


async def test_a_kubelet_that_hangs_up_instead_of_answering_again_is_asked_once_more() -> None:
    asked = 0

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            writer.transport.abort()
        else:
            await reply(SUMMARY)(path, writer)

    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        for _ in range(2):
            assert (await client.scrape(node())).node is not None
    assert (asked, kubelet.connections) == (3, 2)


async def test_a_kubelet_that_breaks_off_its_answer_is_not_asked_again_at_once() -> None:
    asked = 0

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await (reply(SUMMARY[:9], length=99) if asked == 2 else reply(SUMMARY))(path, writer)

    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        await client.scrape(node())
        assert (await failure_of(client)).failure is FailureClass.DISCONNECTED
    assert asked == 2


async def test_a_node_that_moved_is_dialled_anew_and_one_that_went_is_hung_up_on() -> None:
    both = server_context(issue(CA, "node", NOW_NS, hosts=["127.0.0.1", "127.0.0.2"], server=True))
    async with serving(by_path(BOTH), both, host="0.0.0.0") as kubelet, scraper(kubelet.port) as client:
        for _ in range(2):
            await client.scrape(node())
        assert kubelet.connections == 1
        await client.scrape(node("127.0.0.2"))
        assert kubelet.connections == 2
        client.forget("n")
        await client.scrape(node("127.0.0.2"))
        assert kubelet.connections == 3


async def test_new_trust_in_kubelets_holds_for_connections_that_are_kept() -> None:
    contexts = [client_context(KubeletTLS(ca_pem=ca.cert_pem)) for ca in (CA, OTHER_CA)]
    async with serving(by_path(BOTH), TRUSTED) as kubelet:
        settings = TransportSettings(
            preferred_address_types=["InternalIP"],
            port=kubelet.port,
            use_node_status_port=False,
            request_timeout_ns=10**10,
        )
        transport = KubeletTransport(settings, lambda: contexts[0], Tokens(None))
        with contextlib.closing(transport):
            client = KubeletClient(transport, "auto", FakeClock())
            await client.scrape(node())
            contexts.reverse()
            assert (await failure_of(client)).failure is FailureClass.TLS_UNKNOWN_ISSUER


def at(*addresses: tuple[str, str]) -> Node:
    return Node(name="n", addresses=tuple(NodeAddress(kind, address) for kind, address in addresses))


@pytest.mark.parametrize(
    "unusable", [("Hostname", "no-such-node.invalid"), ("ExternalIP", "127.0.0.9")], ids=["dns", "refused"]
)
async def test_a_node_that_cannot_be_reached_at_its_preferred_address_is_asked_at_the_next(
    unusable: tuple[str, str],
) -> None:
    """And from then on there at once: a name that does not resolve costs its time only once."""
    asked = at(unusable, ("InternalIP", "127.0.0.1"))
    types = ("Hostname", "ExternalIP", "InternalIP")
    async with serving(by_path(BOTH), TRUSTED) as kubelet, scraper(kubelet.port, types=types) as client:
        for _ in range(2):
            assert (await client.scrape(asked)).node is not None
    assert kubelet.connections == 1


async def test_a_silent_address_leaves_time_for_the_next() -> None:
    with socket.create_server(("127.0.0.3", 0)) as silent:
        port = silent.getsockname()[1]
        async with (
            serving(by_path(BOTH), TRUSTED, port=port) as kubelet,
            scraper(port, timeout_s=2) as client,
        ):
            asked = at(("InternalIP", "127.0.0.3"), ("Hostname", "127.0.0.1"))
            assert (await client.scrape(asked)).node is not None
    assert kubelet.connections == 1


async def test_when_no_address_answers_the_error_tells_of_each() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    asked = at(("Hostname", "no-such-node.invalid"), ("InternalIP", "127.0.0.1"))
    async with scraper(port, types=("Hostname", "InternalIP")) as client:
        for _ in range(2):
            err = await failure_of(client, asked)
            assert err.failure is FailureClass.DNS
            assert "no-such-node.invalid: dns: " in err.detail
            assert "127.0.0.1: refused" in err.detail


async def test_after_a_failure_elsewhere_the_preferred_address_is_asked_again() -> None:
    """A load balancer or another machine may be what answers there."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    asked = at(("InternalIP", "127.0.0.1"), ("Hostname", "127.0.0.2"))
    stranger = server_context(make_ca("self", NOW_NS))
    async with serving(by_path(BOTH), stranger, host="127.0.0.2", port=port), scraper(port) as client:
        err = await failure_of(client, asked)
        assert err.failure is FailureClass.REFUSED
        assert "127.0.0.2: tls_unknown_issuer" in err.detail
        async with serving(by_path(BOTH), TRUSTED, port=port):
            assert (await client.scrape(asked)).node is not None


async def test_where_certificates_are_not_verified_the_token_is_shown_at_the_preferred_address_alone() -> (
    None
):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    asked = at(("InternalIP", "127.0.0.1"), ("Hostname", "127.0.0.2"))
    insecure = KubeletTLS(verify=Verification.INSECURE)
    async with (
        serving(by_path(BOTH), TRUSTED, host="127.0.0.2", port=port) as kubelet,
        scraper(port, tls=insecure) as client,
    ):
        assert (await failure_of(client, asked)).failure is FailureClass.REFUSED
    assert kubelet.connections == 0


async def test_a_resolver_that_is_silent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object, **__: object) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr(Lookups, "addresses", silent)
    async with scraper(10250, timeout_s=0.2) as client:
        err = await failure_of(client, node("slow.example", kind="Hostname"))
    assert err.failure is FailureClass.DNS
    assert "its name is not resolved within" in err.detail


async def test_a_kubelet_that_ceases_to_read_is_hung_up_on() -> None:
    """It must not be waited for: whatever it says meanwhile would be lost, and the wait with it."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(65536))
        connection = KubeletConnection(ours, ("kubelet", 0), None, asyncio.get_running_loop(), Turns(1))
        with pytest.raises(KubeletError, match="does not read what it is asked"):
            await connection.get(b"GET / HTTP/1.1\r\n\r\n", 1000)
        assert not connection.is_open


async def test_tokens_that_are_refused_one_after_the_other_are_renewed_once_a_minute() -> None:
    """An exec plugin issues a new one each time."""
    tokens = Tokens("a", "b", "c", "d")
    refusing = reply(b"Unauthorized", "401 Unauthorized")
    async with serving(refusing, TRUSTED) as kubelet, scraper(kubelet.port, tokens=tokens) as client:
        for _ in range(3):
            assert (await failure_of(client)).failure is FailureClass.UNAUTHENTICATED
    assert tokens.refused == ["Bearer a"]


async def test_a_certificate_that_cannot_be_trusted_is_no_reason_to_ask_elsewhere() -> None:
    async with serving(by_path(BOTH), server_context(make_ca("self", NOW_NS))) as kubelet:
        async with scraper(kubelet.port) as client:
            err = await failure_of(client, at(("InternalIP", "127.0.0.1"), ("Hostname", "localhost")))
        assert err.failure is FailureClass.TLS_UNKNOWN_ISSUER
        assert kubelet.connections <= 1


async def test_a_summary_that_is_nonsense_time_after_time_is_replaced() -> None:
    answers = by_path(BOTH | {"/stats/summary": reply(b"<html>Sign in</html>")})
    async with serving(answers, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        for _ in range(2):
            assert (await failure_of(client)).failure is FailureClass.PARSE_ERROR
        assert (await client.scrape(node())).node is not None


async def test_a_large_answer_comes_whole() -> None:
    padded = SUMMARY[:-1] + b" " * 5 * MiB + SUMMARY[-1:]
    async with serving(reply(padded), TRUSTED) as kubelet, scraper(kubelet.port) as client:
        for _ in range(2):
            assert (await client.scrape(node())).node is not None
    assert kubelet.connections == 1


@pytest.mark.parametrize("token", ["a\r\nX-Evil: b", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_a_token_that_is_no_header_is_not_sent(token: str) -> None:
    async with serving(by_path(BOTH), TRUSTED) as kubelet, scraper(kubelet.port, token=token) as client:
        assert (await failure_of(client)).failure is FailureClass.UNAUTHENTICATED
    assert kubelet.heads == []


async def test_a_kubelet_without_the_right_to_its_summary_is_read_from_its_resource_metrics() -> None:
    clock = FakeClock()
    answers = by_path(BOTH | {"/stats/summary": FORBIDDEN})
    async with serving(answers, TRUSTED) as kubelet, scraper(kubelet.port, clock=clock) as client:
        assert client.endpoint_in_use("n") == "summary"
        for _ in range(3):
            sample = await client.scrape(node())
            assert sample.node is not None
            assert sample.node.cpu_ns == 2_000_000_000
        assert client.endpoint_in_use("n") == "resource"
        await clock.advance(601)
        await client.scrape(node())
        client.forget("n")
        assert client.endpoint_in_use("n") == "summary"
    stats, metrics = "/stats/summary?only_cpu_and_memory=true", "/metrics/resource"
    assert kubelet.paths == [stats, metrics, metrics, metrics, stats, metrics]


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed"])
async def test_a_summary_that_fails_otherwise_is_replaced_as_well(status: str) -> None:
    answers = by_path(BOTH | {"/stats/summary": reply(b"", status)})
    async with serving(answers, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        assert (await client.scrape(node())).node is not None


async def test_a_summary_that_breaks_now_and_then_is_asked_for_again_and_one_that_always_does_is_replaced() -> (
    None
):
    answers = dict(BOTH)
    broken, whole = reply(b"", "500 Internal Server Error"), BOTH["/stats/summary"]
    async with serving(by_path(answers), TRUSTED) as kubelet, scraper(kubelet.port) as client:
        for summary in (broken, broken, whole, broken, broken):
            answers["/stats/summary"] = summary
            if summary is broken:
                assert (await failure_of(client)).failure is FailureClass.SERVER_ERROR
            else:
                await client.scrape(node())
        assert client.endpoint_in_use("n") == "summary"
        assert (await client.scrape(node())).node is not None
        assert client.endpoint_in_use("n") == "resource"


async def test_a_resource_page_that_turns_unreadable_is_left_for_the_summary_at_the_next_scrape() -> None:
    answers = BOTH | {"/stats/summary": FORBIDDEN}
    async with serving(by_path(answers), TRUSTED) as kubelet, scraper(kubelet.port) as client:
        await client.scrape(node())
        answers |= {"/stats/summary": reply(SUMMARY), "/metrics/resource": reply(b"<html>")}
        assert (await failure_of(client)).failure is FailureClass.PARSE_ERROR
        assert (await client.scrape(node())).node is not None


async def test_each_change_of_the_endpoint_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    answers = dict(BOTH)
    async with serving(by_path(answers), TRUSTED) as kubelet, scraper(kubelet.port, clock=clock) as client:
        with caplog.at_level("INFO", "pymetrics_server"):
            for summary in (FORBIDDEN, FORBIDDEN, reply(SUMMARY), reply(SUMMARY), FORBIDDEN):
                answers["/stats/summary"] = summary
                await client.scrape(node())
                await clock.advance(601)
    sentences = [record.getMessage() for record in caplog.records if record.name.startswith("pymetrics")]
    refused = "Kubelet refuses its summary, its resource metrics are read instead"
    assert sentences == [refused, "Kubelet answers with its summary again", refused]


async def test_when_neither_endpoint_answers_the_error_tells_both_reasons() -> None:
    answers = by_path({"/stats/summary": FORBIDDEN, "/metrics/resource": reply(b"", "502 Bad Gateway")})
    err = await failure_with(answers)
    assert err.failure is FailureClass.FORBIDDEN
    assert "/metrics/resource: server_error" in err.detail
    assert "neither" not in err.detail


async def test_when_both_endpoints_are_forbidden_the_error_says_so_in_the_kubelet_s_words() -> None:
    err = await failure_with(FORBIDDEN)
    assert (err.failure, err.status) == (FailureClass.FORBIDDEN, 403)
    assert 'request failed, status: "403 Forbidden"' in err.detail
    assert "subresource=stats" in err.detail
    assert "nodes/stats" in err.detail
    assert "nodes/metrics" in err.detail


@pytest.mark.parametrize("endpoint", ["summary", "resource"])
async def test_a_pinned_endpoint_is_the_only_one_asked(endpoint: Endpoint) -> None:
    async with serving(FORBIDDEN, TRUSTED) as kubelet, scraper(kubelet.port, endpoint=endpoint) as client:
        assert (await failure_of(client)).failure is FailureClass.FORBIDDEN
    assert len(kubelet.heads) == 1


async def test_an_annotated_path_is_read_in_the_resource_format() -> None:
    answers = by_path({"/custom/page%3Fx=1": reply(RESOURCE)})
    async with serving(answers, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        sample = await client.scrape(node(path="custom/page?x=1"))
    assert kubelet.paths == ["/custom/page%3Fx=1"]
    assert sample.node is not None


async def test_a_changed_node_is_asked_at_its_new_path() -> None:
    answers = by_path(BOTH | {"/elsewhere": reply(RESOURCE)})
    async with serving(answers, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        await client.scrape(node())
        await client.scrape(node(path="/elsewhere"))
    assert kubelet.paths[1] == "/elsewhere"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("401 Unauthorized", FailureClass.UNAUTHENTICATED),
        ("403 Forbidden", FailureClass.FORBIDDEN),
        ("404 Not Found", FailureClass.NOT_FOUND),
        ("500 Internal Server Error", FailureClass.SERVER_ERROR),
        ("503 Service Unavailable", FailureClass.SERVER_ERROR),
        ("204 No Content", FailureClass.BAD_STATUS),
        ("302 Found", FailureClass.BAD_STATUS),
    ],
)
async def test_each_status_has_its_class_and_keeps_the_kubelet_s_words(
    status: str, failure: FailureClass
) -> None:
    words = b"" if status.startswith("204") else b"because\n<b>of this</b>" * 40
    err = await failure_with(reply(words, status, "Location: https://127.0.0.1:1/\r\n"))
    assert (err.failure, err.status) == (failure, int(status[:3]))
    assert status in err.detail
    assert not words or "because <b>of this</b>" in err.detail
    assert len(err.detail) < 400


async def test_gzip_is_inflated() -> None:
    answer = reply(gzip.compress(SUMMARY), headers="Content-Encoding: gzip\r\n")
    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        assert (await client.scrape(node())).node is not None


GZIPPED = "Content-Encoding: gzip\r\n"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (reply(b"<html><body>Sign in</body></html>"), FailureClass.PARSE_ERROR),
        (reply(b"\x00\xff garbage"), FailureClass.PARSE_ERROR),
        (reply(b""), FailureClass.PARSE_ERROR),
        (reply(SUMMARY[:50]), FailureClass.PARSE_ERROR),
        (reply(SUMMARY[:50], length=len(SUMMARY)), FailureClass.DISCONNECTED),
        (reply(b"not gzip", headers=GZIPPED), FailureClass.PARSE_ERROR),
        (reply(gzip.compress(SUMMARY)[:-12], headers=GZIPPED), FailureClass.DISCONNECTED),
        (reply(SUMMARY, headers="Content-Encoding: br\r\n"), FailureClass.PARSE_ERROR),
        (reply(b"", headers=f"Content-Length: {200 * MiB}\r\n"), FailureClass.PARSE_ERROR),
    ],
    ids=["html", "garbage", "empty", "cut", "half", "no gzip", "half gzip", "brotli", "two lengths"],
)
async def test_an_answer_that_is_not_what_was_promised_is_named(
    answer: Answer, failure: FailureClass
) -> None:
    assert (await failure_with(answer)).failure is failure


@pytest.mark.parametrize("endpoint", ["summary", "resource"])
async def test_an_answer_that_tells_nothing_is_a_failure(endpoint: Endpoint) -> None:
    """Else what is known of the node would be forgotten for it."""
    nothing = reply(b'{"node":{},"pods":[]}' if endpoint == "summary" else b"# nothing\n")
    async with serving(nothing, TRUSTED) as kubelet, scraper(kubelet.port, endpoint=endpoint) as client:
        err = await failure_of(client)
    assert err.failure is FailureClass.EMPTY_ANSWER


async def test_what_does_not_speak_http_is_named() -> None:
    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        writer.close()

    err = await failure_with(answer)
    assert err.failure is FailureClass.PARSE_ERROR
    assert err.detail.startswith("not HTTP")


async def test_a_kubelet_that_hangs_up_is_named() -> None:
    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert (await failure_with(answer)).failure is FailureClass.DISCONNECTED


async def test_an_announced_flood_is_refused_before_it_is_read() -> None:
    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {200 * MiB}\r\n\r\n".encode())

    err = await failure_with(answer)
    assert err.failure is FailureClass.TOO_LARGE
    assert str(200 * MiB) in err.detail


async def test_a_flood_of_unknown_length_is_cut_off() -> None:
    sent = 0

    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 200 * MiB:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            sent += 0x10000
            await writer.drain()
            await asyncio.sleep(0)  # drain alone does not let the loop tell that the other side has hung up

    err = await failure_with(answer, max_body_bytes=4 * MiB)
    assert err.failure is FailureClass.TOO_LARGE
    assert sent < 40 * MiB


async def test_a_gzip_bomb_is_not_inflated_beyond_the_bound() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(MiB)) for _ in range(200)) + packer.flush()
    err = await failure_with(reply(bomb, headers=GZIPPED), max_body_bytes=4 * MiB)
    assert err.failure is FailureClass.TOO_LARGE
    assert "inflated" in err.detail


async def test_an_answer_that_never_ends_costs_the_timeout() -> None:
    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    err = await failure_with(answer, timeout_s=0.3)
    assert err.failure is FailureClass.SLOW_RESPONSE
    assert "0.3s" in err.detail


async def test_a_kubelet_that_says_nothing_costs_the_timeout() -> None:
    async def answer(_path: str, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert (await failure_with(answer, timeout_s=0.3)).failure is FailureClass.SLOW_RESPONSE


async def test_a_port_that_never_shakes_hands_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with scraper(silent.getsockname()[1], timeout_s=0.3) as client:
            assert (await failure_of(client)).failure is FailureClass.CONNECT_TIMEOUT


async def test_a_port_where_nothing_listens_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    async with scraper(port) as client:
        assert (await failure_of(client)).failure is FailureClass.REFUSED


@pytest.mark.parametrize("name", ["no-such-node.invalid", "no..such..node", "x" * 64 + ".invalid"])
async def test_a_name_that_does_not_resolve_is_named(name: str) -> None:
    async with scraper(10250) as client:
        err = await failure_of(client, node(name, kind="Hostname"))
    assert err.failure is FailureClass.DNS


async def test_a_node_without_an_address_is_named() -> None:
    async with scraper(10250) as client:
        err = await failure_of(client, node("***HIDDEN***"))
    assert err.detail == "no address matched types [InternalIP Hostname]"


@pytest.mark.parametrize(
    ("pair", "failure"),
    [
        (issue(CA, "127.0.0.1", NOW_NS, hosts=["10.9.9.9", "node"]), FailureClass.TLS_NAME_MISMATCH),
        (issue(CA, "127.0.0.1", NOW_NS), FailureClass.TLS_NAME_MISMATCH),
        (issue(OTHER_CA, "n", NOW_NS, hosts=["127.0.0.1"]), FailureClass.TLS_UNKNOWN_ISSUER),
        (make_ca("n@self", NOW_NS), FailureClass.TLS_UNKNOWN_ISSUER),
        (
            issue(CA, "n", NOW_NS - 86400 * 10**10, hosts=["127.0.0.1"], days=1),
            FailureClass.TLS_EXPIRED,
        ),
        (issue(CA, "n", NOW_NS + 86400 * 10**10, hosts=["127.0.0.1"]), FailureClass.TLS_EXPIRED),
    ],
    ids=["other names", "a common name is no name", "other CA", "self-signed", "expired", "not yet valid"],
)
async def test_each_fault_of_a_certificate_has_its_class(pair: object, failure: FailureClass) -> None:
    async with serving(by_path(BOTH), server_context(pair)) as kubelet:  # type: ignore[arg-type]
        async with scraper(kubelet.port) as client:
            assert (await failure_of(client)).failure is failure
        assert kubelet.heads == []
        async with scraper(kubelet.port, tls=KubeletTLS(verify=Verification.INSECURE)) as client:
            assert (await client.scrape(node())).node is not None


async def test_a_kubelet_that_waits_for_its_certificate_is_named() -> None:
    """Go's server says alert internal_error where its certificate is not there yet."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x50")
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server, scraper(server.sockets[0].getsockname()[1]) as client:
        assert (await failure_of(client)).failure is FailureClass.TLS_ALERT_INTERNAL


async def test_a_plain_http_server_is_a_tls_failure() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent a TLS request to an HTTP server.")
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server, scraper(server.sockets[0].getsockname()[1]) as client:
        assert (await failure_of(client)).failure is FailureClass.TLS_OTHER


async def test_completely_insecure_speaks_plain_http_and_shows_no_credentials() -> None:
    plain = KubeletTLS(verify=Verification.HTTP)
    async with serving(by_path(BOTH), None) as kubelet, scraper(kubelet.port, tls=plain) as client:
        await client.scrape(node())
    assert "authorization" not in kubelet.heads[0].lower()


async def test_a_client_certificate_is_shown() -> None:
    ours = issue(CA, "metrics-server", NOW_NS, client=True)
    context = server_context(issue(CA, "node", NOW_NS, hosts=["127.0.0.1"], server=True))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=CA.cert_pem.decode())
    tls = KubeletTLS(ca_pem=CA.cert_pem, client_cert_pem=ours.cert_pem, client_key_pem=ours.key_pem)
    async with serving(by_path(BOTH), context) as kubelet, scraper(kubelet.port, tls=tls) as client:
        assert (await client.scrape(node())).node is not None


async def test_a_rotated_token_is_shown_from_the_next_scrape_on() -> None:
    tokens = Tokens("first")
    async with serving(by_path(BOTH), TRUSTED) as kubelet, scraper(kubelet.port, tokens=tokens) as client:
        for token in ("first", "second", None):
            tokens.tokens = [token]
            await client.scrape(node())
        tokens.tokens = []
        with pytest.raises(KubeletError, match="no token to show"):
            await client.scrape(node())
    shown = [
        [line for line in head.split("\r\n") if line.startswith("Authorization")] for head in kubelet.heads
    ]
    assert shown == [["Authorization: Bearer first"], ["Authorization: Bearer second"], []]


async def test_a_token_that_is_refused_is_renewed_at_once_and_asked_with_again() -> None:
    kubelet: FakeKubelet

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        fresh = "Bearer fresh\r\n" in kubelet.heads[-1]
        await (reply(SUMMARY) if fresh else reply(b"Unauthorized", "401 Unauthorized"))(path, writer)

    tokens = Tokens("revoked", "fresh")
    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port, tokens=tokens) as client:
        assert (await client.scrape(node())).node is not None
    assert tokens.refused == ["Bearer revoked"]
    assert (len(kubelet.heads), kubelet.connections) == (2, 1)


async def test_who_is_refused_while_a_token_is_renewed_waits_for_the_new_one() -> None:
    """An exec plugin takes its time, in which other nodes refuse the old token, too."""
    kubelet: FakeKubelet
    renewing, may_end = asyncio.Event(), asyncio.Event()

    class Slow(Tokens):
        async def renew(self, refused: str | None) -> bool:
            renewing.set()
            await may_end.wait()
            return await super().renew(refused)

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        fresh = "Bearer fresh\r\n" in kubelet.heads[-1]
        await (reply(SUMMARY) if fresh else reply(b"Unauthorized", "401 Unauthorized"))(path, writer)

    tokens = Slow("revoked", "fresh")
    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port, tokens=tokens) as client:
        first = asyncio.create_task(client.scrape(node()))
        await asyncio.wait_for(renewing.wait(), 30)
        second = asyncio.create_task(client.scrape(Node(name="node-2", addresses=node().addresses)))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done
        may_end.set()
        for scraped in (first, second):
            assert (await scraped).node is not None
    assert tokens.refused == ["Bearer revoked"]


async def test_kubelets_that_refuse_every_token_do_not_have_it_renewed_again_and_again() -> None:
    tokens = Tokens("unwanted")
    refusing = reply(b"Unauthorized", "401 Unauthorized")
    async with serving(refusing, TRUSTED) as kubelet, scraper(kubelet.port, tokens=tokens) as client:
        for _ in range(5):
            assert (await failure_of(client)).failure is FailureClass.UNAUTHENTICATED
    assert tokens.refused == ["Bearer unwanted"]


async def test_an_ipv6_address_is_dialled_and_verified() -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    async with serving(by_path(BOTH), TRUSTED, host="::1") as kubelet, scraper(kubelet.port) as client:
        assert (await client.scrape(node("::1"))).node is not None
    assert f"Host: [::1]:{kubelet.port}" in kubelet.heads[0]


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_a_failed_scrape_leaves_the_next_one_unharmed() -> None:
    asked = 0

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await (reply(SUMMARY[:50], length=999) if asked == 1 else reply(SUMMARY))(path, writer)

    kubelet: FakeKubelet
    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        assert (await failure_of(client)).failure is FailureClass.DISCONNECTED
        assert (await client.scrape(node())).node is not None


@pytest.mark.parametrize("endpoint", ["auto", "summary"])
async def test_a_refusal_is_cured_for_the_account_that_the_kubelet_names(endpoint: Endpoint) -> None:
    said = b"Forbidden (user=system:serviceaccount:monitoring:ms, verb=get, resource=nodes, subresource(s)=[stats])"
    answer = reply(said, "403 Forbidden")
    async with serving(answer, TRUSTED) as kubelet, scraper(kubelet.port, endpoint=endpoint) as client:
        err = await failure_of(client)
    assert err.failure is FailureClass.FORBIDDEN
    assert "--serviceaccount=monitoring:ms`" in err.cure
    assert (await failure_with(reply(b"no", "403 Forbidden"))).cure == FailureClass.FORBIDDEN.cure
    assert "this pod's ServiceAccount" in FailureClass.FORBIDDEN.cure


async def test_answers_that_come_in_swarms_are_decoded_a_few_in_each_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks us has a turn between them."""
    loop, turn, is_over = asyncio.get_running_loop(), 0, False
    decoded: Counter[int] = Counter()
    asked, all_asked = 0, asyncio.Event()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if not is_over:
            loop.call_soon(next_turn)

    def decode(body: bytes) -> NodeSample:
        decoded[turn] += 1
        return decode_summary(body)

    async def all_at_once(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == 20:
            all_asked.set()
        await all_asked.wait()
        await reply(SUMMARY)(path, writer)

    monkeypatch.setattr("pymetrics_server.kubelet.client.decode_summary", decode)
    async with serving(all_at_once, TRUSTED) as kubelet, scraper(kubelet.port) as client:
        nodes = [Node(name=f"n{i}", addresses=(NodeAddress("InternalIP", "127.0.0.1"),)) for i in range(20)]
        loop.call_soon(next_turn)
        await asyncio.gather(*map(client.scrape, nodes))
        is_over = True
    assert decoded.total() == 20
    assert max(decoded.values()) <= 3
    assert max(decoded) - min(decoded) >= 18  # two turns without any between seven with some

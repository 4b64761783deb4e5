"""Requests that nobody sends by accident, through the real listener and byte for byte as they are written here.

Whatever comes: no answer of ours is a 5xx, none brings a line into the log, a refusal below the group is a
metav1.Status in what was asked for, and the connection goes on with the next request or is closed.
"""

import asyncio
import gzip
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pymetrics_server import log
from pymetrics_server.meta.objects import Node
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.listener import SecureListener
from tests.api.world import NOW_NS, V1, V1BETA1, World, node_usage, small_cluster
from tests.fakes.certificates import authority
from tests.fakes.protobuf import decode

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
TABLE = f"{JSON};as=Table;v=v1;g=meta.k8s.io"
NEXT = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CLIENTS = authority("client-ca", NOW_NS)
NODES = 600  # more than any batch of a list

_T = TypeVar("_T")


class Answer(NamedTuple):
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Log(logging.Handler):
    """What an operator would be shown."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = getattr(record, "kv", "")
        self.lines.append(f"{record.name}: {record.getMessage()} {found} {record.exc_info}")


class Server:
    """A listener and who asks it, on one loop that runs while somebody is asked for something."""

    def __init__(self, runner: asyncio.Runner, world: World, directory: Path) -> None:
        self._runner = runner
        self.world = world
        self.log = Log()
        self._listener = SecureListener(ServingCertificate.self_signed(str(directory), "127.0.0.1", NOW_NS))
        self._listener.set_trust(b"", CLIENTS.cert_pem)  # until then no connection is kept alive
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self.run(self._listener.start(world.app(), "127.0.0.1", 0))

    def run(self, what: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(what)

    def stop(self) -> None:
        self.run(self._listener.stop(0))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        connection = await asyncio.open_connection(
            "127.0.0.1", self._listener.port, ssl=self._tls, limit=1 << 20
        )
        try:
            yield connection
        finally:
            connection[1].transport.abort()

    async def send(self, *requests: bytes) -> list[bytes]:
        """All at once, then everything that comes back up to the end of the connection, one answer each."""
        async with asyncio.timeout(15), self.connected() as (reader, writer):
            writer.write(b"".join(requests))
            received = b""
            with suppress(ConnectionError):  # it was closed before all was sent
                while part := await reader.read(1 << 20):
                    received += part
        return list(_split(received, [request.partition(b" ")[0] for request in requests]))

    def ask(self, request: bytes) -> Answer:
        """The answer to the first; a next request on the connection is answered, or the connection is closed."""
        first, *others = map(_parsed, self.run(self.send(request, NEXT)))
        if others:
            assert [other.code for other in others] == [200]
            assert json.loads(others[0].body)["major"] == "1"
        return first

    def said_nothing(self) -> None:
        lines, self.log.lines = self.log.lines, []
        assert lines == []


def _split(received: bytes, methods: Sequence[bytes]) -> Iterator[bytes]:
    for method in methods:
        if not received:
            return
        head, end, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1."), head[:80]
        headers = _headers(head)
        code = int(head.split(b" ", 2)[1])
        bodiless = method == b"HEAD" or code in (204, 304)
        size = 0 if bodiless else int(headers.get("content-length", len(rest)))
        assert len(rest) >= size
        assert "content-length" in headers or code == 431
        yield head + end + rest[:size]
        received = rest[size:]
    assert received == b"", "more than was asked for"


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    return {name.decode().lower(): value.decode("utf-8", "surrogateescape") for name, _, value in pairs}


def _parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]), _headers(head), body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    world = small_cluster()
    for number in range(NODES):
        name = f"node-{number}"
        world.nodes.nodes.append(Node(name=name, labels={"zone": f"z{number % 3}", "number": str(number)}))
        world.usage.nodes[name] = node_usage(1 + number, 1 << 20, 15_000_000_000)
    with asyncio.Runner() as runner:
        server = Server(runner, world, tmp_path_factory.mktemp("certificates"))
        logging.getLogger().addHandler(server.log)
        try:
            yield server
        finally:
            logging.getLogger().removeHandler(server.log)
            log.set_verbosity(0)
            server.stop()


def get(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def read(answer: Answer) -> Any:
    """The body by its type."""
    body = answer.body
    if answer.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    match answer.content_type:
        case "application/json":
            return json.loads(body)
        case "application/yaml":
            return yaml.load(body, yaml.CSafeLoader)
        case "application/vnd.kubernetes.protobuf":
            return decode(body)
        case "text/plain" | "":
            return body.decode()
        case other:
            assert other.endswith("+protobuf"), other
            return body


# What is whole HTTP and a whole URI, whatever it means.

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.binary(max_size=12).map(
    lambda content: content.decode("utf-8", "surrogateescape")
)
ESCAPED = ANY_TEXT.map(lambda text: quote(text, safe="/,=!()'~", errors="surrogateescape"))
BROKEN_ESCAPES = st.sampled_from(["%", "%zz", "%f", ";", "%%41", "+", "&&", "=", "?"])
PATHS = st.one_of(
    st.sampled_from(
        [
            "/", "//", "/apis", "/apis/", "/version/", "/version/x", "/healthz", "/livez/ping", "/readyz/nope",
            "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/metrics.k8s.io/v1", "/openapi/v3/",
            "/statusz", "/flagz", "/debug/flags/v", V1, V1BETA1, f"{V1}/nodes", f"{V1BETA1}/pods", f"{V1}/watch/pods",
            f"{V1}/namespaces/default/pods/web-1", f"{V1}/namespaces//pods", f"{V1}/nodes/node-a/status", f"{V1}/..",
            "/apis/metrics.k8s.io/v9/nodes", "/apis/metrics.k8s.io", "http://x/version", "http://x", "https://x?a",
        ]
    ),
    st.builds("{}/{}".format, st.sampled_from([V1, f"{V1BETA1}/nodes", f"{V1}/namespaces", "/healthz", ""]), ESCAPED),
)  # fmt: skip
NUMBERS = st.sampled_from(
    ["0", "-1", "1e999", "nan", "inf", "-inf", "0x10", "1_0", "\u0663", "9" * 400, "0" * 4400, "-" + "0" * 4400 + "1",
     "9223372036854775808", "+5", " 5", "1.5", "1h", "1ns", "-1h", "0." + "9" * 4400 + "s", "0" * 4400 + "1s",
     "9" * 4400 + "h", "1\u03bcs", "1.s", ".s", "1h" * 50, "5m0", "true", ""]
).map(quote)  # fmt: skip
SELECTORS = st.lists(
    st.sampled_from(
        ["a", "=", "==", "!=", "!", ",", "(", ")", " in ", " notin ", ">", "<", "metadata.name", "metadata.namespace",
         "node-a", "a/b", "a/b/c", "\\", "\\,", "\\=", "\0", "\n", "\u2028", "\ufeff", "\U0001f600", "'", "-", "9" * 70]
    ),
    max_size=12,
).map(lambda parts: quote("".join(parts)))  # fmt: skip
VALUES = {
    **dict.fromkeys(("labelSelector", "fieldSelector"), SELECTORS | ESCAPED),
    **dict.fromkeys(("limit", "timeoutSeconds", "timeout", "pretty", "watch", "export"), NUMBERS | ESCAPED),
    "includeObject": st.sampled_from(["Object", "Metadata", "None", ""]) | ESCAPED,
    "resourceVersionMatch": st.sampled_from(["Exact", "NotOlderThan"]) | ESCAPED,
    **dict.fromkeys(("resourceVersion", "continue", "sendInitialEvents", "verbose", "hash"), ESCAPED),
    "exclude": st.sampled_from(["ping", "nope"]) | ESCAPED,
}
PAIRS = st.sampled_from(sorted(VALUES)).flatmap(lambda key: VALUES[key].map(lambda value: f"{key}={value}"))
QUERIES = st.lists(PAIRS | BROKEN_ESCAPES | ESCAPED, max_size=6).map(lambda pairs: "?" + "&".join(pairs))

ACCEPT_PIECES = st.sampled_from(
    [JSON, YAML, PROTOBUF, TABLE, "*/*", "*", "text/*", "application/*", "a/b/c", "/", "", " ", "text/html", "\t",
     "application/json;stream=watch", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
     "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "application/cbor", "application/json;;=;a",
     "application/yaml;sv=v1", "application/json;as=Statusz;g=config.k8s.io;v=v1beta1", "\udcff", "\u00e9/\u00e9"]
)  # fmt: skip
QUALITIES = NUMBERS.map(lambda number: f";q={number}") | st.sampled_from(
    ["", ";q", ";q=", ";q=1=1", ";pretty=1"]
)
ACCEPTS = st.lists(st.builds("{}{}".format, ACCEPT_PIECES, QUALITIES), max_size=20).map(",".join)
#: All that a header may hold; what cannot be held is refused by the parser.
HEADER_TEXT = st.binary(max_size=20).map(
    lambda content: bytes(b for b in content if b > 0x20 and b != 0x7F).decode("utf-8", "surrogateescape")
)
HEADERS = st.lists(
    st.one_of(
        ACCEPTS.map("Accept: {}".format),
        st.lists(st.sampled_from(["gzip", "*", "identity", "gzip;q=nan", "br", ";", "gzip;q=0", " "]), max_size=8).map(
            lambda codings: "Accept-Encoding: " + ",".join(codings)
        ),
        st.builds(
            "{}: {}".format,
            st.sampled_from(
                ["If-None-Match", "User-Agent", "Audit-Id", "Origin", "Authorization", "Range", "Expect", "Cookie",
                 "If-Modified-Since", "X-Remote-User", "Content-Type", "Content-Encoding", "Forwarded", "Upgrade",
                 "Sec-WebSocket-Key", "Access-Control-Request-Method", "X-\u0060"]
            ),
            HEADER_TEXT | st.sampled_from(["*", "gzip", "curl/8", "W/\"a\"", "websocket", "100-continue", "Bearer  a"]),
        ),
    ),
    max_size=6,
)  # fmt: skip
METHODS = st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(METHODS, PATHS, QUERIES, HEADERS, st.binary(max_size=40))
@example("GET", f"{V1}/nodes", "?limit=" + "0" * 5000, [], b"")
@example("PUT", "/debug/flags/v", "", ["Content-Encoding: gzip"], b"not compressed")
@example("GET", f"{V1}/nodes", "", ["Content-Encoding: deflate"], b"not compressed")
@example("GET", f"{V1}/nodes", "", ["Audit-Id: a\udcff", "Origin: \udcff"], b"")
def test_whole_requests_are_answered_as_they_ask_and_never_with_a_5xx(
    server: Server, method: str, path: str, query: str, headers: list[str], body: bytes
) -> None:
    answer = server.ask(get(path + query, *headers, method=method, body=body))
    server.said_nothing()
    late = answer.code == 504 and "timeout=" in query
    assert answer.code < 500 or late
    if method == "HEAD":
        return
    value = read(answer)
    malformed = answer.code == 400 and answer.content_type == "text/plain"
    if path.startswith("/apis/metrics.k8s.io") and answer.code >= 400 and not malformed:
        assert value["status"] == "Failure"
        assert value["code"] == answer.code
        assert late or value["kind"] == "Status"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ESCAPED, st.sampled_from([f"{V1}/nodes/", f"{V1}/nodes?labelSelector=", f"{V1}/pods?fieldSelector="]))
def test_a_refusal_says_the_same_in_every_representation(server: Server, text: str, before: str) -> None:
    answers = [server.ask(get(before + text, f"Accept: {accept}")) for accept in (JSON, YAML, PROTOBUF)]
    server.said_nothing()
    assert len({answer.code for answer in answers}) == 1
    if answers[0].code >= 400:
        assert [answer.content_type for answer in answers] == [JSON, YAML, PROTOBUF]
        in_json, in_yaml, in_protobuf = map(read, answers)
        assert in_json == in_yaml == in_protobuf


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_answered_or_the_connection_is_closed(
    server: Server, target: bytes, name: bytes, value: bytes
) -> None:
    line = b"GET /" + target.replace(b"\n", b"").replace(b"\r", b"") + b" HTTP/1.1\r\nHost: x\r\n"
    header = b"X-" + name.replace(b"\n", b"") + b": " + value.replace(b"\n", b"") + b"\r\n"
    request = line + header + b"Connection: close\r\n\r\n"
    for answer in map(_parsed, server.run(server.send(request))):
        assert answer.code < 500
    server.said_nothing()


REFUSED = (400, 431)
REFUSED_BY_THE_PARSER = {
    "a chunk without a size": get(f"{V1}/nodes", "Transfer-Encoding: chunked") + b"zz\r\n",
    "chunks and a length": get(f"{V1}/nodes", "Transfer-Encoding: chunked", "Content-Length: 3")
    + b"0\r\n\r\n",
    "two lengths": get(f"{V1}/nodes", "Content-Length: 3", "Content-Length: 4") + b"abcd",
    "a negative length": get(f"{V1}/nodes", "Content-Length: -3"),
    "an endless length": get(f"{V1}/nodes", "Content-Length: " + "9" * 30),
    "an unknown transfer": get(f"{V1}/nodes", "Transfer-Encoding: gzip"),
    "a folded header": get(f"{V1}/nodes", "A: b\r\n c"),
    "a header without a colon": get(f"{V1}/nodes", "Abc"),
    "a NUL in a header": get(f"{V1}/nodes", "A: b\0c"),
    "two hosts": get(f"{V1}/nodes", "Host: y"),
    "no host": b"GET /version HTTP/1.1\r\n\r\n",
    "a version to come": b"GET /version HTTP/3.0\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no URI": get("http://[::1/version"),
    "bytes that are no ASCII": get("/version?\u00e9\udcff"),
    "a line that never ends": get("/" + "a" * (2 << 20)),
    "a header that never ends": get("/version", "A: " + "a" * (2 << 20)),
    "endless headers": get("/version", *(f"A{number}: b" for number in range(20_000))),
}


@pytest.mark.parametrize("what", REFUSED_BY_THE_PARSER)
def test_what_is_not_http_is_refused_without_a_line_in_the_log(server: Server, what: str) -> None:
    answers = server.run(server.send(REFUSED_BY_THE_PARSER[what]))
    assert len(answers) <= 1  # an answer to who is still sending may get lost
    assert all(_parsed(answer).code in REFUSED for answer in answers)
    server.said_nothing()


def test_paths_that_anybody_makes_up_are_no_labels_of_metrics(server: Server) -> None:
    def series() -> set[str]:
        lines = server.ask(get("/metrics")).body.decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines}

    paths = [
        f"{path}{{}}"
        for path in ("/", "/apis", "/apis/", "/version", "/apis/metrics.k8s.io", V1, f"{V1}/nodes")
    ]
    made_up = ["/", "//", "/x", "/..", "%2f%2f", "/./", "?x"]
    targets = [
        path.format(end)
        for path in (*paths, "/healthz{}", "/openapi/v3{}", "http://x{}/version")
        for end in made_up
    ]
    for target in (*targets, "/metrics"):
        server.ask(get(target))
    before = series()
    for target in targets:
        server.ask(get(target.replace("?x", "?y") + ("" if "?" in target else "/" * 9)))
    assert series() - before == set()


# What costs the most of what the listener lets in.


async def _longest(server: Server, request: Callable[[int], bytes]) -> int:
    """Half of the lengths are tried, so that the answer is between half of the longest and the longest."""
    for bits in range(21, 12, -1):
        answers = await server.send(request(1 << bits))
        if answers and _parsed(answers[0]).code not in REFUSED:
            return 1 << bits
    raise AssertionError("even short ones are refused")


@pytest.fixture(scope="module")
def longest_line(server: Server) -> int:
    """A request's, in bytes, as far as the listener lets it in."""
    return server.run(
        _longest(server, lambda size: get("/version?" + "a" * (size - 100), "Connection: close"))
    )


@pytest.fixture(scope="module")
def longest_header(server: Server) -> int:
    return server.run(
        _longest(server, lambda size: get("/version", "Connection: close", "A: " + "a" * (size - 100)))
    )


def _filled(size: int, before: str, piece: Callable[[int], str], after: str = "") -> str:
    pieces: list[str] = []
    left = size - 200 - len(before) - len(after)
    while (left := left - len(text := piece(len(pieces)))) > 0:
        pieces.append(text)
    return before + "".join(pieces) + after


NODES_PATH = f"{V1}/nodes"
LONG_LINES: dict[str, tuple[str, Callable[[int], str], str]] = {
    "parameters": (f"{NODES_PATH}?", "&{}".format, ""),
    "the same parameter": (f"{NODES_PATH}?", lambda _: "&a", ""),
    "parameters that are none": (f"{NODES_PATH}?", lambda _: "&;&%", ""),
    "escapes": (f"{NODES_PATH}/", lambda _: "%41", ""),
    "bytes that are not UTF-8": (f"{NODES_PATH}/", lambda _: "%ff", ""),
    "slashes": ("/", lambda _: "/", ""),
    "slashes below the group": (V1, lambda _: "/", ""),
    "slashes below health": ("/healthz/", lambda _: "/", ""),
    "labels that must exist": (f"{NODES_PATH}?labelSelector=number", lambda _: ",zone", ""),
    "labels that must not exist": (f"{NODES_PATH}?labelSelector=!a", ",!a{}".format, ""),
    "values of a label": (f"{NODES_PATH}?labelSelector=zone+notin+(", "{},".format, ")"),
    "values that are not equal": (f"{NODES_PATH}?labelSelector=zone!=a", ",zone!=a{}".format, ""),
    "values in many sets": (f"{NODES_PATH}?labelSelector=zone", ",zone+in+(z1,z2,z0,{})".format, ""),
    "bounds": (f"{NODES_PATH}?labelSelector=number>0", lambda _: ",number>0", ""),
    "values that are none": (f"{NODES_PATH}?labelSelector=zone+in+(", "-{},".format, ")"),
    "brackets": (f"{NODES_PATH}?labelSelector=", lambda _: "(", ""),
    "nots": (f"{NODES_PATH}?labelSelector=", lambda _: "!", ""),
    "names": (f"{NODES_PATH}?fieldSelector=metadata.name!=", lambda _: "a,metadata.name!=", ""),
    "different names": (f"{NODES_PATH}?fieldSelector=", "metadata.name!=a{},".format, ""),
    "fields that are not known": (f"{NODES_PATH}?fieldSelector=", lambda _: "a!=b,", ""),
    "commas": (f"{NODES_PATH}?fieldSelector=", lambda _: ",", ""),
    "backslashes": (f"{NODES_PATH}?fieldSelector=metadata.name=", lambda _: "\\", ""),
    "equals": (f"{NODES_PATH}?fieldSelector=", lambda _: "=,", "="),
    "no equals": (f"{NODES_PATH}?fieldSelector=", lambda _: "a", ""),
    "hours": (f"{NODES_PATH}?timeout=", lambda _: "0h", ""),
    "zeros of a timeout": (f"{NODES_PATH}?timeout=", lambda _: "0", "1h"),
    "digits behind the point": (f"{NODES_PATH}?timeout=0.", lambda _: "9", "s"),
    "a unit that is none": (f"{NODES_PATH}?timeout=1", lambda _: "%ff", ""),
    "digits of a limit": (f"{NODES_PATH}?limit=", lambda _: "9", ""),
    "zeros of a limit": (f"{NODES_PATH}?limit=-", lambda _: "0", ""),
    "what to include": (f"{NODES_PATH}?includeObject=", lambda _: "%01", ""),
    "a resource version match": (f"{NODES_PATH}?resourceVersionMatch=", lambda _: "%01", ""),
    "excluded checks": ("/healthz?verbose", "&exclude=%01{}".format, ""),
    "a document": ("/openapi/v3/", lambda _: "%01", ""),
}
LONG_HEADERS: dict[str, tuple[str, str, Callable[[int], str]]] = {
    "types that are not served": (NODES_PATH, "Accept: ", lambda _: "a/b,"),
    "types with a quality": (NODES_PATH, "Accept: ", lambda at: f"a/b;q=0.{at % 7919},"),
    "anything as something": (NODES_PATH, "Accept: ", lambda _: "*/*;as=a,"),
    "anything of a version": (NODES_PATH, "Accept: ", lambda _: "*/*;v=1,"),
    "stars": ("/apis", "Accept: ", lambda _: "*,"),
    "discovery": ("/apis", "Accept: ", lambda _: "*/*;as=a,"),
    "parameters of a type": (NODES_PATH, "Accept: */*", ";a{}=b".format),
    "digits of a quality": (NODES_PATH, "Accept: */*;q=", lambda _: "9"),
    "types of OpenAPI": ("/openapi/v2", "Accept: ", lambda at: f"a/b;q=0.{at % 7919},*/*,a/*,"),
    "types of a page": ("/statusz", "Accept: ", lambda _: "*/*;as=a,"),
    "codings": ("/openapi/v2", "Accept-Encoding: ", lambda _: "gzip;q=0,"),
    "ETags": ("/openapi/v2", "If-None-Match: ", lambda _: 'W/"",'),
    "an agent": (NODES_PATH, "User-Agent: ", lambda _: "curl"),
    "an audit": (NODES_PATH, "Audit-Id: ", lambda _: "a"),
    "blanks before a token": (NODES_PATH, "Authorization: Bearer", lambda _: " "),
}


def _machine_s() -> float:
    """CPU time of a loop of a million: what a bound in seconds is worth on this machine."""
    started_s = time.thread_time()
    for _ in range(1_000_000):
        pass
    return time.thread_time() - started_s


async def _longest_turn_s(server: Server, request: bytes) -> tuple[float, float]:
    """CPU time of the loop's longest turn and of all, while `request` is answered: others' load is not in it."""
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        before_s = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now_s = time.thread_time()
            longest_s, before_s = max(longest_s, now_s - before_s), now_s

    started_s = time.thread_time()
    watching = asyncio.create_task(watch(), name="watch the loop")
    try:
        await server.send(request)
    finally:
        watching.cancel()
    return longest_s, time.thread_time() - started_s


def _leaves_the_loop_free(server: Server, request: bytes) -> None:
    """Three tries: a machine may stumble once."""
    found = []
    for _ in range(3):
        longest_s, all_s = server.run(_longest_turn_s(server, request))
        found.append((longest_s, all_s))
        server.said_nothing()
        machine_s = _machine_s()
        if longest_s < max(0.25, 8 * machine_s) and all_s < max(2.0, 40 * machine_s):
            return
    raise AssertionError(found)


@pytest.mark.parametrize("accept", [JSON, YAML])
@pytest.mark.parametrize("what", LONG_LINES)
def test_no_request_line_holds_the_loop(server: Server, longest_line: int, what: str, accept: str) -> None:
    before, piece, after = LONG_LINES[what]
    target = _filled(longest_line, before, piece, after)
    _leaves_the_loop_free(server, get(target, f"Accept: {accept}", "Connection: close"))


@pytest.mark.parametrize("what", LONG_HEADERS)
def test_no_header_holds_the_loop(server: Server, longest_header: int, what: str) -> None:
    path, before, piece = LONG_HEADERS[what]
    _leaves_the_loop_free(server, get(path, _filled(longest_header, before, piece), "Connection: close"))

"""The status page: what runs, and how each node answers its scrapes."""

import msgspec
import pytest
import yaml

from pymetrics_server.api.negotiation import Representation
from pymetrics_server.api.reply import Reply
from pymetrics_server.api.statusz import NodeRow, StatuszFacts, node_rows, statusz_reply, table
from pymetrics_server.api.zpages import DELIMITERS, TEXT_PLAIN, negotiate_page
from pymetrics_server.errors import FailureClass
from pymetrics_server.meta.scrape import NodeScrape, ScrapeState
from pymetrics_server.meta.status import StatusError
from pymetrics_server.meta.usage import NodeUsage, PodUsage
from pymetrics_server.meta.verification import Verification
from tests.api.world import golden

S = 1_000_000_000
NOW_S = 1_790_000_000
TEXT = Representation(TEXT_PLAIN)
STRUCTURED = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz"
SCRAPES = [
    NodeScrape("node-b", "resource", ScrapeState(last_success_ns=93 * S)),
    NodeScrape("node-a", "summary", ScrapeState(last_success_ns=99 * S)),
    NodeScrape(
        "node-d",
        "summary",
        ScrapeState(
            last_success_ns=10 * S,
            failing_since_ns=25 * S,
            failure=FailureClass.SLOW_RESPONSE,
            detail="no whole\nanswer within 10s",
            cure=FailureClass.SLOW_RESPONSE.cure,
            attempts=5,
        ),
    ),
    NodeScrape(
        "node-e",
        "summary",
        ScrapeState(
            failing_since_ns=1,
            failure=FailureClass.REFUSED,
            detail="10.0.0.5:10250",
            cure=FailureClass.REFUSED.cure,
            attempts=12,
        ),
    ),
    NodeScrape("node-c", "summary", ScrapeState()),
]
FACTS = StatuszFacts(
    component="metrics-server",
    started_s=NOW_S - 90_061,
    now_s=NOW_S,
    runtime_version="python3.13.1",
    binary_version="0.1.0",
    emulation_version="1.36",
    paths=["/apis", "/apis/metrics.k8s.io", "/readyz/ping", "/readyz", "/metrics", "/openapi/v2", "/statusz"],
    kubelet_verify=Verification.NODE_NAME,
)


class Usage:
    """Of two nodes a sample is still served."""

    def node_usage(self, name: str, now_ns: int) -> NodeUsage | None:
        ages_s = {"node-a": 3, "node-b": 9, "node-d": 91}
        return NodeUsage((NOW_S - ages_s[name]) * S, 15 * S, 1, 1) if name in ages_s else None

    def pod_usage(self, namespace: str, name: str, now_ns: int) -> PodUsage | None:
        raise AssertionError("the page tells of nodes only")


async def rows() -> list[NodeRow]:
    return await node_rows(SCRAPES, Usage(), 100 * S, NOW_S * S)


def body(reply: Reply) -> bytes:
    return b"".join(reply.parts)


def structured(accept: str = STRUCTURED, user_agent: str = "") -> Reply:
    return statusz_reply(FACTS, negotiate_page("Statusz", accept, {}, user_agent), ":")


async def test_the_text_tells_what_runs_and_how_each_node_answers() -> None:
    found = await rows()
    reply = statusz_reply(msgspec.structs.replace(FACTS, rows=found, table=await table(found)), TEXT, ":")
    assert (reply.code, reply.content_type) == (200, "text/plain; charset=utf-8")
    assert body(reply).decode() == golden("statusz.txt")


async def test_a_cure_that_fits_a_node_is_told_in_place_of_the_failure_s_own() -> None:
    state = ScrapeState(failing_since_ns=1, failure=FailureClass.FORBIDDEN, cure="grant it to monitoring:ms")
    found = await node_rows([NodeScrape("node-a", "summary", state)], Usage(), 100 * S, NOW_S * S)
    told = body(statusz_reply(msgspec.structs.replace(FACTS, rows=found), TEXT, ":")).decode()
    assert "; grant it to monitoring:ms\n" in told


async def test_failing_nodes_stand_first_then_those_that_never_answered() -> None:
    assert [row.node for row in await rows()] == ["node-e", "node-d", "node-c", "node-a", "node-b"]


async def test_columns_are_aligned_however_long_a_name_is() -> None:
    long = msgspec.structs.replace(SCRAPES[0], node="n" * 63)
    found = await node_rows([*SCRAPES, long], Usage(), 100 * S, NOW_S * S)
    text = body(
        statusz_reply(msgspec.structs.replace(FACTS, rows=found, table=await table(found)), TEXT, "=")
    ).decode()
    lines = text[text.index("NODE  ") :].splitlines()
    assert len(lines) == 7
    assert {line[63:66] for line in lines} == {"   "}
    assert {line[66:].partition(" ")[0] for line in lines} == {"ENDPOINT", "summary", "resource"}


async def test_thousands_of_nodes_come_in_parts_and_all_of_them() -> None:
    many = [NodeScrape(f"node-{i}", "summary", ScrapeState()) for i in range(1999)]
    found = await node_rows(many, Usage(), 100 * S, NOW_S * S)
    reply = statusz_reply(msgspec.structs.replace(FACTS, rows=found, table=await table(found)), TEXT, " ")
    assert len(reply.parts) == 6
    assert body(reply).count(b"\nnode-") == 1999
    assert b"\n\n" not in body(reply).split(b"NODE")[1]


def test_a_server_that_knows_no_node_says_so() -> None:
    assert body(statusz_reply(FACTS, TEXT, ":")).endswith(b"\nNodes: 0, failing: 0\n")


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_what_stands_behind_a_key_is_the_delimiter_that_was_drawn(delimiter: str) -> None:
    assert f"\nBinary version{delimiter} 0.1.0\n" in body(statusz_reply(FACTS, TEXT, delimiter)).decode()


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_who_asks_for_the_object_gets_it_in_that_version(version: str) -> None:
    reply = structured(STRUCTURED.replace("v1beta1", version))
    assert reply.content_type == f"application/json;g=config.k8s.io;v={version};as=Statusz"
    assert ("Warning" in reply.headers) == (version == "v1alpha1")
    assert body(reply).decode() == golden("statusz.json").replace("v1beta1", version)


def test_the_object_is_also_there_as_yaml_and_indented_for_curl() -> None:
    as_yaml = structured(STRUCTURED.replace("json", "yaml"))
    assert as_yaml.content_type == "application/yaml;g=config.k8s.io;v=v1beta1;as=Statusz"
    assert yaml.safe_load(body(as_yaml))["uptimeSeconds"] == 90_061
    assert body(structured(user_agent="curl/8")).startswith(b'{\n  "kind": "Statusz",')


@pytest.mark.parametrize(
    "accept",
    [
        "",
        " ",
        "text/plain",
        "text/plain; charset=utf-8",
        "text/*",
        "*/*",
        "application/json, */*",  # kubectl get --raw
        "application/json;v=foo;g=config.k8s.io;as=Statusz,*/*",
        f"{STRUCTURED};q=0.5,text/plain",
    ],
)
def test_text_is_what_nearly_everybody_gets(accept: str) -> None:
    assert negotiate_page("Statusz", accept, {}, "") == TEXT


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/*",
        "application/xml",
        "application/json;v=v1beta1;g=config.k8s.io",
        "application/json;v=v1beta1;g=config.k8s.io;as=Flagz",
        "application/json;v=v2;g=config.k8s.io;as=Statusz",
        "application/vnd.kubernetes.protobuf;v=v1beta1;g=config.k8s.io;as=Statusz",
        "text/plain;v=v1beta1;g=config.k8s.io;as=Statusz",
    ],
)
def test_json_without_saying_which_object_is_not_acceptable(accept: str) -> None:
    with pytest.raises(StatusError) as refused:
        negotiate_page("Statusz", accept, {}, "")
    assert (refused.value.code, str(refused.value)) == (
        406,
        "only the following media types are accepted: application/json, application/yaml, text/plain",
    )

"""The filters in front of every answer: who, how many, whether, how long; and big answers."""

import asyncio
import gzip
import json
import uuid

import pytest

from pymetrics_server.errors import PymetricsError
from pymetrics_server.meta.identity import MASTERS_GROUP, Decision, UserInfo
from pymetrics_server.meta.objects import PodMeta
from tests.api.conftest import Serve
from tests.api.world import V1BETA1, World, golden, pod_usage, text

FAILURE = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'


class ReviewError(PymetricsError):
    pass


async def test_audit_ids_are_echoed_or_made(world: World, serve: Serve) -> None:
    client = await serve(world)
    echoed = await client.get("/healthz", headers={"Audit-Id": "abc"})
    assert echoed.headers["Audit-Id"] == "abc"
    made = await client.get("/healthz")
    assert uuid.UUID(made.headers["Audit-Id"]).version == 4


async def test_a_bad_credential_is_401_even_on_healthz(world: World, serve: Serve) -> None:
    world.auth.rejects = True
    client = await serve(world)
    for path in ("/healthz", f"{V1BETA1}/nodes"):
        response = await client.get(path)
        assert response.status == 401
        assert await text(response) == FAILURE + '"Unauthorized","reason":"Unauthorized","code":401}\n'
        assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize(
    ("path", "reason", "tail"),
    [
        (
            "/apis/metrics.k8s.io/v1beta1/nodes",
            "explicit",
            '"nodes.metrics.k8s.io is forbidden: User \\"bob\\" cannot list resource \\"nodes\\" in API group '
            '\\"metrics.k8s.io\\" at the cluster scope: explicit","reason":"Forbidden","details":'
            '{"group":"metrics.k8s.io","kind":"nodes"},"code":403}',
        ),
        (
            "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-1",
            "",
            '"pods.metrics.k8s.io \\"web-1\\" is forbidden: User \\"bob\\" cannot get resource \\"pods\\" in API '
            'group \\"metrics.k8s.io\\" in the namespace \\"default\\"","reason":"Forbidden","details":'
            '{"name":"web-1","group":"metrics.k8s.io","kind":"pods"},"code":403}',
        ),
        (
            "/metrics",
            "",
            '"forbidden: User \\"bob\\" cannot get path \\"/metrics\\"","reason":"Forbidden","details":{},"code":403}',
        ),
        (
            "/no/such/path",
            "",
            '"forbidden: User \\"bob\\" cannot get path \\"/no/such/path\\"","reason":"Forbidden","details":{},'
            '"code":403}',
        ),
    ],
)
async def test_403_names_who_and_what_and_comes_before_404(
    world: World, serve: Serve, path: str, reason: str, tail: str
) -> None:
    world.auth.user = UserInfo("bob")
    world.auth.decision = Decision(False, reason)
    client = await serve(world)
    response = await client.get(path)
    assert (response.status, await text(response)) == (403, FAILURE + tail + "\n")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_no_decision_is_a_500_in_plain_text(world: World, serve: Serve) -> None:
    world.auth.fails_with = ReviewError("sar boom")
    client = await serve(world)
    response = await client.get(f"{V1BETA1}/nodes")
    assert response.status == 500
    assert await text(response) == 'Internal Server Error: "/apis/metrics.k8s.io/v1beta1/nodes": sar boom\n'
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_only_get_is_allowed_on_the_api(world: World, serve: Serve, method: str) -> None:
    client = await serve(world)
    response = await client.request(method, f"{V1BETA1}/nodes")
    message = '"the server does not allow this method on the requested resource"'
    body = FAILURE + message + ',"reason":"MethodNotAllowed","details":{},"code":405}\n'
    assert response.status == 405
    assert await text(response) == ("" if method == "HEAD" else body)
    assert response.headers["Content-Length"] == str(len(body))


async def test_too_many_at_once_are_told_to_come_back_but_not_masters_or_probes(
    world: World, serve: Serve
) -> None:
    world.max_requests_inflight = 1
    world.auth.holds = released = asyncio.Event()
    client = await serve(world)
    first = asyncio.create_task(client.get(f"{V1BETA1}/nodes").__aenter__(), name="first")
    await world.auth.waiting.wait()
    refused = await client.get(f"{V1BETA1}/nodes")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert await text(refused) == "Too many requests, please try again later.\n"
    released.set()
    assert (await first).status == 200
    world.auth.holds = released = asyncio.Event()
    world.auth.waiting.clear()
    held = asyncio.create_task(client.get(f"{V1BETA1}/nodes").__aenter__(), name="held")
    await world.auth.waiting.wait()
    world.auth.holds = None
    assert (await client.get("/readyz")).status == 200
    world.auth.user = UserInfo("aggregator", (MASTERS_GROUP,))
    assert (await client.get(f"{V1BETA1}/nodes")).status == 200
    released.set()
    assert (await held).status == 200


async def test_a_request_that_takes_too_long_is_504(world: World, serve: Serve) -> None:
    world.auth.holds = asyncio.Event()
    client = await serve(world)
    response = await client.get(f"{V1BETA1}/nodes?timeout=20ms")
    assert (response.status, await text(response)) == (
        504,
        '{"metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted '
        'timeout","reason":"Timeout","details":{},"code":504}\n',
    )
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_the_servers_own_deadline_is_not_extended(world: World, serve: Serve) -> None:
    world.auth.holds = asyncio.Event()
    world.request_timeout_s = 0.02
    client = await serve(world)
    assert (await client.get(f"{V1BETA1}/nodes?timeout=1h")).status == 504


async def test_a_malformed_timeout_is_400(world: World, serve: Serve) -> None:
    client = await serve(world)
    response = await client.get(f"{V1BETA1}/nodes?timeout=abc")
    message = 'invalid timeout specified in the request URL - time: invalid duration "abc"'
    assert (response.status, json.loads(await text(response))["message"]) == (400, message)


async def test_a_bug_costs_one_request_and_is_logged(
    world: World, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    world.usage.fails_with = ZeroDivisionError("oops")
    client = await serve(world)
    with caplog.at_level("ERROR", logger="pymetrics_server"):
        response = await client.get(f"{V1BETA1}/nodes")
    assert (response.status, json.loads(await text(response))["reason"]) == (500, "InternalError")
    assert "Request panicked" in [record.message for record in caplog.records]
    world.usage.fails_with = None
    assert await text(await client.get(f"{V1BETA1}/nodes")) == golden("nodes.json")


def big(world: World, pods: int) -> None:
    """About 330 bytes each."""
    for number in range(pods):
        name = f"pod-{number:06d}-{'x' * 40}"
        world.pods.pods.append(PodMeta("zz-big", name, {"app": "a" * 40}))
        world.usage.pods["zz-big", name] = pod_usage(15_000_000_000, ("main", 1 + number, 4096))


async def test_a_big_list_leaves_room_for_a_small_request(world: World, serve: Serve) -> None:
    big(world, 20_000)
    client = await serve(world)
    async with client.get(f"{V1BETA1}/pods") as response:  # its body waits in the socket: nobody reads it yet
        length = int(response.headers["Content-Length"])
        assert length > 4 << 20
        assert await text(await client.get("/healthz")) == "ok"
        assert not response.content.at_eof()
        body = await response.read()
    assert len(body) == length
    assert len(json.loads(body)["items"]) == 20_003


async def test_big_answers_are_compressed_for_who_says_just_gzip(world: World, serve: Serve) -> None:
    big(world, 1_000)
    client = await serve(world)
    plain = await client.get(f"{V1BETA1}/pods")
    assert "Content-Encoding" not in plain.headers
    body = await plain.read()
    packed = await client.get(f"{V1BETA1}/pods", headers={"Accept-Encoding": "br, gzip"})
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(await packed.read()) == body
    weighed = await client.get(f"{V1BETA1}/pods", headers={"Accept-Encoding": "gzip;q=0.5"})
    assert "Content-Encoding" not in weighed.headers
    small = await client.get(f"{V1BETA1}/nodes", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


async def test_a_token_behind_two_blanks_is_named_as_what_it_is(world: World, serve: Serve) -> None:
    client = await serve(world)
    told = await client.get("/healthz", headers={"Authorization": "Bearer  token"})
    assert "extra space before the bearer token" in told.headers["Warning"]
    silent = await client.get("/healthz", headers={"Authorization": "Bearer token"})
    assert "Warning" not in silent.headers


async def test_a_request_line_may_name_scheme_and_host(world: World, serve: Serve) -> None:
    client = await serve(world)
    assert client._base_url is not None
    reader, writer = await asyncio.open_connection(client._base_url.host, client._base_url.port)
    writer.write(b"GET https://any.where/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"gitVersion"' in answer


async def test_what_is_no_uri_is_refused_before_anything_else(world: World, serve: Serve) -> None:
    world.auth.rejects = True
    client = await serve(world)
    assert client._base_url is not None
    reader, writer = await asyncio.open_connection(client._base_url.host, client._base_url.port)
    writer.write(b"GET /nodes/%zz HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(b"400 Bad Request")
    assert answer.count(b"HTTP/1.1") == 1


async def test_requests_in_flight_are_counted_while_they_are(world: World, serve: Serve) -> None:
    world.auth.holds = asyncio.Event()
    client = await serve(world)
    asked = asyncio.create_task(client.get(f"{V1BETA1}/nodes"), name="a request that waits")
    await world.auth.waiting.wait()
    assert world.telemetry is not None
    world.telemetry.publish_in_flight()
    kind = {"request_kind": "readOnly"}
    assert world.value("apiserver_current_inflight_requests", kind) == 1
    world.auth.holds.set()
    await (await asked).read()
    world.telemetry.publish_in_flight()
    world.telemetry.publish_in_flight()
    assert world.value("apiserver_current_inflight_requests", kind) == 0


@pytest.mark.parametrize("refused", [False, True])
async def test_made_up_paths_make_no_series(world: World, serve: Serve, refused: bool) -> None:
    world.auth.decision = Decision(not refused)
    client = await serve(world)

    def series() -> int:
        return sum(1 for family in world.registry.collect() for _ in family.samples)

    made_up = [
        *(f"/version{'/' * n}" for n in range(1, 40)),
        *(f"/apis/metrics.k8s.io{'/' * n}" for n in range(1, 40)),
        *(f"{V1BETA1}{'/' * n}" for n in range(1, 40)),
        *(f"/livez/{n}" for n in range(40)),
        *(f"/{n}" for n in range(40)),
        *(f"/openapi/v3/{n}" for n in range(40)),
    ]
    for path in ("/version", "/apis/metrics.k8s.io", V1BETA1, "/livez", "/0", "/openapi/v3/0", "/livez/0"):
        await client.get(path)
    before = series()
    for path in made_up:
        await client.get(path)
    # Only codes may be new: /openapi/v3 and the index answer made up paths differently.
    assert series() <= before + 30

"""Discovery, the index of paths, /version, /metrics, health: everything but metrics themselves."""

import json

import pytest

from pymetrics_server.api.health import Check
from tests.api.conftest import Serve
from tests.api.world import V1, V1BETA1, World, golden, small_cluster, text

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
READY = """[+]ping ok
[+]log ok
[+]metric-storage-ready ok
[+]metric-informer-sync ok
[+]shutdown ok
"""


@pytest.mark.parametrize(
    ("path", "name"),
    [("/apis", "apis.json"), ("/apis/metrics.k8s.io", "group.json"), (V1BETA1, "resources.json")],
)
async def test_discovery_lists_both_versions(world: World, serve: Serve, path: str, name: str) -> None:
    client = await serve(world)
    for spelled in (path, f"{path}/"):
        response = await client.get(spelled)
        assert (response.status, await text(response)) == (200, golden(name))
    assert await text(await client.get(V1)) == golden("resources.json").replace("v1beta1", "v1")


@pytest.mark.parametrize(("accept", "version"), [
    (AGGREGATED, "v2"),
    (AGGREGATED.replace("v2", "v2beta1"), "v2beta1"),
    (f"{AGGREGATED},{AGGREGATED.replace('v2', 'v2beta1')},application/json", "v2"),
    (f"{AGGREGATED};profile=nopeer", "v2"),
    (f"application/vnd.kubernetes.protobuf;q=0.1,{AGGREGATED}", "v2"),
])  # fmt: skip
async def test_aggregated_discovery_is_everything_in_one_answer(
    world: World, serve: Serve, accept: str, version: str
) -> None:
    client = await serve(world)
    response = await client.get("/apis", headers={"Accept": accept})
    assert await text(response) == golden("aggregated.json").replace("/v2", f"/{version}")
    assert response.headers["Content-Type"] == AGGREGATED.replace("v2", version)
    assert (response.headers["Vary"], response.headers["Cache-Control"]) == ("Accept", "public")


async def test_aggregated_discovery_that_is_known_is_not_sent_again(world: World, serve: Serve) -> None:
    client, replica = await serve(world), await serve(small_cluster())
    first = await client.get("/apis", headers={"Accept": AGGREGATED})
    etag = first.headers["Etag"]
    assert len(etag) == 130
    again = await replica.get("/apis", headers={"Accept": AGGREGATED, "If-None-Match": etag})
    assert (again.status, await text(again), again.headers["Etag"]) == (304, "", etag)
    other = await replica.get("/apis", headers={"Accept": AGGREGATED, "If-None-Match": '"0"'})
    assert other.status == 200


async def test_discovery_of_an_unknown_version_is_not_acceptable_on_its_own(
    world: World, serve: Serve
) -> None:
    client = await serve(world)
    unknown = AGGREGATED.replace("v2", "v3")
    response = await client.get("/apis", headers={"Accept": unknown})
    assert (response.status, (await text(response))[:4]) == (406, "{\n  ")
    plain = await client.get("/apis", headers={"Accept": f"{unknown},application/json"})
    assert await text(plain) == golden("apis.json")


async def test_the_index_answers_the_root_and_whatever_is_unknown(world: World, serve: Serve) -> None:
    client = await serve(world)
    for path, code in [
        ("/", 200),
        ("/index.html", 200),
        ("/api", 404),
        ("/healthz/", 404),
        ("/readyz/zzz", 404),
    ]:
        response = await client.get(path)
        assert (response.status, await text(response)) == (code, golden("index.json").removesuffix("\n"))
    for path in ("/openapi/v1", "/openapi/v2/x", "/apis/apps/v1/deployments", "/swagger.json", "/logs"):
        assert (await client.get(path)).status == 404
    assert (await client.post("/")).status == 200


async def test_version_is_indented_and_names_a_kubernetes_release(world: World, serve: Serve) -> None:
    client = await serve(world)
    for path in ("/version", "/version/"):
        body = await text(await client.get(path))
        assert body == json.dumps(json.loads(body), indent=2)
        assert list(json.loads(body))[:2] == ["major", "minor"]
        assert json.loads(body)["gitVersion"].startswith("v")
    assert (await client.post("/version")).status == 405
    assert (await client.get("/version/x")).status == 404


async def test_metrics_are_prometheus_text_for_every_method(world: World, serve: Serve) -> None:
    client = await serve(world)
    await client.get(f"{V1BETA1}/nodes")
    for method in ("GET", "POST"):
        response = await client.request(
            method, "/metrics", headers={"Accept": "application/openmetrics-text"}
        )
        assert (
            response.headers["Content-Type"]
            == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        )
        assert response.headers["Process-Start-Time-Unix"] == "1795416192"
        assert "metrics_server_api_metric_freshness_seconds_count 2.0" in await text(response)


async def test_requests_are_counted_by_what_is_served_and_not_by_made_up_names(
    world: World, serve: Serve
) -> None:
    client = await serve(world)
    await client.get(f"{V1}/pods")
    await client.get(f"{V1}/madeup/x")
    labels = {"verb": "LIST", "group": "metrics.k8s.io", "version": "v1", "resource": "pods", "code": "200"}
    assert world.value("apiserver_request_total", labels) == 1
    assert "madeup" not in await text(await client.get("/metrics"))


async def test_health_is_two_letters_unless_more_is_asked_for(world: World, serve: Serve) -> None:
    client = await serve(world)
    for endpoint in ("healthz", "livez", "readyz"):
        response = await client.get(f"/{endpoint}")
        assert (response.status, await text(response)) == (200, "ok")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert await text(await client.get("/readyz?verbose")) == READY + "readyz check passed\n"
    assert await text(await client.post("/livez?verbose=0")) == (
        "[+]ping ok\n[+]metric-collection-timely ok\nlivez check passed\n"
    )
    head = await client.head("/readyz?verbose")
    assert (head.status, await text(head)) == (200, "")
    assert await text(await client.get("/readyz/ping")) == "ok"


async def test_a_failing_check_is_named_and_its_reason_withheld(world: World, serve: Serve) -> None:
    world.checks["readyz"][2] = Check("metric-storage-ready", lambda: "no metrics to serve")
    client = await serve(world)
    failing = READY.replace("[+]metric-storage-ready ok", "[-]metric-storage-ready failed: reason withheld")
    response = await client.get("/readyz")
    assert (response.status, await text(response)) == (500, failing + "readyz check failed\n")
    single = await client.get("/readyz/metric-storage-ready")
    assert (single.status, await text(single)) == (500, "internal server error: no metrics to serve\n")


async def test_excluded_checks_do_not_count(world: World, serve: Serve) -> None:
    world.checks["readyz"][2] = Check("metric-storage-ready", lambda: "no metrics to serve")
    client = await serve(world)
    assert await text(await client.get("/readyz?exclude=metric-storage-ready")) == "ok"
    query = "verbose&exclude=metric-storage-ready&exclude=zzz&exclude=aaa"
    assert await text(await client.get(f"/readyz?{query}")) == (
        READY.replace("metric-storage-ready ok", "metric-storage-ready excluded: ok")
        + 'warn: some health checks cannot be excluded: no matches for "aaa","zzz"\nreadyz check passed\n'
    )


def test_a_check_logs_when_it_changes_and_not_on_every_probe(caplog: pytest.LogCaptureFixture) -> None:
    reason: list[str | None] = ["no metrics to serve"]
    check = Check("metric-storage-ready", lambda: reason[0])
    with caplog.at_level("INFO", logger="pymetrics_server"):
        check.failure()
        check.failure()
        reason[0] = None
        check.failure()
    assert [record.message for record in caplog.records] == ["Failed probe", "Probe succeeds again"]

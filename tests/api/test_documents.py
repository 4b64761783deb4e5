"""Discovery, the index of paths, /version, /metrics, health: everything but metrics themselves."""

import json
import re

import pytest

from pymetrics_server.api.health import Check
from pymetrics_server.errors import FailureClass
from pymetrics_server.log import set_verbosity, verbosity
from pymetrics_server.meta.scrape import NodeScrape, ScrapeState
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
        (f"application/vnd.kubernetes.protobuf,application/json,{AGGREGATED};q=0.1", "v2"),
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
    labels = {
        "verb": "LIST",
        "group": "metrics.k8s.io",
        "version": "v1",
        "resource": "pods",
        "subresource": "",
        "scope": "cluster",
        "component": "apiserver",
        "dry_run": "",
        "code": "200",
    }
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


async def test_openapi_is_answered_in_the_forms_that_kube_apiserver_asks_for(
    world: World, serve: Serve
) -> None:
    client = await serve(world)
    v2 = await client.get("/openapi/v2", headers={"Accept": "application/json"})
    assert (v2.status, (await v2.json())["swagger"]) == (200, "2.0")
    etag = v2.headers["Etag"]
    assert (await client.get("/openapi/v2", headers={"If-None-Match": etag})).status == 304
    index = await (await client.get("/openapi/v3")).json()
    url = index["paths"]["apis/metrics.k8s.io/v1beta1"]["serverRelativeURL"]
    document = await client.get(url)
    assert document.headers["Cache-Control"] == "public, immutable"
    assert (await document.json())["openapi"] == "3.0.0"
    moved = await client.get(url[:-1] + "?", allow_redirects=False)
    assert (moved.status, moved.headers["Location"]) == (301, url)


async def test_an_answer_without_a_body_names_no_type_of_it(world: World, serve: Serve) -> None:
    client = await serve(world)
    unreadable = await client.get("/openapi/v2", headers={"Accept": "text/html"})
    unknown = await client.get("/openapi/v3/apis/foo/v1")
    for response, code in ((unreadable, 406), (unknown, 200)):
        assert (response.status, await text(response)) == (code, "")
        assert "Content-Type" not in response.headers


async def test_statusz_tells_how_each_node_answers(world: World, serve: Serve) -> None:
    failing = ScrapeState(failure=FailureClass.REFUSED, detail="connect: refused", attempts=3)
    world.scrapes += [
        NodeScrape("node-a", "summary", ScrapeState(last_success_ns=world.clock.monotonic_ns())),
        NodeScrape("node-down", "resource", failing),
    ]
    client = await serve(world)
    response = await client.get("/statusz")
    body = await text(response)
    assert response.headers["Content-Type"].startswith("text/plain")
    rows = [line.split() for line in body.splitlines() if line.startswith("node-")]
    assert rows[0][:6] == ["node-down", "resource", "never", FailureClass.REFUSED.label, "3", "-"]
    assert rows[1][:6] == ["node-a", "summary", "0s", "-", "0", "1s"]
    structured = "application/json;v=v1alpha1;g=config.k8s.io;as=Statusz"
    assert (await (await client.get("/statusz", headers={"Accept": structured})).json())["kind"] == "Statusz"
    assert (await client.get("/statusz", headers={"Accept": "application/json"})).status == 406


async def test_flagz_and_the_verbosity_agree(world: World, serve: Serve) -> None:
    before = verbosity()
    client = await serve(world)
    try:
        said = await client.put("/debug/flags/v", data=b"7")
        assert await text(said) == "successfully set klog.logging.verbosity to 7\n"
        flags = await text(await client.get("/flagz"))
        assert re.search(r"^v\W+7$", flags, re.M)
        assert re.search(r"^kubelet-port\W+10250$", flags, re.M)
        too_much = await client.put("/debug/flags/v", data=b"7" * 5000)
        assert too_much.status == 400
        assert (await client.get("/debug/flags/v")).status == 406
    finally:
        set_verbosity(before)


async def test_pages_of_an_allowed_origin_may_read_even_refusals(world: World, serve: Serve) -> None:
    world.cors_allowed_origins = (r"^https://example\.com(:|$)",)
    world.strict_transport_security = ("max-age=31536000", "preload")
    world.auth.rejects = True
    client = await serve(world)
    origin = {"Origin": "https://example.com"}
    asked = await client.options(f"{V1}/pods", headers=origin)
    assert (asked.status, await text(asked)) == (204, "")
    refused = await client.get(f"{V1}/pods", headers=origin)
    assert refused.status == 401
    for response in (asked, refused):
        assert response.headers["Access-Control-Allow-Origin"] == "https://example.com"
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000; preload"
    other = await client.options(f"{V1}/pods", headers={"Origin": "https://example.org"})
    assert other.status == 401
    assert "Access-Control-Allow-Origin" not in other.headers

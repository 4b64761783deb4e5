"""OpenAPI through the stand-in kube-apiserver: what the server behind it has, and nothing where it has none."""

import json

import pytest
from aiohttp import web

from pymetrics_server.standin.cluster import StandinCluster
from tests.standin.backend import FakeBackend
from tests.standin.conftest import Client, Kubectl

GROUP_VERSION = "/openapi/v3/apis/metrics.k8s.io/v1beta1"
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"

GVK = {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "NodeMetrics"}
SCHEMA = {
    "description": "What a node uses.",
    "type": "object",
    "properties": {"window": {"description": "Over which it was measured.", "type": "string"}},
    "x-kubernetes-group-version-kind": [GVK],
}
DOCUMENT = {
    "openapi": "3.0.0",
    "info": {"title": "backend", "version": "v0"},
    "paths": {"/apis/metrics.k8s.io/v1beta1/nodes": {"get": {"x-kubernetes-group-version-kind": GVK}}},
    "components": {"schemas": {"NodeMetrics": SCHEMA}},
}


def indexed(*keys: str) -> web.Response:
    return web.json_response({"paths": {k: {"serverRelativeURL": f"/openapi/v3/{k}?hash=AB"} for k in keys}})


def told_by(backend: FakeBackend) -> list[tuple[str, str, list[str]]]:
    """Path, user and groups of every request that was no check."""
    return [
        (path, dict(headers)["X-Remote-User"], [v for k, v in headers if k == "X-Remote-Group"])
        for path, headers, _ in backend.requests
    ]


async def test_explain_shows_the_schema_that_the_server_has(backend: FakeBackend, kubectl: Kubectl) -> None:
    backend.openapi = {
        "/openapi/v3": indexed("apis/metrics.k8s.io/v1beta1"),
        GROUP_VERSION: web.json_response(DOCUMENT),
    }
    code, out, err = await kubectl("explain", "nodemetrics.window")
    assert code == 0, err
    assert "Over which it was measured." in out


async def test_the_index_lists_what_the_server_has_of_its_group_and_is_asked_for_as_the_aggregator(
    backend: FakeBackend, admin: Client
) -> None:
    backend.openapi = {"/openapi/v3": indexed("apis", "apis/metrics.k8s.io/v1beta1", "version")}
    status, index = await admin.get("/openapi/v3")
    assert (status, list(index["paths"])) == (200, ["apis/metrics.k8s.io/v1beta1"])
    assert told_by(backend) == [("/openapi/v3", "system:aggregator", [])]


async def test_a_document_is_asked_for_as_who_wants_it(backend: FakeBackend, cluster: StandinCluster) -> None:
    backend.openapi = {GROUP_VERSION: web.json_response(DOCUMENT)}
    jane = Client(cluster, cluster.add_user("jane"))
    try:
        status, document = await jane.get(f"{GROUP_VERSION}?hash=AB")
    finally:
        await jane.session.close()
    assert (status, document) == (200, DOCUMENT)
    assert told_by(backend) == [(f"{GROUP_VERSION}?hash=AB", "jane", ["system:authenticated"])]


async def test_version_2_comes_in_the_form_that_was_asked_for(backend: FakeBackend, admin: Client) -> None:
    answer = web.Response(body=json.dumps({"swagger": "2.0"}).encode(), headers={"Etag": '"AB"'})
    backend.openapi = {"/openapi/v2": answer}
    status, document = await admin.get("/openapi/v2", PROTOBUF, **{"If-None-Match": '"CD"'})
    assert (status, document) == (200, {"swagger": "2.0"})
    ((_, headers, _),) = backend.requests
    assert {"Accept": PROTOBUF, "If-None-Match": '"CD"'}.items() <= dict(headers).items()
    assert told_by(backend) == [("/openapi/v2", "system:aggregator", [])]


@pytest.mark.parametrize("has", [None, web.Response(body=b"no json"), web.Response(status=500)])
async def test_a_server_without_openapi_costs_nothing_but_schemas(
    backend: FakeBackend, admin: Client, kubectl: Kubectl, has: web.Response | None
) -> None:
    backend.openapi = {"/openapi/v3": has} if has else {}
    assert await admin.get("/openapi/v3") == (200, {"paths": {}})
    assert (await admin.get("/openapi/v2"))[0] == 404
    code, _, err = await kubectl("top", "nodes")
    assert code == 0, err


async def test_without_a_server_there_are_no_schemas(admin: Client) -> None:
    assert await admin.get("/openapi/v3") == (200, {"paths": {}})
    assert (await admin.get("/openapi/v2"))[0] == 404
    assert (await admin.get(GROUP_VERSION))[0] == 503

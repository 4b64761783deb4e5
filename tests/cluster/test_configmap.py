import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pymetrics_server.cluster.configmap import ConfigMapWatch, RequestHeaderConfig, read
from pymetrics_server.cluster.connection import Connection
from tests.cluster.waiting import ImpatientClock, until
from tests.fakes.apiserver import FakeApiserver, Object

PATH = "/api/v1/namespaces/kube-system/configmaps"
NAME = "extension-apiserver-authentication"
PAYLOADS = Path(os.environ.get("PAYLOADS", Path(__file__).parents[2] / ".." / "shared" / "payloads"))


def configmap(name: str = NAME, **data: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": {key.replace("_", "-"): value for key, value in data.items()},
    }


@asynccontextmanager
async def running(watch: ConfigMapWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run(), name="configmap")
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_trust_is_handed_on_at_first_sight_and_at_each_change(
    server: FakeApiserver, connection: Connection
) -> None:
    heard: list[RequestHeaderConfig] = []
    server.put(PATH, configmap(client_ca_file="CA1", requestheader_allowed_names='["front-proxy-client"]'))
    server.put(PATH, configmap("another"))
    watch = ConfigMapWatch(connection, heard.append)
    async with running(watch):
        await watch.wait_synced()
        assert heard == [RequestHeaderConfig(client_ca_pem=b"CA1", allowed_names=("front-proxy-client",))]
        assert server.lists(PATH)[0].query["fieldSelector"] == f"metadata.name={NAME}"
        await until(lambda: server.watchers(PATH))
        server.put(PATH, configmap(client_ca_file="CA2"))
        await until(lambda: len(heard) == 2)
        assert watch.current == RequestHeaderConfig(client_ca_pem=b"CA2")
        assert not watch.absent


async def test_a_value_that_is_no_json_keeps_the_previous_one(
    server: FakeApiserver, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pymetrics_server")
    heard: list[RequestHeaderConfig] = []
    server.put(PATH, configmap(requestheader_group_headers='["X-Remote-Group"]'))
    watch = ConfigMapWatch(connection, heard.append)
    async with running(watch):
        await until(lambda: server.watchers(PATH))
        server.put(PATH, configmap(requestheader_group_headers="[oops", client_ca_file="new"))
        await until(lambda: len(heard) == 2)
    assert heard[1].group_headers == ("X-Remote-Group",)
    assert heard[1].client_ca_pem == b"new"
    assert f"kube-system/{NAME} failed with" in caplog.messages


async def test_a_cluster_without_the_configmap_is_no_failure(
    server: FakeApiserver, connection: Connection
) -> None:
    heard: list[RequestHeaderConfig] = []
    watch = ConfigMapWatch(connection, heard.append)
    async with running(watch):
        await until(lambda: server.watchers(PATH))
        assert watch.absent
        assert "absent" in repr(watch)
        server.put(PATH, configmap(client_ca_file="late"))
        await until(lambda: heard)
        server.remove(PATH, NAME, "kube-system")
        await until(lambda: watch.absent)
        assert watch.current.client_ca_pem == b"late"


async def test_not_found_counts_as_absent_and_is_asked_for_again(
    server: FakeApiserver, connection: Connection, clock: ImpatientClock
) -> None:
    server.refuse(PATH, 404, "not found", times=2)
    server.put(PATH, configmap(client_ca_file="late"))
    heard: list[RequestHeaderConfig] = []
    watch = ConfigMapWatch(connection, heard.append)
    async with running(watch):
        await watch.wait_synced()
        assert watch.absent
        await until(lambda: heard)
    assert len(clock.slept) == 2


async def test_missing_rights_name_the_role_to_bind(
    server: FakeApiserver, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse(PATH, 403, 'configmaps is forbidden: User "sa" cannot list resource "configmaps"')
    watch = ConfigMapWatch(connection, lambda config: None)
    async with running(watch):
        await watch.wait_synced()
    (hint,) = [vars(r)["kv"]["hint"] for r in caplog.records if r.levelno == logging.ERROR]
    assert (
        "kubectl auth can-i list configmaps/extension-apiserver-authentication -n kube-system --as=sa" in hint
    )
    assert "extension-apiserver-authentication-reader" in hint


def test_what_real_clusters_hold_is_understood() -> None:
    files = [*PAYLOADS.glob("configmap/*.json"), *PAYLOADS.glob("recorded/configmap-*.json")]
    if not files:
        pytest.skip("no recorded payloads beside the repository; set PAYLOADS")
    for file in files:
        found = json.loads(file.read_text())
        for item in found.get("items", [found]):
            if item["metadata"]["name"] != NAME:
                continue
            config = read(item["data"], RequestHeaderConfig())
            assert config.username_headers == ("X-Remote-User",), file
            assert config.group_headers == ("X-Remote-Group",), file
            assert config.extra_headers_prefix == ("X-Remote-Extra-",), file

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pymetrics_server.cluster.connection import Connection, LineSplitter
from pymetrics_server.cluster.informer import NodeInformer, PodInformer, node_informer, pod_informer
from pymetrics_server.meta.objects import Node, PodMeta
from tests.cluster.waiting import ImpatientClock, until
from tests.fakes.apiserver import FakeApiserver, Object

NODES, PODS = "/api/v1/nodes", "/api/v1/pods"


def node(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": None}}


def pod(namespace: str, name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


@asynccontextmanager
async def running(informer: NodeInformer | PodInformer) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run(), name="informer")
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def nodes(connection: Connection) -> NodeInformer:
    return node_informer(connection)


async def test_everything_is_listed_in_pages_and_then_watched(
    server: FakeApiserver, connection: Connection
) -> None:
    for number in range(1201):
        server.put(PODS, pod(f"ns{number % 3}", f"p{number:04}", app="web"))
    pods = pod_informer(connection)
    async with running(pods):
        await until(lambda: server.watchers(PODS))
        assert pods.has_synced
        assert len(pods.cache) == 1201
        assert [r.query["limit"] for r in server.lists(PODS)] == ["500", "500", "500"]
        assert server.lists(PODS)[0].query["resourceVersion"] == "0"
        assert "resourceVersion" not in server.lists(PODS)[1].query
        assert server.lists(PODS)[0].query["fieldSelector"] == "status.phase=Running"
        assert "as=PartialObjectMetadataList;g=meta.k8s.io" in server.lists(PODS)[0].headers["Accept"]
        watch = server.watches(PODS)[0]
        assert watch.query["allowWatchBookmarks"] == "true"
        assert 300 <= int(watch.query["timeoutSeconds"]) <= 600
        assert "as=PartialObjectMetadata;" in watch.headers["Accept"]
        assert watch.headers["Authorization"] == "Bearer abc"
        assert [p.name for p in pods.cache.list("ns1")[:2]] == ["p0001", "p0004"]
        assert pods.cache.list()[0].labels is pods.cache.list()[1].labels  # replicas share theirs


async def test_subscribers_hear_of_each_change_once(server: FakeApiserver, nodes: NodeInformer) -> None:
    heard: list[tuple[str, str]] = []
    nodes.subscribe(lambda n: heard.append(("upsert", n.name)), lambda n: heard.append(("delete", n.name)))
    server.put(NODES, node("b"))
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        server.put(NODES, node("a", zone="1"))
        server.put(NODES, node("a", zone="1"))  # a heartbeat: nothing that is read has changed
        server.put(NODES, node("a", zone="2"))
        server.remove(NODES, "b")
        await until(lambda: ("delete", "b") in heard)
    assert heard == [("upsert", "b"), ("upsert", "a"), ("upsert", "a"), ("delete", "b")]
    assert [n.name for n in nodes.cache.list()] == ["a"]
    assert repr(nodes) == "<Informer nodes: 1 known, synced>"


async def test_a_watch_that_ends_goes_on_from_the_last_bookmark(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        bookmark = server.bookmark(NODES)
        server.end_watches(NODES)
        await until(lambda: len(server.watches(NODES)) == 2)
        assert server.watches(NODES)[1].query["resourceVersion"] == str(bookmark)
        assert len(server.lists(NODES)) == 1


async def test_a_watch_that_is_too_old_lists_again_and_what_vanished_is_deleted_once(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    deleted: list[str] = []
    nodes.subscribe(lambda n: None, lambda n: deleted.append(n.name))
    for name in ("a", "b", "c"):
        server.put(NODES, node(name))
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        server.remove(NODES, "b", silently=True)
        server.error_event(NODES, 410, "too old resource version")
        await until(lambda: deleted)
        await until(lambda: len(server.watches(NODES)) == 2)
        assert deleted == ["b"]
        assert len(server.lists(NODES)) == 2
        assert "resourceVersion" not in server.lists(NODES)[1].query  # not from a cache that is behind


@pytest.mark.parametrize("status", [400, 504])
async def test_a_version_that_the_apiserver_never_had_lists_again(
    server: FakeApiserver, nodes: NodeInformer, status: int
) -> None:
    server.put(NODES, node("a"))
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        server.remove(NODES, "a", silently=True)
        server.error_event(NODES, status, "Too large resource version: 1000, current: 7")
        await until(lambda: len(server.watches(NODES)) == 2)
        assert len(server.lists(NODES)) == 2
        assert len(nodes.cache) == 0


async def test_a_list_that_expires_between_pages_is_had_in_one_piece(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    for number in range(700):
        server.put(NODES, node(f"n{number:03}"))
    server.expire_continue_tokens = True
    async with running(nodes):
        await until(lambda: nodes.has_synced)
        assert len(nodes.cache) == 700
        assert "limit" not in server.lists(NODES)[-1].query


async def test_a_list_that_is_refused_with_410_starts_over(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    server.put(NODES, node("a"))
    server.refuse(NODES, 410, "expired")
    async with running(nodes):
        await until(lambda: nodes.has_synced)
        assert len(nodes.cache) == 1


async def test_watches_that_are_always_too_old_are_not_hammered(
    server: FakeApiserver, nodes: NodeInformer, clock: ImpatientClock
) -> None:
    server.compacted_before = 10**9
    async with running(nodes):
        await until(lambda: len(clock.slept) == 8)
    assert len(server.lists(NODES)) <= 10
    assert 24 <= clock.slept[-1] <= 30


async def test_a_stream_cut_in_the_middle_of_a_line_loses_nothing(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        server.put(NODES, node("a"))
        server.send(NODES, b'{"type":"ADDED","object":{"metadata":{"name":"hal')
        server.end_watches(NODES)
        server.put(NODES, node("b"))
        await until(lambda: len(nodes.cache) == 2)
        assert [n.name for n in nodes.cache.list()] == ["a", "b"]
        assert len(server.lists(NODES)) == 1


async def test_a_line_of_five_megabytes_is_an_event_like_any_other(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        large = node("large")
        large["metadata"]["annotations"] = {"big": "x" * 5_000_000}
        server.put(NODES, large)
        await until(lambda: nodes.cache.get("large"))


async def test_an_apiserver_that_is_away_at_the_start_is_waited_for(
    server: FakeApiserver, nodes: NodeInformer, clock: ImpatientClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pymetrics_server")
    server.put(NODES, node("a"))
    await server.stop()
    async with running(nodes):
        await until(lambda: len(clock.slept) >= 8)
        assert not nodes.has_synced
        assert nodes.last_error == f"cannot reach {server.url}: connection refused"
        assert "failing: cannot reach" in repr(nodes)
        await server.start()
        await until(lambda: server.watchers(NODES))
        await until(lambda: not nodes.last_error)
        assert nodes.cache.get("a")
    assert 0.6 <= clock.slept[0] <= 0.8
    assert 24 <= clock.slept[7] <= 30
    assert [r.message for r in caplog.records].count("Cannot list, trying again") == 1
    assert "kube-apiserver answers again" in caplog.messages


async def test_what_is_known_stays_while_the_apiserver_is_away(
    server: FakeApiserver, nodes: NodeInformer, clock: ImpatientClock
) -> None:
    server.put(NODES, node("a"))
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        await server.stop()
        await until(lambda: clock.slept)
        assert nodes.cache.get("a")
        await server.start()
        server.put(NODES, node("b"))
        await until(lambda: nodes.cache.get("b"))
        assert len(server.lists(NODES)) == 1


async def test_missing_rights_are_logged_with_the_command_that_shows_them(
    server: FakeApiserver, nodes: NodeInformer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pymetrics_server")
    who = "system:serviceaccount:kube-system:metrics-server"
    server.refuse(NODES, 403, f'nodes is forbidden: User "{who}" cannot list resource "nodes"', times=3)
    async with running(nodes):
        await until(lambda: nodes.has_synced)
    (said,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    values: dict[str, Any] = vars(said)["kv"]
    assert f"kubectl auth can-i list nodes --as={who}" in values["hint"]


async def test_an_odd_object_costs_only_itself(server: FakeApiserver, nodes: NodeInformer) -> None:
    odd = node("odd")
    odd["metadata"]["labels"] = "none"
    server.put(NODES, odd)
    server.put(NODES, node("a"))
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        server.put(NODES, odd)
        server.put(NODES, node("b"))
        await until(lambda: len(nodes.cache) == 2)


async def test_a_large_list_in_one_piece_is_read_object_by_object(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    for number in range(300):
        large = node(f"n{number}")
        large["metadata"]["annotations"] = {"big": "x" * 20_000}
        server.put(NODES, large)
    async with running(nodes):
        await until(lambda: nodes.has_synced)
        assert len(nodes.cache) == 300


async def test_a_subscriber_that_fails_does_not_end_the_watch(
    server: FakeApiserver, nodes: NodeInformer
) -> None:
    def fail(found: Node) -> None:
        if found.name == "a":
            raise KeyError(found.name)

    nodes.subscribe(fail, fail)
    async with running(nodes):
        await until(lambda: server.watchers(NODES))
        server.put(NODES, node("a"))
        server.put(NODES, node("b"))
        await until(lambda: nodes.cache.get("b"))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_come_out_whole_however_they_are_cut(size: int) -> None:
    text = b"one\ntwo\n\nthree\r\nfour"
    splitter = LineSplitter()
    lines = [line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])]
    assert lines == [b"one", b"two", b"three\r"]


def test_pods_are_found_by_namespace_and_in_order(connection: Connection) -> None:
    cache = pod_informer(connection).cache
    for namespace, name in (("b", "2"), ("a", "9"), ("b", "1")):
        assert cache.put(PodMeta(namespace, name))
    assert [(p.namespace, p.name) for p in cache.list()] == [("a", "9"), ("b", "1"), ("b", "2")]
    assert [p.name for p in cache.list("b")] == ["1", "2"]
    assert cache.get("a", "9") == PodMeta("a", "9")
    assert cache.pop(("a", "9")) == PodMeta("a", "9")
    assert cache.pop(("a", "9")) is None
    assert cache.list("a") == ()
    assert len(cache) == 2

"""The simulated fleet serves what it says: a fleet that is wrong would measure servers wrongly."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from benchmarks.asking import Tree
from benchmarks.fleet import Fleet, running
from benchmarks.kubelets import COUNTED, Habits, Kubelets
from benchmarks.load import SECOND_NS, address_of, node_at, node_view
from benchmarks.prepared import PreparedNode
from benchmarks.truth import checked
from pymetrics_server.clock import SystemClock
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.meta.usage import NodeSample
from pymetrics_server.standin import simulated
from pymetrics_server.standin.exposition import resource_text, summary_json
from pymetrics_server.standin.pki import make_pki, server_context

NODES, PODS, CONTAINERS = 20, 3, 2
HABITS = Habits(nodes=NODES, pods=PODS, containers=CONTAINERS)
EPOCH_NS = 1_795_416_192_345_678_901
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PATHS = ("/stats/summary?only_cpu_and_memory=true", "/metrics/resource")


@pytest.mark.parametrize("node", [0, 7, 999])
def test_a_prepared_answer_is_the_stand_ins_own_to_the_byte(node: int) -> None:
    view = node_view(node, PODS, CONTAINERS, EPOCH_NS)
    prepared = PreparedNode(view)
    assert prepared.summary(EPOCH_NS) == summary_json(view)
    assert prepared.resource(EPOCH_NS) == resource_text(view)


def _summary(body: bytes) -> NodeSample:
    return decode_summary(body)


def _resource(body: bytes) -> NodeSample:
    return decode_resource(body, 0)


def test_counters_grow_at_the_known_rates_and_stamps_with_them() -> None:
    prepared = PreparedNode(node_view(3, PODS, CONTAINERS, EPOCH_NS))
    later_ns = EPOCH_NS + 47 * SECOND_NS
    for decode, answer in ((_summary, prepared.summary), (_resource, prepared.resource)):
        first, last = decode(answer(EPOCH_NS)), decode(answer(later_ns))
        gone_ns = prepared.sampled_ns(later_ns) - prepared.sampled_ns(EPOCH_NS)
        assert gone_ns % (10 * SECOND_NS) == 0
        for ordinal in range(PODS * CONTAINERS):
            rate = simulated.rate_nanocores(3, *divmod(ordinal, CONTAINERS))
            assert last.time_ns[ordinal] - first.time_ns[ordinal] == gone_ns
            used_ns = last.cpu_ns[ordinal] - first.cpu_ns[ordinal]
            assert used_ns == pytest.approx(
                rate * gone_ns / SECOND_NS, abs=2_000
            )  # floats of the resource page
            assert last.memory_bytes[ordinal] == simulated.memory_bytes(3, *divmod(ordinal, CONTAINERS))


def test_a_kubelet_takes_no_sample_between_two() -> None:
    prepared = PreparedNode(node_view(3, PODS, CONTAINERS, EPOCH_NS))
    taken_ns = prepared.sampled_ns(EPOCH_NS + 30 * SECOND_NS)
    assert prepared.summary(taken_ns) == prepared.summary(taken_ns + 10 * SECOND_NS - 1)
    assert prepared.summary(taken_ns) != prepared.summary(taken_ns + 10 * SECOND_NS)


def test_every_node_has_an_address_of_its_own() -> None:
    addresses = [address_of(node) for node in range(6_000)]
    assert len(set(addresses)) == 6_000
    assert [node_at(address) for address in addresses] == list(range(6_000))
    assert node_at("127.0.0.1") == node_at("127.1.0.0") == node_at("127.1.0.255") == -1


@asynccontextmanager
async def kubelets(tmp_path: Path, habits: Habits) -> AsyncIterator[tuple[Kubelets, int]]:
    pki = make_pki(tmp_path, SystemClock())
    some = Kubelets(range(habits.nodes), habits, "good", EPOCH_NS, [0] * len(COUNTED), lambda: EPOCH_NS)
    try:
        yield some, await some.start(server_context(pki.kubelet))
    finally:
        await some.stop()


def session(token: str = "good", **more: Any) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=False, **more)
    return aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {token}"})


async def test_both_endpoints_are_served_by_every_node_over_one_connection_each(tmp_path: Path) -> None:
    async with kubelets(tmp_path, HABITS) as (some, port), session() as client:
        for _ in range(3):
            for node in range(NODES):
                view = node_view(node, PODS, CONTAINERS, EPOCH_NS)
                for path, expected in zip(PATHS, (summary_json(view), resource_text(view)), strict=True):
                    async with client.get(f"https://{address_of(node)}:{port}{path}") as answer:
                        assert (answer.status, await answer.read()) == (200, expected)
        assert len(some.open) == NODES
        assert some.counts[:4] == [3 * NODES, 3 * NODES, 0, 0]


async def test_every_fifth_scrape_of_a_node_fails_and_others_go_on(tmp_path: Path) -> None:
    habits = msgspec.structs.replace(HABITS, fail_every=5)
    async with kubelets(tmp_path, habits) as (some, port), session() as client:
        for node in range(NODES):
            statuses = []
            for _ in range(10):
                async with client.get(f"https://{address_of(node)}:{port}{PATHS[0]}") as answer:
                    statuses.append(answer.status)
            assert statuses.count(500) == 2
            assert abs(statuses.index(500) - statuses[::-1].index(500)) <= 4
        assert len(some.open) == NODES


async def test_who_has_no_token_or_asks_elsewhere_gets_nothing(tmp_path: Path) -> None:
    async with kubelets(tmp_path, HABITS) as (_, port), session("bad") as stranger, session() as client:
        async with stranger.get(f"https://{address_of(0)}:{port}{PATHS[0]}") as answer:
            assert answer.status == 401
        async with client.get(f"https://{address_of(0)}:{port}/pods") as answer:
            assert answer.status == 404
        async with client.post(f"https://{address_of(0)}:{port}/run") as answer:
            assert answer.status == 405
        with pytest.raises(aiohttp.ClientError):
            await client.get(f"https://{address_of(NODES)}:{port}{PATHS[0]}")


async def test_slow_nodes_answer_late_and_hold_nobody_else_up(tmp_path: Path) -> None:
    habits = msgspec.structs.replace(HABITS, slow_nodes=1, slow_s=0.5)
    loop = asyncio.get_running_loop()

    async def took_s(client: aiohttp.ClientSession, node: int, port: int) -> float:
        began_s = loop.time()
        async with client.get(f"https://{address_of(node)}:{port}{PATHS[1]}") as answer:
            await answer.read()
        return loop.time() - began_s

    async with kubelets(tmp_path, habits) as (_, port), session() as client, asyncio.TaskGroup() as group:
        slow = group.create_task(took_s(client, 0, port), name="slow node")
        quick = group.create_task(took_s(client, 1, port), name="quick node")
        await quick
        assert not slow.done()
    assert slow.result() >= 0.5


async def test_the_whole_fleet_tells_a_metrics_server_all_it_needs(tmp_path: Path) -> None:
    async with running(tmp_path, HABITS, workers=2) as fleet, session(fleet.apiserver_token) as client:
        nodes = await listed(client, fleet, "/api/v1/nodes")
        pods = await listed(client, fleet, "/api/v1/pods", PARTIAL)
        (trust,) = await listed(client, fleet, "/api/v1/namespaces/kube-system/configmaps")
        assert len(nodes) == NODES
        assert len({(p["metadata"]["namespace"], p["metadata"]["name"]) for p in pods}) == NODES * PODS
        assert trust["data"]["client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
        for node in nodes:
            port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
            address = node["status"]["addresses"][0]["address"]
            rate = simulated.node_rate_nanocores(node_at(address), PODS, CONTAINERS)
            assert int(node["status"]["capacity"]["cpu"]) * 10**9 >= rate
            async with client.get(f"https://{address}:{port}{PATHS[0]}") as answer:
                assert (await answer.json())["node"]["nodeName"] == node["metadata"]["name"]
        review = {"spec": {"token": fleet.token}}
        url = f"{fleet.apiserver_url}/apis/authentication.k8s.io/v1/tokenreviews"
        async with client.post(url, json=review) as answer:
            assert (await answer.json())["status"]["user"]["username"] == "bench"
        async with client.get(f"{fleet.apiserver_url}/fleet") as answer:
            assert (await answer.json())["summary"] == NODES


async def test_a_watch_tells_what_is_there_to_those_who_ask_for_it_first(tmp_path: Path) -> None:
    async with running(tmp_path, HABITS, workers=1) as fleet, session(fleet.apiserver_token) as client:
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
        async with client.get(
            f"{fleet.apiserver_url}/api/v1/pods?{query}", headers={"Accept": PARTIAL}
        ) as answer:
            events = [msgspec.json.decode(line) for line in (await answer.read()).splitlines()]
        assert [event["type"] for event in events] == ["ADDED"] * (NODES * PODS) + ["BOOKMARK"]
        assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def listed(
    client: aiohttp.ClientSession, fleet: Fleet, path: str, accept: str = "application/json"
) -> list[dict[str, Any]]:
    async with client.get(fleet.apiserver_url + path, headers={"Accept": accept}) as answer:
        assert answer.status == 200
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


def test_wrong_values_are_counted() -> None:
    def item(cpu_nanocores: int, memory_bytes: int) -> dict[str, Any]:
        usage = {"cpu": f"{cpu_nanocores}n", "memory": f"{memory_bytes // 1024}Ki"}
        return {"metadata": {"name": "app-0-00003-000"}, "containers": [{"name": "main", "usage": usage}]}

    one = msgspec.structs.replace(HABITS, containers=1)
    rate, memory = simulated.rate_nanocores(3, 0, 0), simulated.memory_bytes(3, 0, 0)
    assert checked([item(rate, memory)], [], one).wrong == 0
    assert checked([item(rate * 103 // 100, memory)], [], one).wrong == 1
    assert checked([item(rate, memory + 1024)], [], one).wrong == 1
    assert checked([item(rate, memory)], [], HABITS).wrong == 1
    assert checked([item(rate * 101 // 100, memory)], [], one).worst_cpu_error == pytest.approx(0.01)


def test_the_cpu_of_threads_that_have_ended_counts() -> None:
    tree = Tree(os.getpid())
    before_s, began_s = tree.cpu_s(), time.process_time()
    thread = threading.Thread(target=lambda: sum(range(300_000)))
    thread.start()
    thread.join()
    used_s = time.process_time() - began_s
    assert tree.cpu_s() - before_s >= used_s > 0

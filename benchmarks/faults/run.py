"""Scenarios played: those of kubelets all at once in one world, those of clusters one after the other in another."""

import asyncio
import statistics
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchmarks.faults.kubelets import INTERVAL_S
from benchmarks.faults.outcome import Outcome, Promise, judged
from benchmarks.faults.scenarios import Scenario
from benchmarks.faults.watcher import Look
from benchmarks.faults.world import RESOLUTION_S, Server, World, spoilt_world

NODES_PER_SCENARIO = 2
SANE_NODES = 6
CLUSTER_NODES = 20
REPLICAS = "a second replica starts"
_RECOVERS_WITHIN_S = 60.0
_NOTICES_WITHIN_S = 45.0  # backing off takes up to 30 s
_MiB = 1 << 20


async def of_kubelets(directory: Path, scenarios: Sequence[Scenario], lasts_s: float) -> list[Outcome]:
    """All of them go wrong for `lasts_s`, each on nodes of its own."""
    async with spoilt_world(directory, SANE_NODES + NODES_PER_SCENARIO * len(scenarios)) as world:
        await asyncio.sleep(RESOLUTION_S)
        rss_before = _rss_mib(world)
        kubelets = list(world.kubelets.values())
        sane = {kubelet.name for kubelet in kubelets[:SANE_NODES]}
        hit = {
            scenario.title: kubelets[SANE_NODES + i * NODES_PER_SCENARIO :][:NODES_PER_SCENARIO]
            for i, scenario in enumerate(scenarios)
        }
        world.server.watcher.strange |= {
            k.name for s in scenarios if not s.promise.ages_count for k in hit[s.title]
        }
        began, lines = len(world.server.watcher.looks), len(world.server.log_lines)
        async with AsyncExitStack() as spoilt:
            for scenario in scenarios:
                await spoilt.enter_async_context(scenario.spoils(world, hit[scenario.title]))
            await asyncio.sleep(lasts_s)
            looks = world.server.watcher.looks[began:]
        cured_s = time.time()
        recovered = await asyncio.gather(
            *(_recovered(world, {k.name for k in hit[s.title]}, cured_s) for s in scenarios)
        )
        await asyncio.sleep(RESOLUTION_S)
        said = world.server.log_lines[lines:]
        rss = rss_before, _rss_mib(world)
        _check(world)
        outcomes = []
        for scenario, recovered_s in zip(scenarios, recovered, strict=True):
            names = {kubelet.name for kubelet in hit[scenario.title]}
            told = sum(any(name in line for name in names) for line in said)
            outcomes.append(
                judged(scenario.title, scenario.promise, names, sane, looks, recovered_s, told, rss)
            )
        return outcomes


async def of_clusters(
    directory: Path, scenarios: Sequence[Scenario], lasts_s: float, *, clock_can_be_stepped: bool = False
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    async with spoilt_world(directory, CLUSTER_NODES, clock_can_be_stepped=clock_can_be_stepped) as world:
        await asyncio.sleep(RESOLUTION_S)
        for scenario in scenarios:
            names = set(world.kubelets)
            rss_before = _rss_mib(world)
            began, lines = len(world.server.watcher.looks), len(world.server.log_lines)
            async with scenario.spoils(world, list(world.kubelets.values())):
                await asyncio.sleep(scenario.lasts_s or lasts_s)
                looks = world.server.watcher.looks[began:]
            recovered_s = await _recovered(world, names, time.time())
            if not await _notices(world, 9000 + len(outcomes)):
                recovered_s = None
            said = world.server.log_lines[lines:]
            _check(world)
            rss = rss_before, _rss_mib(world)
            outcomes.append(
                judged(scenario.title, scenario.promise, names, (), looks, recovered_s, len(said), rss)
            )
            print(scenario.title, outcomes[-1].broken or "holds", flush=True)
    return outcomes


async def of_replicas(directory: Path, lasts_s: float) -> list[Outcome]:
    """A second server beside the first: how soon it is useful, and whether the two say the same."""
    async with spoilt_world(directory, CLUSTER_NODES) as world:
        await asyncio.sleep(RESOLUTION_S)
        first, second = world.server, Server(world, "second")
        try:
            await second.start()
            useful_s = await second.serves_all()
            began = len(second.watcher.looks)
            await asyncio.sleep(lasts_s)
            pairs = [
                (look, min(first.watcher.looks, key=lambda other: abs(other.at_s - look.at_s)))
                for look in second.watcher.looks[began:]
            ]
            lines = len(second.log_lines)
        finally:
            await second.stop()
        apart_s = statistics.median(
            abs(a.nodes[name].timestamp_s - b.nodes[name].timestamp_s)
            for a, b in pairs
            for name in a.nodes.keys() & b.nodes.keys()
        )
        promise = Promise(recovers_within_s=8.0, oldest_s=15.0, lines_per_node=1.0)
        looks = [look for look, _ in pairs]
        rss = _rss_mib(world)
        seen = judged(REPLICAS, promise, set(world.kubelets), (), looks, useful_s, lines, (rss, rss))
        if apart_s > INTERVAL_S:
            said = f"half of what the two served was {apart_s:.1f} s apart"
            seen = msgspec.structs.replace(seen, broken=(*seen.broken, said))
        return [seen]


async def _recovered(world: World, names: Collection[str], cured_s: float) -> float | None:
    """Until each was sampled after the cure and is served with all of its pods."""

    def fresh(look: Look) -> bool:
        return all(
            (served := look.nodes.get(name)) is not None
            and cured_s < served.timestamp_s <= look.at_s + 2
            and served.pods >= world.pods
            for name in names
        )

    return await world.server.watcher.until(fresh, _RECOVERS_WITHIN_S)


async def _notices(world: World, index: int) -> bool:
    """A node that joins: lists and watches are there again, too."""
    kubelet = await world.add_node(index)
    try:
        return (
            await world.server.watcher.until(lambda look: kubelet.name in look.nodes, _NOTICES_WITHIN_S)
            is not None
        )
    finally:
        await world.remove_node(kubelet)


def _rss_mib(world: World) -> float:
    return statistics.median(look.rss_bytes for look in world.server.watcher.looks[-5:]) / _MiB


def _check(world: World) -> None:
    """Nothing died in silence: the process would have gone with it."""
    if not world.server.lives or not world.server.is_watched:
        raise RuntimeError("the server or its watcher has ended:\n" + "\n".join(world.server.log_lines[-20:]))

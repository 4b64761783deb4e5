"""What goes wrong, scene by scene. Each is a context manager: it goes wrong on entering and is cured on leaving."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
import psutil

from benchmarks.faults import habits
from benchmarks.faults.front import as_they_are
from benchmarks.faults.kubelets import CrookedKubelet, Habit, Look, sane, unchanged
from benchmarks.faults.outcome import Promise
from benchmarks.faults.world import World
from pymetrics_server.standin.pki import server_context
from pymetrics_server.standin.resources import PODS, pod_body
from pymetrics_server.standin.reviews import SERVER_ACCOUNT

Kubelets = Sequence[CrookedKubelet]
Spoils = Callable[[World, Kubelets], AbstractAsyncContextManager[None]]


class Scenario(msgspec.Struct, frozen=True):
    title: str
    spoils: Spoils
    promise: Promise = Promise()
    lasts_s: float | None = None  # where it must last longer than the others to be one


def _answering(habit: Habit) -> Spoils:
    @contextlib.asynccontextmanager
    async def spoils(_: World, kubelets: Kubelets) -> AsyncIterator[None]:
        for kubelet in kubelets:
            kubelet.habit = habit
        yield
        for kubelet in kubelets:
            kubelet.habit = sane

    return spoils


def _looking(look: Callable[[World, int], Look]) -> Spoils:
    """`look` is given how many of them came before."""

    @contextlib.asynccontextmanager
    async def spoils(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
        for i, kubelet in enumerate(kubelets):
            kubelet.look = look(world, i)
        yield
        for kubelet in kubelets:
            kubelet.look = unchanged

    return spoils


@contextlib.asynccontextmanager
async def _stopped(_: World, kubelets: Kubelets) -> AsyncIterator[None]:
    for kubelet in kubelets:
        await kubelet.stop()
    yield
    for kubelet in kubelets:
        await kubelet.start()


@contextlib.asynccontextmanager
async def _without_a_resolver(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """Names, which are asked for where addresses do not answer, hang; a minute longer than the nodes are gone."""
    silent = world.server.silent_resolver
    silent.touch()
    async with _stopped(world, kubelets):
        yield
    asyncio.get_running_loop().call_later(60, lambda: silent.unlink(missing_ok=True))


@contextlib.asynccontextmanager
async def _silent(_: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """Connections of before are cut, new ones are taken and not answered."""
    for kubelet in kubelets:
        kubelet.silent = True
        await kubelet.hang_up()
    yield
    for kubelet in kubelets:
        kubelet.silent = False


@contextlib.asynccontextmanager
async def _expired(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    context = server_context(world.expired_certificate())
    for kubelet in kubelets:
        kubelet.context = context
        await kubelet.hang_up()
    yield
    for kubelet in kubelets:
        kubelet.context = world.kubelet_context


@contextlib.asynccontextmanager
async def _unresolved(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    for kubelet in kubelets:
        world.put_node(kubelet, {"Hostname": f"{kubelet.name}.invalid"})
    yield
    for kubelet in kubelets:
        world.put_node(kubelet)


@contextlib.asynccontextmanager
async def _wrong_first_address(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    for kubelet in kubelets:
        world.put_node(kubelet, {"InternalIP": "127.0.0.99", "Hostname": "localhost"})
    yield
    for kubelet in kubelets:
        world.put_node(kubelet)


@contextlib.asynccontextmanager
async def _moved(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """The same name at another address: a node was replaced."""
    before = [(kubelet, kubelet.port) for kubelet in kubelets]
    for kubelet, _ in before:
        await kubelet.stop()
        kubelet.port = 0
        await kubelet.start()
        world.put_node(kubelet)
    yield
    for kubelet, port in before:
        await kubelet.stop()
        kubelet.port = port
        await kubelet.start()
        world.put_node(kubelet)


@contextlib.asynccontextmanager
async def _pods_of_neighbours(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    sane_one = next(k for k in world.kubelets.values() if k not in kubelets)
    for kubelet in kubelets:
        kubelet.look = habits.with_pods_of(sane_one.source)
    yield
    for kubelet in kubelets:
        kubelet.look = unchanged


@contextlib.asynccontextmanager
async def _restarted(_: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """Not undone: what has begun anew has."""
    for kubelet in kubelets:
        kubelet.look = habits.restarted(kubelet.source.view())
    yield


_CLOCK = Promise(served=0.0, ages_count=False)
_AN_HOUR_S = 3600.0

#: Done to two nodes each, all at once and beside nodes that are sane.
OF_KUBELETS: Sequence[Scenario] = (
    Scenario("every second scrape fails (500)", _answering(habits.every(2, habits.status("500 Internal Server Error", b"no"))), Promise(oldest_s=17.0, lines_per_node=12.0)),
    Scenario("every third scrape is reset", _answering(habits.every(3, habits.reset)), Promise(oldest_s=15.0, lines_per_node=0.5)),
    Scenario("hangs before its headers", _answering(habits.hang)),
    Scenario("hangs in the middle of the body", _answering(habits.hang_in_the_middle)),
    Scenario("accepts and never speaks TLS", _silent),
    Scenario("answers after 8 s", _answering(habits.after(8)), Promise(oldest_s=25.0)),
    Scenario("resets every request", _answering(habits.reset)),
    Scenario("is not there (connection refused)", _stopped),
    Scenario("500", _answering(habits.status("500 Internal Server Error", b"no"))),
    Scenario("503", _answering(habits.status("503 Service Unavailable", b"no"))),
    Scenario("429", _answering(habits.status("429 Too Many Requests", b"no"))),
    Scenario("an HTML page", _answering(habits.html)),
    Scenario("garbage", _answering(habits.garbage)),
    Scenario("an empty summary", _answering(habits.empty)),
    Scenario("no HTTP at all", _answering(habits.no_http)),
    Scenario("truncated body", _answering(habits.cut_short)),
    Scenario("a Content-Length that is too short", _answering(habits.more_than_its_length)),
    Scenario("a body without end", _answering(habits.endless)),
    Scenario("a body that trickles", _answering(habits.trickle)),
    Scenario("a gzip bomb of 512 MiB", _answering(habits.bomb)),
    Scenario("403 on everything: RBAC changed", _answering(habits.forbidden)),
    Scenario("403 on /stats/summary alone", _answering(habits.forbidden_summary), Promise(oldest_s=30.0)),
    Scenario("its certificate has expired", _expired),
    Scenario("its name does not resolve", _unresolved),
    Scenario("its first address is dead, its second is not", _wrong_first_address, Promise(oldest_s=15.0)),
    Scenario("its clock is an hour ahead", _looking(lambda *_: habits.clock_off(_AN_HOUR_S)), _CLOCK),
    Scenario("its clock is an hour behind", _looking(lambda *_: habits.clock_off(-_AN_HOUR_S)), _CLOCK),
    Scenario("its clock jumps to and fro", _looking(lambda *_: habits.clock_jumping()), _CLOCK),
    Scenario("every container restarted, counters began anew", _restarted, Promise(oldest_s=20.0)),
    Scenario("replaced by one at another port", _moved, Promise(oldest_s=15.0)),
    Scenario("tells of another node's pods as well", _pods_of_neighbours, Promise(oldest_s=15.0)),
)  # fmt: skip


# Of the whole cluster, one after the other.


def _share_stops(share: float) -> Spoils:
    @contextlib.asynccontextmanager
    async def spoils(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
        hit = kubelets[: max(1, round(len(kubelets) * share))]
        async with _stopped(world, hit):
            yield

    return spoils


@contextlib.asynccontextmanager
async def _apiserver_down(world: World, _: Kubelets) -> AsyncIterator[None]:
    await world.front.stop()
    yield
    await world.front.start()


@contextlib.asynccontextmanager
async def _apiserver_down_at_start(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    await world.server.stop()
    async with _apiserver_down(world, kubelets):
        await world.server.start()
        yield


@contextlib.asynccontextmanager
async def _watches_cut(world: World, _: Kubelets) -> AsyncIterator[None]:
    world.front.watches_last_s = 1.0
    await world.front.stop()
    await world.front.start()
    yield
    world.front.watches_last_s = None


@contextlib.asynccontextmanager
async def _storm_of_410(world: World, _: Kubelets) -> AsyncIterator[None]:
    world.front.gone = True
    world.cluster.revisions.compact()
    await world.front.stop()
    await world.front.start()
    yield
    world.front.gone = False


@contextlib.asynccontextmanager
async def _slow_lists(world: World, _: Kubelets) -> AsyncIterator[None]:
    """And nothing but lists, for watches are cut at once."""
    world.front.lists_take_s, world.front.gone = 5.0, True
    await world.front.stop()
    await world.front.start()
    yield
    world.front.lists_take_s, world.front.gone = 0.0, False


@contextlib.asynccontextmanager
async def _mangled_watches(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """Half lines, lines twice, lines in the wrong order, lines that are none; pods come and go meanwhile."""
    chance = random.Random(7)  # noqa: S311  the same each time
    held: dict[str, list[bytes]] = defaultdict(list)

    def mangle(path: str, line: bytes) -> Iterable[bytes]:
        what = chance.randrange(5)
        if what == 0:
            return (line[: len(line) // 2] + b"\n",)
        if what == 1:
            return (line, line)
        if what == 2:
            held[path].append(line)
            return ()
        if what == 3:
            late, held[path] = held[path], []
            return (line, *late)
        return (b"\x00\xff{]\n", line)

    world.front.mangle = mangle
    await world.front.stop()
    await world.front.start()
    async with churning(world, kubelets, pods_per_s=10, nodes_per_s=0):
        yield
    world.front.mangle = as_they_are
    await world.front.stop()  # what was made of mangled lines is listed anew
    world.cluster.revisions.compact()
    await world.front.start()


@contextlib.asynccontextmanager
async def churning(
    world: World, _: Kubelets, *, pods_per_s: float, nodes_per_s: float
) -> AsyncIterator[None]:
    async def churn_pods() -> None:
        view = next(iter(world.kubelets.values())).source.view()
        number = 0
        while True:
            number += 1
            pod = msgspec.structs.replace(view.pods[0], name=f"churn-{number % 500:05d}-999")
            world.cluster.revisions.put(PODS, pod_body(pod, view.name, "127.0.0.1"))
            world.cluster.revisions.delete(PODS, pod.namespace, f"churn-{(number - 250) % 500:05d}-999")
            await asyncio.sleep(1 / pods_per_s)

    async def churn_nodes() -> None:
        index = 5000
        while True:
            kubelet = await world.add_node(index)
            await asyncio.sleep(1 / nodes_per_s)
            await world.remove_node(kubelet)
            index += 1

    work = [churn_pods()] if pods_per_s else []
    tasks = [
        asyncio.create_task(each, name="churn") for each in (*work, *([churn_nodes()] if nodes_per_s else []))
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (err := task.exception()) is not None:
                raise err
        for kubelet in [k for k in world.kubelets.values() if k.source.index >= 5000]:
            await world.remove_node(kubelet)
        for pod in world.cluster.revisions.all(PODS):
            if pod.name.startswith("churn-"):
                world.cluster.revisions.delete(PODS, pod.namespace, pod.name)


def _churn(pods_per_s: float, nodes_per_s: float) -> Spoils:
    return lambda world, kubelets: churning(world, kubelets, pods_per_s=pods_per_s, nodes_per_s=nodes_per_s)


@contextlib.asynccontextmanager
async def _forbidden_to_list(world: World, _: Kubelets) -> AsyncIterator[None]:
    """Its ClusterRoleBinding went: kube-apiserver and every kubelet refuse it."""
    policy = world.cluster.policy
    rules = policy.rules
    policy.rules = [rule for rule in rules if rule.subject != SERVER_ACCOUNT]
    for kubelet in world.kubelets.values():
        kubelet.habit = habits.forbidden
    await world.front.stop()
    await world.front.start()
    yield
    policy.rules = rules
    for kubelet in world.kubelets.values():
        kubelet.habit = sane


def _killed(politely: bool) -> Spoils:
    @contextlib.asynccontextmanager
    async def spoils(world: World, _: Kubelets) -> AsyncIterator[None]:
        await world.server.stop(politely=politely)
        yield
        await world.server.start()

    return spoils


@contextlib.asynccontextmanager
async def _without_descriptors(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """It may open no further file, and every kubelet has just hung up."""
    process = world.server.process
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
    for kubelet in kubelets:
        await kubelet.hang_up()
    yield
    process.rlimit(psutil.RLIMIT_NOFILE, before)


@contextlib.asynccontextmanager
async def _frozen(world: World, _: Kubelets) -> AsyncIterator[None]:
    """SIGSTOP: a machine that swaps, a container that is paused."""
    process = world.server.process
    process.suspend()
    yield
    process.resume()


@contextlib.asynccontextmanager
async def _little_memory(world: World, kubelets: Kubelets) -> AsyncIterator[None]:
    """The process may grow by 16 MiB, and every kubelet sends what inflates to more than that together."""
    process = world.server.process
    before = process.rlimit(psutil.RLIMIT_AS)
    process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + (16 << 20), before[1]))
    for kubelet in kubelets:
        kubelet.habit = habits.bomb
    yield
    for kubelet in kubelets:
        kubelet.habit = sane
    process.rlimit(psutil.RLIMIT_AS, before)


def _stepped(seconds: float) -> Spoils:
    """The server's own clock, and no kubelet's."""

    @contextlib.asynccontextmanager
    async def spoils(world: World, _: Kubelets) -> AsyncIterator[None]:
        world.server.step_clock(seconds)
        yield
        world.server.step_clock(0)

    return spoils


_GONE = Promise(served=0.0, livez=(0, 200), readyz=(0, 200, 500), recovers_within_s=20.0)

#: (title, how, promise): every node is hit, one scenario after the other.
OF_CLUSTERS: Sequence[Scenario] = (
    Scenario("20% of the nodes at once, and back", _share_stops(0.2)),
    Scenario("all nodes at once, and back", _share_stops(1.0)),
    Scenario("all nodes at once and the resolver, and the nodes back", _without_a_resolver),
    Scenario("all nodes, for longer than --metric-max-age", _share_stops(1.0), Promise(served=0.0, oldest_s=63.0, readyz=(200, 500)), lasts_s=75.0),
    Scenario("kube-apiserver is down", _apiserver_down, Promise(oldest_s=15.0, lines_per_node=2)),
    Scenario("the server starts while kube-apiserver is down", _apiserver_down_at_start, msgspec.structs.replace(_GONE, readyz=(0, 500), recovers_within_s=45.0)),
    Scenario("every watch is cut after a second", _watches_cut, Promise(oldest_s=15.0, lines_per_node=2)),
    Scenario("every watch is answered 410", _storm_of_410, Promise(oldest_s=15.0, lines_per_node=2)),
    Scenario("lists take 5 s, watches are 410", _slow_lists, Promise(oldest_s=15.0, lines_per_node=2)),
    Scenario("watch lines halved, doubled, out of order, garbage", _mangled_watches, Promise(oldest_s=15.0, recovers_within_s=30.0)),
    Scenario("2,000 pods come and go in a minute", _churn(34, 0), Promise(oldest_s=15.0)),
    Scenario("10 nodes join and leave every second", _churn(0, 10), Promise(oldest_s=15.0)),
    Scenario("its rights are taken away, at kube-apiserver and kubelets", _forbidden_to_list, Promise(lines_per_node=3, recovers_within_s=30.0)),
    Scenario("no file descriptors left", _without_descriptors, Promise(readyz=(0, 200), recovers_within_s=25.0)),
    Scenario("memory runs out", _little_memory, Promise(readyz=(0, 200), livez=(0, 200))),
    Scenario("frozen, and thawed", _frozen, _GONE),
    Scenario("stopped, and started", _killed(politely=True), _GONE),
    Scenario("killed, and started", _killed(politely=False), _GONE),
)  # fmt: skip

#: The same, in a cluster whose server's clock can be stepped.
OF_CLOCKS: Sequence[Scenario] = (
    Scenario("its machine's clock steps an hour ahead, and back", _stepped(3600), Promise(oldest_s=15.0)),
    Scenario("its machine's clock steps an hour behind, and back", _stepped(-3600), Promise(oldest_s=15.0)),
)

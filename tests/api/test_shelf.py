"""What is kept between requests: until when, and never more than there is."""

from collections.abc import Sequence

import msgspec

from pymetrics_server.api.shelf import Entry, Shelf
from pymetrics_server.meta.objects import PodMeta
from pymetrics_server.meta.usage import NEVER, PodUsage, Validity


class Cluster:
    """A lister and a store as their Protocols have it: the identical snapshot until something changes."""

    def __init__(self, *pods: PodMeta) -> None:
        self.now_ns = 0
        self.usage: dict[str, PodUsage] = {}
        self.validity: dict[str, Validity] = {}
        self.asked = 0
        self.set(*pods)
        self.shelf: Shelf[PodMeta, PodUsage] = Shelf(
            lambda namespace: self.snapshots.get(namespace, ()), self._usage, self._validity
        )

    def set(self, *pods: PodMeta) -> None:
        self.all = pods
        self.snapshots = {
            namespace: tuple(pod for pod in pods if pod.namespace == namespace)
            for namespace in sorted({pod.namespace for pod in pods})
        }

    def sample(self, name: str, until_ns: int = 100) -> None:
        self.validity.get(name, NEVER).end()
        self.usage[name] = PodUsage(1, 1, ())
        self.validity[name] = Validity(until_ns)

    def _usage(self, pod: PodMeta, now_ns: int) -> PodUsage | None:
        self.asked += 1
        return self.usage.get(pod.name)

    def _validity(self, pod: PodMeta) -> Validity:
        return self.validity.get(pod.name, NEVER)

    def list(self, namespace: str) -> Sequence[Entry[PodMeta, PodUsage]]:
        return self.shelf.present(self.shelf.of_namespace(namespace).entries, self.now_ns)

    def list_all(self) -> Sequence[Entry[PodMeta, PodUsage]]:
        shown = self.shelf.of_all(self.all, lambda: list(self.snapshots))
        return self.shelf.present(shown.entries, self.now_ns)


def named(entries: Sequence[Entry[PodMeta, PodUsage]]) -> list[str]:
    return [entry.object.name for entry in entries]


def test_what_is_valid_is_not_asked_for_again_and_keeps_its_bytes() -> None:
    cluster = Cluster(PodMeta("a", "x"))
    cluster.sample("x")
    [entry] = cluster.list("a")
    entry.json = entry.row = b"made"
    [again] = cluster.list("a")
    assert (again.json, again.row, cluster.asked) == (b"made", b"made", 1)


def test_a_newer_sample_ends_the_bytes_of_its_pods_and_of_no_other() -> None:
    cluster = Cluster(PodMeta("a", "x"), PodMeta("a", "y"))
    cluster.sample("x")
    cluster.sample("y")
    for entry in cluster.list("a"):
        entry.json = entry.protobuf = entry.row = b"made"
    cluster.sample("x")
    x, y = cluster.list("a")
    assert (x.json, x.protobuf, x.row, y.json) == (None, None, None, b"made")


def test_usage_that_is_too_old_is_asked_for_again_and_its_pod_left_out_where_it_is_gone() -> None:
    cluster = Cluster(PodMeta("a", "x"), PodMeta("a", "y"))
    cluster.sample("x", until_ns=10)
    cluster.sample("y", until_ns=100)
    assert named(cluster.list("a")) == ["x", "y"]
    del cluster.usage["x"]
    cluster.now_ns = 10
    assert named(cluster.list("a")) == ["x", "y"]
    cluster.now_ns = 11
    assert named(cluster.list("a")) == ["y"]
    cluster.sample("x")
    assert named(cluster.list("a")) == ["x", "y"]


def test_usage_without_an_end_that_is_known_is_asked_for_each_time_and_keeps_its_bytes_while_it_is_the_same() -> (
    None
):
    cluster = Cluster(PodMeta("a", "x"))
    cluster.usage["x"] = PodUsage(1, 1, ())
    [entry] = cluster.list("a")
    entry.json = b"made"
    [again] = cluster.list("a")
    assert (again.json, cluster.asked) == (b"made", 2)
    cluster.usage["x"] = msgspec.structs.replace(cluster.usage["x"], window_ns=2)
    [changed] = cluster.list("a")
    assert changed.json is None


def test_another_version_of_a_pod_is_encoded_anew() -> None:
    cluster = Cluster(PodMeta("a", "x"), PodMeta("a", "y"))
    for name in "xy":
        cluster.sample(name)
    for entry in cluster.list("a"):
        entry.json = b"made"
    cluster.set(PodMeta("a", "x", {"relabelled": ""}), cluster.all[1])
    x, y = cluster.list("a")
    assert (x.object.labels, x.json, y.json) == ({"relabelled": ""}, None, b"made")


def test_lists_of_one_namespace_and_of_all_share_what_they_keep() -> None:
    cluster = Cluster(PodMeta("a", "x"), PodMeta("b", "x"))
    cluster.sample("x")
    [entry] = cluster.list("a")
    entry.json = b"made"
    assert [entry.json for entry in cluster.list_all()] == [b"made", None]


def test_a_label_finds_its_pods_also_after_they_change() -> None:
    cluster = Cluster(PodMeta("a", "x", {"app": "web"}), PodMeta("a", "y", {"app": "db"}))
    assert named(cluster.shelf.of_namespace("a").having("app", "web")) == ["x"]
    assert named(cluster.shelf.of_namespace("a").having("app", "none")) == []
    assert named(cluster.shelf.of_namespace("a").having("none", "web")) == []
    cluster.set(*cluster.all, PodMeta("a", "z", {"app": "web"}))
    assert named(cluster.shelf.of_namespace("a").having("app", "web")) == ["x", "z"]


def test_what_is_stale_is_renewed_in_portions_so_that_the_loop_is_free_between_them() -> None:
    cluster = Cluster(*(PodMeta("a", f"x-{i:03}") for i in range(256)))
    for pod in cluster.all:
        cluster.sample(pod.name)
    entries = cluster.shelf.of_namespace("a").entries
    asked: list[int] = []
    found: list[Entry[PodMeta, PodUsage]] = []
    for portion in cluster.shelf.portions(entries, 0):
        asked.append(cluster.asked)
        found += portion
    assert asked == [64, 128, 192, 256]
    assert found == list(entries)
    assert list(cluster.shelf.portions(entries, 0)) == [entries]


def test_made_up_label_keys_take_no_room() -> None:
    cluster = Cluster(PodMeta("a", "x", {"app": "web"}))
    shown = cluster.shelf.of_namespace("a")
    for number in range(1000):
        shown.having(f"key-{number}", "")
    assert len(shown._by_label) <= 8


def test_a_pod_that_was_never_listed_is_read_and_not_kept() -> None:
    cluster = Cluster(PodMeta("a", "x"))
    cluster.sample("x")
    entry = cluster.shelf.entry("a", cluster.all[0])
    assert cluster.shelf.present((entry,), 0) == (entry,)
    assert len(cluster.shelf) == 0
    [listed] = cluster.list("a")
    assert cluster.shelf.entry("a", cluster.all[0]) is listed


def test_what_comes_and_goes_leaves_nothing_behind() -> None:
    cluster = Cluster()
    for number in range(1000):
        cluster.set(PodMeta(f"job-{number}", "x"), PodMeta("a", f"pod-{number}"))
        assert len(cluster.list(f"job-{number}")) == 0
        cluster.list("a")
        cluster.list("made-up")
        assert len(cluster.shelf) <= 4
    cluster.set()
    assert cluster.list_all() == ()

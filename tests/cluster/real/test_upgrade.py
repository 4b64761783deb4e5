"""From metrics-server to this and back, on a cluster where somebody keeps asking `kubectl top`.

METRICS_SERVER (or PARITY_PEER) names the original's binary; without it this server stands in for it, in the
original's Deployment and with the original's rights. The figures are printed: pytest -rP.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cluster.real import theirs
from tests.cluster.real.conftest import NODES, ORIGINAL, PODS, Cluster, available, freshness, until_available
from tests.cluster.real.deployed import BASE, GROUP, v1_apiservice
from tests.programs import until

_COMMANDS = {("top", "nodes"): NODES, ("top", "pods", "-A"): NODES * PODS}
_OURS = "pymetrics-server:0.1.0"
_DEPLOYMENT = ("deployment/metrics-server", "-n", "kube-system")
_WATCHED_ON_S = 2.0
_PAUSE_S = 0.2


class Asked(NamedTuple):
    ended_s: float
    rows: int
    error: str


class Asking:
    """Somebody who asks `kubectl top` of all nodes and pods, again and again, from `start` until `stop`."""

    def __init__(self, cluster: Cluster) -> None:
        self._kubectl = cluster.kubectl
        self._ended = threading.Event()
        self.answers: dict[tuple[str, ...], list[Asked]] = {command: [] for command in _COMMANDS}
        self._threads = [threading.Thread(target=self._ask, args=(command,)) for command in _COMMANDS]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, command: tuple[str, ...]) -> None:
        while not self._ended.wait(_PAUSE_S):
            done = self._kubectl.run(*command)
            rows = len(done.stdout.splitlines()) - 1
            error = done.stderr if done.returncode or done.stderr else ""
            self.answers[command].append(Asked(time.monotonic(), rows, error))

    def judge(self, step: str) -> None:
        """Not one failure, not one answer that lacks something."""
        for command, answers in self.answers.items():
            times = [asked.ended_s for asked in answers]
            gap_s = max(after - before for before, after in itertools.pairwise(times))
            sys.stdout.write(
                f"{step}: kubectl {' '.join(command)}: {len(answers)} answers, longest gap {gap_s:.2f} s\n"
            )
            wrong = [asked for asked in answers if asked.error or asked.rows < _COMMANDS[command]]
            assert wrong == []


@pytest.fixture(name="asking")
def _asking(spare: Cluster) -> Iterator[Asking]:
    """Begins with the original, as its users have it."""
    kubectl = spare.kubectl
    kubectl("apply", "-f", "-", stdin=theirs.in_one_file())
    until_available(kubectl, "v1beta1", "True", 90)
    until("it answers", lambda: all(len(kubectl.rows(*c)) >= rows for c, rows in _COMMANDS.items()))
    asking = Asking(spare)
    asking.start()
    yield asking
    asking.stop()


def roll(cluster: Cluster, asking: Asking, step: str, *command: str, stdin: str = "") -> None:
    """That command, and on until the old pods have ended and a little longer."""
    began_s = time.monotonic()
    before = set(cluster.agent.log_lines)
    cluster.kubectl(*command, stdin=stdin)
    assert "successfully rolled out" in cluster.kubectl("rollout", "status", *_DEPLOYMENT, "--timeout=60s")
    until("the old pod has ended", lambda: set(cluster.agent.log_lines) - before)
    sys.stdout.write(f"{step}: {time.monotonic() - began_s:.1f} s\n")
    ended_s = time.monotonic()
    for answers in asking.answers.values():
        until("watched on", lambda a=answers: a[-1].ended_s > ended_s + _WATCHED_ON_S)  # type: ignore[misc]
    asking.judge(step)


def image(cluster: Cluster) -> str:
    (pod,) = cluster.kubectl.items(
        "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dmetrics-server"
    )
    return str(pod["spec"]["containers"][0]["image"])


@pytest.mark.timeout(240)
def test_nobody_notices_the_way_there_and_back(spare: Cluster, asking: Asking) -> None:
    kubectl = spare.kubectl
    assert image(spare) == theirs.IMAGE

    # The image alone: the original's rights and arguments as they are, without nodes/stats.
    roll(spare, asking, "another image", "set", "image", *_DEPLOYMENT, f"metrics-server={_OURS}")
    assert image(spare) == _OURS
    granted = json.loads(kubectl("get", "clusterrole", "system:metrics-server", "-o", "json"))["rules"]
    assert "nodes/stats" not in {resource for rule in granted for resource in rule["resources"]}

    roll(spare, asking, "our manifests", "apply", "-k", str(BASE))
    for version in ("v1", "v1beta1"):
        until_available(kubectl, version, "True")

    kubectl("delete", "apiservice", f"v1.{GROUP}")  # theirs does not serve it
    roll(spare, asking, "back to theirs", "apply", "-f", "-", stdin=theirs.in_one_file())
    assert image(spare) == theirs.IMAGE
    kubectl("create", "namespace", "free")
    kubectl("delete", "namespace", "free", "--timeout=20s")

    # Who forgets to delete it has one that is not available; nothing waits for it while the original serves.
    kubectl("apply", "-f", "-", stdin=v1_apiservice())
    if ORIGINAL:
        until("v1 answers 404", lambda: "404" in available(kubectl, "v1").get("message", ""))
        assert spare.control_plane.admin.ask(f"/apis/{GROUP}/v1").status == 503
    kubectl("create", "namespace", "free")
    kubectl("delete", "namespace", "free", "--timeout=20s")
    asking.stop()
    asking.judge("all in all")

    # It outlives the original, and then no namespace goes.
    kubectl("delete", "-f", "-", stdin=theirs.in_one_file())
    until_available(kubectl, "v1", "False")
    until("discovery knows", lambda: freshness(spare) == {"v1": "Stale"})
    make_stay(spare, "held-up")
    kubectl("delete", "apiservice", f"v1.{GROUP}")
    kubectl("wait", "--for=delete", "namespace/held-up", "--timeout=60s")


def make_stay(cluster: Cluster, name: str) -> None:
    """A namespace that is deleted, and waits for what cannot be discovered."""
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")

    def conditions() -> dict[str, str]:
        found = cluster.control_plane.admin.find(f"/api/v1/namespaces/{name}")
        assert found is not None
        return {c["type"]: c["status"] for c in found["status"].get("conditions", ())}

    until("discovery fails", lambda: conditions().get("NamespaceDeletionDiscoveryFailure") == "True", 90)

"""From a cluster made by hand, where nothing of the metrics pipeline is set up, to `kubectl top`: the doctor leads, one
command after the other, and each is typed as it says.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pymetrics_server.doctor.finding import State, Verdict
from pymetrics_server.standin.pki import FrontProxyFiles, PairFiles
from pymetrics_server.standin.resources import APISERVICES, CONFIGMAPS, DEPLOYMENTS, NODES
from tests.doctor.installation import Installation
from tests.doctor.machines import NODE_NAMES, SYSTEM
from tests.doctor.roles import Object
from tests.doctor.typed import kubectl as typed
from tests.integration.kubectls import Kubectl

_NO_KUBECTL = "kubectl is not installed: apt-get install kubernetes-client, or name a folder with one in KUBEBUILDER_ASSETS"

#: What the doctor says of a server that has just begun: look into its log. It is over in a second.
_PASSING = ("pod-not-ready", "served-nothing", "served-nodes-missing", "served-pods-missing")


def aggregator_certificates(folder: Path) -> FrontProxyFiles:
    """What kube-apiserver's flags name in the guide, made without it."""
    command = [sys.executable, "-m", "pymetrics_server", "certs", "aggregator", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pair = PairFiles(folder / "aggregator.pem", folder / "aggregator-key.pem")
    return FrontProxyFiles(folder / "aggregator-ca.pem", pair, "aggregator")


def real_kubectl(installation: Installation) -> Kubectl:
    program = shutil.which("kubectl", path=os.environ.get("KUBEBUILDER_ASSETS", "")) or shutil.which(
        "kubectl"
    )
    if program is None:
        pytest.skip(_NO_KUBECTL)
    return Kubectl(program, installation.cluster.admin_kubeconfig, installation.directory)


async def test_the_doctor_leads_from_a_bare_cluster_to_kubectl_top(tmp_path: Path) -> None:
    certificates = await asyncio.to_thread(aggregator_certificates, tmp_path / "aggregator")
    async with Installation(tmp_path / "cluster", front_proxy=certificates) as installation:
        trust = installation.get(CONFIGMAPS, "extension-apiserver-authentication", SYSTEM)["data"]
        _bare(installation)
        await _rolled_out(installation)
        verdicts: list[Verdict] = []
        while True:
            verdict = await _settled_verdict(installation, verdicts[-1].id if verdicts else "")
            if verdict.state is State.HEALTHY:
                break
            assert verdict.id not in {before.id for before in verdicts}, (
                f"{verdict} again: {installation.log[-2000:]}"
            )
            verdicts.append(verdict)
            await _follow(installation, verdict, trust)
        assert [verdict.id for verdict in verdicts] == [
            "aggregation-off",
            "grant-missing",
            "node-dns",
            "node-anonymous",
            "apiservice-missing",
        ]
        done = await asyncio.to_thread(real_kubectl(installation), "top", "nodes")
        assert done.returncode == 0, done.stderr
        assert [row.split()[0] for row in done.stdout.splitlines()[1:]] == list(NODE_NAMES)


async def test_before_the_doctor_came_kubectl_top_said_little(tmp_path: Path) -> None:
    async with Installation(tmp_path) as installation:
        for version in ("v1beta1", "v1"):
            installation.delete(APISERVICES, f"{version}.metrics.k8s.io")
        await installation.until(installation.unavailable)
        done = await asyncio.to_thread(real_kubectl(installation), "top", "nodes")
        assert (done.returncode, done.stderr) == (1, "error: Metrics API not available\n")


def _bare(installation: Installation) -> None:
    """Nodes are called by names that only they know, kubelets know no tokens, and nobody has set up an aggregator."""
    installation.trust(lambda data: [data.pop(key) for key in list(data) if key.startswith("requestheader-")])
    for resource in ("nodes/stats", "nodes/metrics"):
        installation.forbid("get", resource)
    installation.cluster.kubelet_guard.knows_tokens = False
    for version in ("v1beta1", "v1"):
        installation.delete(APISERVICES, f"{version}.metrics.k8s.io")
    for name in NODE_NAMES:
        installation.change(NODES, name, "", lambda node: node["status"].update(addresses=_addresses(node)))
    installation.change(DEPLOYMENTS, "metrics-server", SYSTEM, _as_somebody_tried)


def _addresses(node: Object) -> list[Object]:
    name = {"type": "Hostname", "address": f"{node['metadata']['name']}.invalid"}
    return [name, {"type": "InternalIP", "address": "127.0.0.1"}]


def _as_somebody_tried(deployment: Object) -> None:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    kept = [arg for arg in container["args"] if not arg.startswith("--kubelet-preferred-address-types=")]
    container["args"] = [
        *kept,
        "--kubelet-insecure-tls",
        "--kubelet-preferred-address-types=Hostname,InternalIP",
    ]


async def _follow(installation: Installation, verdict: Verdict, trust: Mapping[str, str]) -> None:
    """What the cure says, done."""
    match verdict.id:
        case "aggregation-off":
            assert verdict.cure.startswith("pymetrics-server certs aggregator --out ")
            installation.trust(
                lambda data: data.update(trust)
            )  # kube-apiserver writes it once it has the flags
        case "node-anonymous":
            assert "authentication.webhook.enabled: true" in verdict.cure
            assert "systemctl restart kubelet" in verdict.cure
            installation.cluster.kubelet_guard.knows_tokens = True
            for status in ("Unknown", "True"):
                _set_ready(installation, status)
                await asyncio.sleep(0)
        case _:
            before = installation.get(DEPLOYMENTS, "metrics-server", SYSTEM)
            typed(installation, verdict.cure)
            if installation.get(DEPLOYMENTS, "metrics-server", SYSTEM) != before:
                await _rolled_out(installation)


def _set_ready(installation: Installation, status: str) -> None:
    """Of all nodes."""
    for name in NODE_NAMES:
        installation.change(
            NODES, name, "", lambda node: node["status"]["conditions"][0].update(status=status)
        )


async def _rolled_out(installation: Installation) -> None:
    """Until the server has asked every node."""
    await installation.roll_out()

    async def has_asked_all() -> bool:
        return (
            all(f'node="{name}"' in installation.log for name in NODE_NAMES) or await installation.is_ready()
        )

    await installation.until(has_asked_all)


async def _settled_verdict(installation: Installation, treated: str) -> Verdict:
    """Once what was treated is over."""
    verdict: Verdict | None = None

    async def is_another() -> bool:
        nonlocal verdict
        await installation.tell_readiness()
        verdict = (await installation.diagnose()).verdict
        return verdict.id not in (treated, *_PASSING)

    await installation.until(is_another)
    assert verdict is not None
    return verdict

"""The server's pod, in one trouble after another: what a kubelet or a controller would have written of it is written here."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pymetrics_server.standin.resources import DEPLOYMENTS, PODS
from tests.doctor.breaking import Broken, Scenarios, set_endpoints
from tests.doctor.installation import Installation
from tests.doctor.machines import SERVER_POD, SYSTEM, stamp
from tests.doctor.pod_bodies import set_ready
from tests.doctor.roles import Object
from tests.programs import direct_environment

_NAME = "metrics-server"

_BACK_OFF: Mapping[str, Any] = {
    "waiting": {
        "reason": "CrashLoopBackOff",
        "message": "back-off 5m0s restarting failed container=metrics-server",
    }
}


async def scaled_to_nothing(i: Installation) -> None:
    def edit(found: Object) -> None:
        found["spec"]["replicas"] = 0
        found["status"] = {"replicas": 0}

    i.change(DEPLOYMENTS, _NAME, SYSTEM, edit)
    i.delete(PODS, SERVER_POD, SYSTEM)
    await set_endpoints(i, addresses=[], ports=[])


async def unschedulable(i: Installation) -> None:
    why = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available."

    def edit(pod: Object) -> None:
        del pod["spec"]["nodeName"]
        scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        pod["status"] = {"phase": "Pending", "conditions": [scheduled]}

    i.change(PODS, SERVER_POD, SYSTEM, edit)
    await set_endpoints(i, addresses=[], ports=[])


async def image_that_cannot_be_pulled(i: Installation) -> None:
    said = 'Back-off pulling image "pymetrics-server:0.1.0": ErrImagePull: not found'
    await _container(
        i, {"waiting": {"reason": "ImagePullBackOff", "message": said}}, phase="Pending", restarts=0
    )


async def container_that_cannot_be_made(i: Installation) -> None:
    said = 'secret "metrics-server-certs" not found'
    await _container(i, {"waiting": {"reason": "CreateContainerConfigError", "message": said}}, restarts=0)


async def killed_at_its_limit(i: Installation) -> None:
    def limit(found: Object) -> None:
        found["spec"]["containers"][0]["resources"] = {
            "limits": {"memory": "60Mi"},
            "requests": {"memory": "60Mi"},
        }

    i.change(PODS, SERVER_POD, SYSTEM, limit)
    last = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": stamp(-20)}
    await _container(i, _BACK_OFF, last=last)


async def crashing(i: Installation) -> None:
    """With a flag that it does not know: its own words."""
    await _says(i, "--no-such-flag")
    await _container(i, _BACK_OFF, last={"exitCode": 2, "reason": "Error", "finishedAt": stamp(-20)})


async def port_that_the_kubelet_has(i: Installation) -> None:
    """With hostNetwork: the port is taken, as here by the server itself."""
    await _says(
        i,
        f"--secure-port={i.port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={i.directory}",
        *_kubeconfigs(i),
    )
    i.change(PODS, SERVER_POD, SYSTEM, lambda pod: pod["spec"].update(hostNetwork=True))
    await _container(i, _BACK_OFF, last={"exitCode": 2, "reason": "Error", "finishedAt": stamp(-20)})


async def no_node_selected(i: Installation) -> None:
    """It runs, asks nobody and is never ready."""
    await i.kill_server()
    i.deploy("--node-selector=pool=metrics")
    await i.start_server(ready=False)

    i.change(PODS, SERVER_POD, SYSTEM, lambda pod: set_ready(pod, ready=False))
    await set_endpoints(i, ready=False)


SERVER_PODS: Scenarios = {
    "the Deployment was scaled to nothing": Broken(
        scaled_to_nothing, "pod-missing", ["scale deployment metrics-server --replicas=1"]
    ),
    "no node has room for the pod": Broken(
        unschedulable, "pod-unschedulable", [f"kubectl -n kube-system describe pod {SERVER_POD}"]
    ),
    "the image cannot be pulled": Broken(
        image_that_cannot_be_pulled, "pod-image", [f"kubectl -n kube-system describe pod {SERVER_POD}"]
    ),
    "the container cannot be made": Broken(
        container_that_cannot_be_made, "pod-not-started", [f"kubectl -n kube-system describe pod {SERVER_POD}"]
    ),
    "the server is killed at its memory limit": Broken(
        killed_at_its_limit,
        "pod-out-of-memory",
        ["kubectl -n kube-system set resources deployment metrics-server --limits=memory="],
    ),
    "the server ends as soon as it starts": Broken(
        crashing, "pod-crashing", [f"kubectl -n kube-system logs {SERVER_POD} --previous"]
    ),
    "with hostNetwork the port is the kubelet's": Broken(
        port_that_the_kubelet_has, "pod-port-taken", ["--secure-port=4443", "edit deployment metrics-server"]
    ),
    "the server selects no node and is never ready": Broken(
        no_node_selected, "pod-not-ready", [f"kubectl -n kube-system logs {SERVER_POD}"]
    ),
}  # fmt: skip


async def _container(
    i: Installation,
    state: Mapping[str, Any],
    *,
    last: Mapping[str, Any] | None = None,
    phase: str = "Running",
    restarts: int = 7,
) -> None:
    """Of the server's pod, as its kubelet tells of one that does not run; the endpoints follow."""

    def edit(pod: Object) -> None:
        pod["status"]["phase"] = phase
        for condition in pod["status"]["conditions"]:
            condition.update(status="False", reason="ContainersNotReady")
        (status,) = pod["status"]["containerStatuses"]
        status.update(ready=False, started=False, restartCount=restarts, state=dict(state))
        status["lastState"] = {"terminated": dict(last)} if last else {}

    i.change(PODS, SERVER_POD, SYSTEM, edit)
    i.change(
        DEPLOYMENTS, _NAME, SYSTEM, lambda found: found["status"].update(readyReplicas=0, availableReplicas=0)
    )
    await set_endpoints(i, ready=False)


async def _says(i: Installation, *args: str) -> None:
    """What the server writes when it is started so is the log of its pod."""
    log = i.directory / "crashed.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pymetrics_server", *args, stderr=output, env=direct_environment()
        )
        async with asyncio.timeout(20):
            assert await process.wait() != 0
    i.cluster.logs[SYSTEM, SERVER_POD] = log


def _kubeconfigs(i: Installation) -> Sequence[str]:
    return [
        f"--{which}kubeconfig={i.cluster.server_kubeconfig}"
        for which in ("", "authentication-", "authorization-")
    ]

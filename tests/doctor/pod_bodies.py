"""The server's pod, as its kubelet tells of it."""

from tests.doctor.machines import HOUR_S, SERVER_NODE, SERVER_POD, SYSTEM, stamp
from tests.doctor.roles import Object


def pod_of(deployment: Object) -> Object:
    """As the kubelet tells of one that runs and is ready."""
    template = deployment["spec"]["template"]
    started = stamp(-HOUR_S)
    image = template["spec"]["containers"][0]["image"]
    return {
        "metadata": {
            "name": SERVER_POD,
            "namespace": SYSTEM,
            "uid": f"uid-{SERVER_POD}",
            "labels": template["metadata"]["labels"],
        },
        "spec": {**template["spec"], "nodeName": SERVER_NODE},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": started},
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": started},
            ],
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "startTime": started,
            "containerStatuses": [
                {
                    "name": "metrics-server",
                    "image": image,
                    "imageID": "",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": started}},
                    "lastState": {},
                }
            ],
        },
    }


def set_ready(pod: Object, ready: bool) -> None:
    """What its kubelet tells of it after the readiness probe."""
    for condition in pod["status"]["conditions"]:
        condition["status"] = str(ready)
    pod["status"]["containerStatuses"][0]["ready"] = ready

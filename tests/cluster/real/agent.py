"""What scheduler and kubelet do for the Deployment: its pods are bound, started, probed, ended.

Everything else between the manifests and `kubectl top` is done by the real kube-controller-manager. Where there is
none, `Controllers` does the little that starts one pod.
"""

import sys
import threading
from collections.abc import Mapping, Sequence

from tests.cluster.real.client import MERGE_PATCH, Api, Object
from tests.cluster.real.container import Container, account_token
from tests.cluster.real.control_plane import ControlPlane

OURS = "pymetrics-server"
COMMAND = (sys.executable, "-m", "pymetrics_server")

_PODS = "/api/v1/namespaces/kube-system/pods"
_LABELLED = f"{_PODS}?labelSelector=k8s-app%3Dmetrics-server"
_DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/metrics-server"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
_LOOK_S = 0.1


class Agent:
    """From `start` until `stop`. An image's name, without registry and tag, says which command it has."""

    def __init__(
        self, plane: ControlPlane, node_name: str, images: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._plane = plane
        self._api = plane.admin
        self._node_name = node_name
        self._images = {OURS: COMMAND, **(images or {})}
        self._running: dict[str, tuple[Object, Container]] = {}
        self._started = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet")
        self._controllers = None if plane.has_controllers else Controllers(plane.admin)
        self.failures: list[str] = []  #: what a node must not see of a server, or the agent of itself
        self.log_lines: dict[str, list[str]] = {}  #: by pod, of those that have ended

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for _, container in self._running.values():
            container.process.stop()

    @property
    def containers(self) -> list[Container]:
        """Of all pods that run and are not told to end."""
        return [container for _, container in self._running.values()]

    def all_log_lines(self) -> list[str]:
        ended = [line for lines in self.log_lines.values() for line in lines]
        return ended + [line for container in self.containers for line in container.process.log_lines]

    def _run(self) -> None:
        try:
            while not self._ended.wait(_LOOK_S):
                if self._controllers is not None:
                    self._controllers.look()
                pods = self._api.items(_LABELLED)
                for pod in pods:
                    self._look_after(pod)
                there = {pod["metadata"]["uid"] for pod in pods}
                for uid in self._running.keys() - there:
                    self._end(uid)
        except Exception as err:  # told to whoever asks; the thread has nobody to tell
            self.failures.append(f"the agent: {err!r}")
            raise

    def _look_after(self, pod: Object) -> None:
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"]:
            self._end(uid)
            gone = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
            self._api.ask(f"{_PODS}/{name}", "DELETE", gone)
        elif uid not in self._running:
            self._begin(pod)
        else:
            _, container = self._running[uid]
            if not container.process.running:
                self.failures.append(f"{name} ended by itself")
                container.ready = False
                container.process.start()
                self._tell(pod, container)
            elif container.probe():
                self._tell(pod, container)

    def _begin(self, pod: Object) -> None:
        """Or the next time, where the pod or its account is not there."""
        name = pod["metadata"]["name"]
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": self._node_name}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            if self._api.ask(f"{_PODS}/{name}/binding", "POST", binding).status == 404:
                return
        token = account_token(self._plane, pod)
        if token is None:
            return
        self._started += 1
        image = pod["spec"]["containers"][0]["image"].rpartition("/")[2].partition(":")[0]
        ip = self._plane.pod_ip(self._started)
        pod["status"]["podIP"] = ip
        container = Container(self._plane, self._images[image], name, pod["spec"], ip, token)
        container.process.start()
        self._running[pod["metadata"]["uid"]] = pod, container
        self._tell(pod, container)

    def _end(self, uid: str) -> None:
        if uid in self._running:
            pod, container = self._running.pop(uid)
            container.process.stop()
            self.log_lines[pod["metadata"]["name"]] = container.process.log_lines

    def _tell(self, pod: Object, container: Container) -> None:
        pod, _ = self._running[pod["metadata"]["uid"]]
        ready = "True" if container.ready else "False"
        conditions = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
        ip = pod["status"]["podIP"]
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": kind, "status": value} for kind, value in conditions.items()],
        }
        answer = self._api.ask(
            f"{_PODS}/{pod['metadata']['name']}/status", "PATCH", {"status": status}, MERGE_PATCH
        )
        assert answer.status in (200, 404), answer  # it may have gone


class Controllers:
    """One pod for the Deployment, and an EndpointSlice with it once it is ready."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self) -> None:
        deployment = self._api.find(_DEPLOYMENT)
        if deployment is None:
            return
        pods = self._api.items(_LABELLED)
        template = deployment["spec"]["template"]
        if not pods:
            metadata = {**template["metadata"], "name": "metrics-server-0"}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            self._api.create(_PODS, pod)
            return
        (container,) = template["spec"]["containers"]
        ready = [p for p in pods if _is_ready(p)]
        if ready and self._api.find(f"{_SLICES}/metrics-server") is None:
            labels = {"kubernetes.io/service-name": "metrics-server"}
            made = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "metrics-server", "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": p["name"], "port": p["containerPort"]} for p in container["ports"]],
                "endpoints": [
                    {"addresses": [p["status"]["podIP"]], "conditions": {"ready": True}} for p in ready
                ],
            }
            self._api.create(_SLICES, made)


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

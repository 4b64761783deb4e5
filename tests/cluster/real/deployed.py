"""The server as manifests/base deploys it: `kubectl apply -k`, and nothing between.

Its objects are all as they are there; its process has the Deployment's arguments, the account's token at the true
path, and a --bind-address, since all pods share this machine's loopback.
"""

from pathlib import Path

import yaml

from tests.cluster.real.agent import Agent
from tests.cluster.real.client import Api
from tests.cluster.real.container import Container
from tests.cluster.real.control_plane import ControlPlane
from tests.programs import until

MANIFESTS = Path(__file__).parents[3] / "manifests"
BASE = MANIFESTS / "base"
VERSIONS = ("v1", "v1beta1")
GROUP = "metrics.k8s.io"


class Deployed:
    """`apply` once, then `stop` and `start` as often as wanted, by its Deployment's replicas."""

    def __init__(self, plane: ControlPlane, agent: Agent) -> None:
        self._kubectl = plane.kubectl
        self._agent = agent

    def apply(self) -> None:
        self._kubectl("apply", "-k", str(BASE))

    def start(self) -> None:
        self._scale(1)

    def stop(self) -> None:
        self._scale(0)
        until("the server has ended", lambda: not self._agent.containers)

    @property
    def container(self) -> Container:
        """The only one."""
        (found,) = self._agent.containers
        return found

    @property
    def log_lines(self) -> list[str]:
        """Of all that there ever were."""
        return self._agent.all_log_lines()

    def asked_as(self, token: str) -> Api:
        """Past the aggregator, straight to the port; an empty token is nobody."""
        return self.container.asked_as(token)

    def _scale(self, replicas: int) -> None:
        self._kubectl("scale", "deployment/metrics-server", "-n", "kube-system", f"--replicas={replicas}")


def v1_apiservice() -> str:
    """That one of base alone."""
    documents = yaml.safe_load_all((BASE / "metrics-apiservice.yaml").read_text())
    (found,) = (d for d in documents if d["spec"]["version"] == "v1")
    return yaml.safe_dump(found)

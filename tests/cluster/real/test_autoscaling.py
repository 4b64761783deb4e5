"""The HorizontalPodAutoscaler of the real kube-controller-manager, fed with the server's metrics."""

import json

import pytest

from tests.cluster.real.client import Object
from tests.cluster.real.conftest import Cluster
from tests.cluster.real.kubelets import run_pod
from tests.programs import until

_NAMESPACE = "scaled"
_REQUEST = "100m"
_LOAD_NANOCORES = 200_000_000  # of 100m: 200%

_OBJECTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {_NAMESPACE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {_NAMESPACE}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: web
          resources: {{requests: {{cpu: {_REQUEST}}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web, namespace: {_NAMESPACE}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
  minReplicas: 1
  maxReplicas: 3
  metrics:
    - type: Resource
      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 100}}}}
"""


@pytest.mark.timeout(240)
def test_an_autoscaler_scales_up_on_cpu(controlled: Cluster) -> None:
    kubectl, api = controlled.kubectl, controlled.control_plane.admin
    kubectl("apply", "-f", "-", stdin=_OBJECTS)

    def autoscaler() -> Object:
        """After running what is pending, as scheduler and kubelet would."""
        for pod in kubectl.items(f"/api/v1/namespaces/{_NAMESPACE}/pods"):
            if not pod["spec"].get("nodeName"):
                run_pod(pod, controlled.nodes[0], _LOAD_NANOCORES, api)
        found: Object = json.loads(kubectl("get", "hpa", "web", "-n", _NAMESPACE, "-o", "json"))
        return found

    def active() -> Object | None:
        found = autoscaler()
        conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", ())}
        return found if conditions.get("ScalingActive", {}).get("status") == "True" else None

    found = until("ScalingActive", active, 90)
    (current,) = found["status"]["currentMetrics"]
    assert current["resource"]["current"]["averageUtilization"] == pytest.approx(200, abs=2)

    until("scaled up", lambda: autoscaler()["status"]["desiredReplicas"] > 1, 60)
    until("there are more pods", lambda: len(kubectl.items(f"/api/v1/namespaces/{_NAMESPACE}/pods")) > 1)

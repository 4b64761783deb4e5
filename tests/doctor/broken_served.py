"""What is served, and what lacks of a pod or a HorizontalPodAutoscaler that is asked about."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from pymetrics_server.doctor.finding import State
from pymetrics_server.meta.identity import AUTHENTICATED_GROUP
from pymetrics_server.standin.kubeconfig import token_user
from pymetrics_server.standin.resources import DEPLOYMENTS, ENDPOINTSLICES, HPAS, NODES, PODS
from pymetrics_server.standin.reviews import Rule
from tests.doctor.breaking import Break, Broken, Scenarios
from tests.doctor.installation import SLICE, Installation
from tests.doctor.machines import NODE_NAMES, SERVER_POD, SYSTEM, machine, stamp
from tests.doctor.roles import Object
from tests.doctor.ward import closed_port
from tests.standin.backend import RESOURCES

_SHOP = {"app": "shop"}
_READ = ("get", "list", "watch")

Alter = Callable[[list[Object]], list[Object]]


def instead(nodes: Alter, pods: Alter) -> Break:
    """Another server in the place of ours, which serves the same lists but altered so."""

    async def how(i: Installation) -> None:
        lists = {"nodes": nodes(await i.served("nodes")), "pods": pods(await i.served("pods"))}
        port = await i.ward.https(lambda request: _metrics(request, lists))
        i.change(ENDPOINTSLICES, SLICE, SYSTEM, lambda found: found["ports"][0].update(port=port))
        await i.until(i.available)

    return how


def user_without_metrics(i: Installation) -> None:
    """May read everything else."""
    token = i.cluster.add_user("jane", "viewers")
    groups: Mapping[str, tuple[str, ...]] = {
        "": (
            "nodes",
            "pods",
            "services",
            "configmaps",
            "pods/log",
            "pods/proxy",
            "nodes/stats",
            "nodes/proxy",
        ),
        "apps": ("deployments",),
        "discovery.k8s.io": ("endpointslices",),
        "certificates.k8s.io": ("certificatesigningrequests",),
        "apiregistration.k8s.io": ("apiservices",),
    }
    i.cluster.policy.rules += [
        Rule("viewers", _READ, group, resources) for group, resources in groups.items()
    ]
    i.cluster.policy.rules.append(
        Rule("viewers", ("create",), "authorization.k8s.io", ("subjectaccessreviews",))
    )
    assert AUTHENTICATED_GROUP in i.cluster.users[token].groups
    i.kubeconfig = i.kubeconfig_of("jane", token_user(token))


def nothing_wrong(i: Installation) -> None:
    """What is asked about does not exist."""


def pending_pod(i: Installation) -> None:
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    body = _pod("shop-1", age_s=600)
    del body["spec"]["nodeName"]
    i.put(PODS, body | {"status": {"phase": "Pending", "conditions": [why]}})


def young_pod(i: Installation) -> None:
    i.put(PODS, _pod("shop-1", age_s=5))


def restarting_pod(i: Installation) -> None:
    body = _pod("shop-1", age_s=900)
    (status,) = body["status"]["containerStatuses"]
    status.update(
        ready=False,
        restartCount=9,
        state={
            "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
        },
        lastState={"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": stamp(-60)}},
    )
    i.put(PODS, body)


def pod_that_no_kubelet_tells_of(i: Installation) -> None:
    i.put(PODS, _pod("shop-1", age_s=900))


def pod_on_a_dead_node(i: Installation) -> None:
    i.add_node("node-sick", closed_port())
    i.put(PODS, _pod("shop-1", age_s=900, node="node-sick"))


async def pod_on_a_node_that_just_came(i: Installation) -> None:
    """The server has not scraped it yet."""
    await instead(_as_it_is, _as_it_is)(i)  # type: ignore[misc]
    i.add_node("node-new", await i.ward.kubelet(machine("node-new").view))
    i.change(NODES, "node-new", "", lambda node: node["metadata"].update(creationTimestamp=stamp(-20)))
    i.put(PODS, _pod("shop-1", age_s=900, node="node-new"))


def hpa_of(*metrics: Object, pod: Callable[[], Object] | None = None, target: str = "web") -> Break:
    """Of the Deployment `web`, whose pods are those of every node and `pod`."""

    def how(i: Installation) -> None:
        selector = {"matchLabels": {"app": "web"}}
        i.put(
            DEPLOYMENTS,
            {
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {
                    "replicas": 3,
                    "selector": selector,
                    "template": {"metadata": {"labels": {"app": "web"}}},
                },
                "status": {"replicas": 3, "readyReplicas": 3},
            },
            {
                "metadata": {"name": "empty", "namespace": "default"},
                "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "nobody"}}, "template": {}},
                "status": {"replicas": 0},
            },
        )
        for node in NODE_NAMES:
            name = f"web-{node[-1]}"
            i.change(
                PODS, name, "default", lambda pod: pod["spec"]["containers"][0].update(resources=_REQUESTS)
            )
        if pod is not None:
            i.put(PODS, pod())
        i.put(
            HPAS,
            {
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                    "minReplicas": 1,
                    "maxReplicas": 9,
                    "metrics": list(metrics),
                },
                "status": {"currentReplicas": 3, "desiredReplicas": 3, "conditions": []},
            },
        )

    return how


def _pod(
    name: str,
    *,
    age_s: int,
    node: str = NODE_NAMES[1],
    labels: Mapping[str, str] = _SHOP,
    requests: Mapping[str, str] | None = None,
    phase: str = "Running",
) -> Object:
    began = stamp(-age_s)
    running: Object = {"running": {"startedAt": began}}
    done: Object = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": stamp(-10)}}
    is_running = phase == "Running"
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "creationTimestamp": began,
            "labels": dict(labels),
        },
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": "main", "image": "shop", "resources": {"requests": dict(requests or {})}}
            ],
        },
        "status": {
            "phase": phase,
            "podIP": "127.0.0.1",
            "startTime": began,
            "conditions": [{"type": "Ready", "status": str(is_running)}],
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": is_running,
                    "restartCount": 0,
                    "state": running if is_running else done,
                    "lastState": {},
                }
            ],
        },
    }


def _metrics(request: web.BaseRequest, lists: Mapping[str, list[Object]]) -> web.Response:
    """As far as the aggregator and the doctor ask it."""
    match [part for part in request.path.split("/") if part]:
        case ["apis", group, version]:
            document: Object = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}",
                "resources": RESOURCES,
            }
        case ["apis", _, _, "nodes" | "pods" as what]:
            document = {"kind": "List", "metadata": {}, "items": lists[what]}
        case ["apis"]:
            return web.Response(status=406)
        case _:
            return web.Response(status=404)
    return web.Response(text=json.dumps(document), content_type="application/json")


def _aged(items: list[Object]) -> list[Object]:
    return [item | {"timestamp": stamp(-600)} for item in items]


def _as_it_is(items: list[Object]) -> list[Object]:
    return items


def _none(items: list[Object]) -> list[Object]:
    return []


_REQUESTS = {"requests": {"cpu": "100m", "memory": "64Mi"}}
_CPU: Any = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_QUEUE: Any = {
    "type": "External",
    "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "30"}},
}
_WEB = {"app": "web"}
_ASKED_POD = ("pod", "default/shop-1")
_ASKED_HPA = ("hpa", "default/web")

SERVED: Scenarios = {
    "the lists are empty": Broken(instead(_none, _none), "served-nothing", [f"logs {SERVER_POD}"]),
    "one node is not served": Broken(
        instead(lambda items: items[1:], _as_it_is), "served-nodes-missing", [f"logs {SERVER_POD}"]
    ),
    "half of the pods are not served": Broken(
        instead(_as_it_is, lambda items: items[::2]), "served-pods-missing", ["pymetrics-server doctor pod "]
    ),
    "what is served is ten minutes old": Broken(instead(_aged, _aged), "served-stale", [f"logs {SERVER_POD}"]),
    "whoever asks may not read metrics": Broken(
        user_without_metrics, "served-refused", ["kubectl auth can-i list nodes.metrics.k8s.io"]
    ),
    "the pod that is asked about does not exist": Broken(
        nothing_wrong, "asked-pod-unknown", ["kubectl get pods -A"], _ASKED_POD
    ),
    "the pod that is asked about is pending": Broken(
        pending_pod, "asked-pod-not-running", ["kubectl -n default describe pod shop-1"], _ASKED_POD
    ),
    "the pod that is asked about is young": Broken(
        young_pod, "asked-pod-too-young", ["ask again in "], _ASKED_POD
    ),
    "the pod that is asked about restarts": Broken(
        restarting_pod, "asked-pod-restarts", ["kubectl -n default logs shop-1 -c main --previous"], _ASKED_POD
    ),
    "no kubelet tells of the pod that is asked about": Broken(
        pod_that_no_kubelet_tells_of, "asked-pod-has-no-series", ["get pod shop-1 -o wide"], _ASKED_POD
    ),
    "the node of the pod that is asked about is dead": Broken(
        pod_on_a_dead_node, "node-refused", ["--kubelet-port"], _ASKED_POD
    ),
    "the node of the pod that is asked about is not served yet": Broken(
        pod_on_a_node_that_just_came, "asked-pod-on-blind-node", ["pymetrics-server doctor"], _ASKED_POD
    ),
    "the autoscaler that is asked about does not exist": Broken(
        nothing_wrong, "asked-hpa-unknown", ["kubectl get hpa -A"], _ASKED_HPA
    ),
    "the autoscaler's target does not exist": Broken(
        hpa_of(_CPU, target="gone"), "asked-hpa-target-missing", ["kubectl -n default describe hpa web"], _ASKED_HPA
    ),
    "the autoscaler's target selects nothing": Broken(
        hpa_of(_CPU, target="empty"), "asked-hpa-selects-nothing", ["--show-labels"], _ASKED_HPA
    ),
    "a pod of the autoscaler requests no CPU": Broken(
        hpa_of(_CPU, pod=lambda: _pod("web-young", age_s=5, labels=_WEB)),
        "asked-hpa-requests-missing",
        ["kubectl -n default set resources deployment/web -c main --requests=cpu=100m"],
        _ASKED_HPA,
    ),
    "a finished pod is counted by the autoscaler": Broken(
        hpa_of(_CPU, pod=lambda: _pod("web-done", age_s=900, labels=_WEB, requests={"cpu": "1"}, phase="Succeeded")),
        "asked-hpa-completed-pods",
        ["kubectl -n default delete pod web-done"],
        _ASKED_HPA,
    ),
    "the autoscaler asks for an external metric": Broken(
        hpa_of(_QUEUE), "asked-hpa-other-metrics", ["external.metrics"], _ASKED_HPA, State.WARNING
    ),
    "a pod of the autoscaler is not served": Broken(
        hpa_of(_CPU, pod=lambda: _pod("web-unseen", age_s=900, labels=_WEB, requests={"cpu": "1"})),
        "asked-hpa-pods-without-metrics",
        ["pymetrics-server doctor pod default/web-unseen"],
        _ASKED_HPA,
    ),
}  # fmt: skip

"""What the server's ServiceAccount may no longer do, one thing after another."""

from collections.abc import Sequence

from pymetrics_server.doctor.finding import State
from tests.doctor.breaking import Broken, Scenarios
from tests.doctor.installation import Installation

_KUBELETS = [
    "kubectl create clusterrole system:metrics-server:granted-kubelets:kube-system:metrics-server --verb=get --resource=nodes/stats,nodes/metrics",
    "--serviceaccount=kube-system:metrics-server",
]
_READER = ["kubectl create clusterrole", "--verb=list,watch --resource=nodes,pods"]
_DELEGATOR = ["kubectl create clusterrolebinding", "--clusterrole=system:auth-delegator"]
_TRUST = ["kubectl -n kube-system create rolebinding", "--role=extension-apiserver-authentication-reader"]


def _without(
    *what: tuple[str, str], id: str = "grant-missing", cure: Sequence[str], state: State = State.SICK
) -> Broken:
    def forbid(i: Installation) -> None:
        for verb, resource in what:
            i.forbid(verb, resource)

    return Broken(forbid, id, cure, state=state)


GRANTS: Scenarios = {
    "may read neither nodes/stats nor nodes/metrics": _without(
        ("get", "nodes/stats"), ("get", "nodes/metrics"), cure=_KUBELETS
    ),
    "may not read nodes/stats, and falls back": _without(
        ("get", "nodes/stats"), id="grant-endpoint-missing", cure=_KUBELETS, state=State.WARNING
    ),
    "may not read nodes/metrics, and has nothing to fall back to": _without(
        ("get", "nodes/metrics"), id="grant-endpoint-missing", cure=_KUBELETS, state=State.WARNING
    ),
    "has lost its ClusterRole": _without(
        ("get", "nodes/stats"),
        ("get", "nodes/metrics"),
        *((verb, what) for verb in ("list", "watch") for what in ("nodes", "pods")),
        cure=[*_KUBELETS, *_READER],
    ),
    "may not list nodes": _without(("list", "nodes"), cure=_READER),
    "may not watch nodes": _without(("watch", "nodes"), cure=_READER),
    "may not list pods": _without(("list", "pods"), cure=_READER),
    "may not watch pods": _without(("watch", "pods"), cure=_READER),
    "may not review tokens": _without(("create", "tokenreviews"), cure=_DELEGATOR),
    "may not ask what users may do": _without(("create", "subjectaccessreviews"), cure=_DELEGATOR),
    "may not list the ConfigMap of the front proxy": _without(("list", "configmaps"), cure=_TRUST),
    "may not watch the ConfigMap of the front proxy": _without(("watch", "configmaps"), cure=_TRUST),
}

"""What kr8s reads: `with_kr8s.py KUBECONFIG NODE NAMESPACE SELECTOR`, JSON on stdout."""

import json
import sys
from typing import Any

import kr8s
from kr8s.objects import new_class

VERSION = "metrics.k8s.io/v1beta1"
NodeMetrics = new_class("NodeMetrics", VERSION, namespaced=False, plural="nodes")
PodMetrics = new_class("PodMetrics", VERSION, namespaced=True, plural="pods")


def written(found: Any) -> list[dict[str, Any]]:
    return [one.raw.to_dict() for one in found]


def by_name(api: kr8s.Api, node: str) -> dict[str, Any]:
    """Of nodes alone: kr8s takes the kinds of a group that have no singular name, as both have, for one."""
    return {
        "nodes": written(api.get("nodes.metrics.k8s.io")),
        "node": written(api.get("nodes.metrics.k8s.io", node))[0],
        "kinds": {r["name"]: r["kind"] for r in api.api_resources() if r["version"] == VERSION},
    }


def by_class(api: kr8s.Api, node: str, namespace: str, selector: str) -> dict[str, Any]:
    everywhere = kr8s.ALL
    namespaced = written(PodMetrics.list(api=api, namespace=namespace))
    name = namespaced[0]["metadata"]["name"]
    try:
        NodeMetrics.get("nobody", api=api, timeout=0)
        missing = ""
    except kr8s.NotFoundError as err:
        missing = str(err)
    return {
        "nodes": written(NodeMetrics.list(api=api)),
        "node": NodeMetrics.get(node, api=api).raw.to_dict(),
        "pods": written(PodMetrics.list(api=api, namespace=everywhere)),
        "namespaced": namespaced,
        "selected": written(PodMetrics.list(api=api, namespace=everywhere, label_selector=selector)),
        "pod": PodMetrics.get(name, namespace=namespace, api=api).raw.to_dict(),
        "missing": missing,
    }


def main(kubeconfig: str, node: str, namespace: str, selector: str) -> None:
    api = kr8s.api(kubeconfig=kubeconfig)
    json.dump({"get": by_name(api, node), "new_class": by_class(api, node, namespace, selector)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

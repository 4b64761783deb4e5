"""What the official Python client reads: `official.py KUBECONFIG NODE NAMESPACE SELECTOR`, JSON on stdout."""

# mypy: disable-error-code="no-untyped-call"
# The client's own dynamic and config packages have no types.

import json
import sys
from typing import Any

from kubernetes import client, config, dynamic
from kubernetes.utils import parse_quantity

GROUP, VERSION = "metrics.k8s.io", "v1beta1"


def by_custom_objects(api: client.ApiClient, node: str, namespace: str, selector: str) -> dict[str, Any]:
    objects: Any = client.CustomObjectsApi(api)
    try:
        objects.get_cluster_custom_object(GROUP, VERSION, "nodes", "nobody")
        missing = ""
    except client.ApiException as err:
        missing = json.loads(err.body or "{}")["message"]
    listed = objects.list_cluster_custom_object
    namespaced = objects.list_namespaced_custom_object(GROUP, VERSION, namespace, "pods")["items"]
    name = namespaced[0]["metadata"]["name"]
    return {
        "nodes": listed(GROUP, VERSION, "nodes")["items"],
        "node": objects.get_cluster_custom_object(GROUP, VERSION, "nodes", node),
        "pods": listed(GROUP, VERSION, "pods")["items"],
        "namespaced": namespaced,
        "selected": listed(GROUP, VERSION, "pods", label_selector=selector)["items"],
        "pod": objects.get_namespaced_custom_object(GROUP, VERSION, namespace, "pods", name),
        "missing": missing,
        "kinds": {r.name: r.kind for r in objects.get_api_resources(GROUP, VERSION).resources},
    }


def by_dynamic_client(api: client.ApiClient, node: str, namespace: str, selector: str) -> dict[str, Any]:
    resources = dynamic.DynamicClient(api).resources
    nodes = resources.get(api_version=f"{GROUP}/{VERSION}", kind="NodeMetrics")
    pods = resources.get(api_version=f"{GROUP}/{VERSION}", kind="PodMetrics")
    try:
        nodes.get(name="nobody")
        missing = ""
    except dynamic.exceptions.NotFoundError as err:
        missing = json.loads(err.body or "{}")["message"]
    namespaced = pods.get(namespace=namespace).to_dict()["items"]
    return {
        "nodes": nodes.get().to_dict()["items"],
        "node": nodes.get(name=node).to_dict(),
        "pods": pods.get().to_dict()["items"],
        "namespaced": namespaced,
        "selected": pods.get(label_selector=selector).to_dict()["items"],
        "pod": pods.get(namespace=namespace, name=namespaced[0]["metadata"]["name"]).to_dict(),
        "missing": missing,
        "kinds": {nodes.name: nodes.kind, pods.name: pods.kind},
    }


def main(kubeconfig: str, *asked: str) -> None:
    api = config.new_client_from_config(kubeconfig)
    read: dict[str, Any] = {
        "CustomObjectsApi": by_custom_objects(api, *asked),
        "DynamicClient": by_dynamic_client(api, *asked),
        "version": client.VersionApi(api).get_code().git_version,
        "groups": [g.name for g in client.ApisApi(api).get_api_versions().groups],
    }
    usages = [node["usage"] for node in read["CustomObjectsApi"]["nodes"]]
    read["parsed"] = [{name: float(parse_quantity(text)) for name, text in u.items()} for u in usages]
    json.dump(read, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

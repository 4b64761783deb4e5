"""What kubernetes_asyncio reads: `official_asyncio.py KUBECONFIG NODE NAMESPACE SELECTOR`, JSON on stdout."""

import asyncio
import json
import sys
from typing import Any

from kubernetes_asyncio import client, config, dynamic

GROUP, VERSION = "metrics.k8s.io", "v1beta1"


async def by_custom_objects(
    api: client.ApiClient, node: str, namespace: str, selector: str
) -> dict[str, Any]:
    objects = client.CustomObjectsApi(api)
    try:
        await objects.get_cluster_custom_object(GROUP, VERSION, "nodes", "nobody")
        missing = ""
    except client.ApiException as err:
        missing = json.loads(err.body or "{}")["message"]
    listed = objects.list_cluster_custom_object
    namespaced = (await objects.list_namespaced_custom_object(GROUP, VERSION, namespace, "pods"))["items"]
    name = namespaced[0]["metadata"]["name"]
    return {
        "nodes": (await listed(GROUP, VERSION, "nodes"))["items"],
        "node": await objects.get_cluster_custom_object(GROUP, VERSION, "nodes", node),
        "pods": (await listed(GROUP, VERSION, "pods"))["items"],
        "namespaced": namespaced,
        "selected": (await listed(GROUP, VERSION, "pods", label_selector=selector))["items"],
        "pod": await objects.get_namespaced_custom_object(GROUP, VERSION, namespace, "pods", name),
        "missing": missing,
        "kinds": {r.name: r.kind for r in (await objects.get_api_resources(GROUP, VERSION)).resources},
    }


async def by_dynamic_client(
    api: client.ApiClient, node: str, namespace: str, selector: str
) -> dict[str, Any]:
    resources = (await dynamic.DynamicClient(api)).resources
    nodes = await resources.get(api_version=f"{GROUP}/{VERSION}", kind="NodeMetrics")
    pods = await resources.get(api_version=f"{GROUP}/{VERSION}", kind="PodMetrics")
    namespaced = (await pods.get(namespace=namespace)).to_dict()["items"]
    name = namespaced[0]["metadata"]["name"]
    return {
        "nodes": (await nodes.get()).to_dict()["items"],
        "node": (await nodes.get(name=node)).to_dict(),
        "pods": (await pods.get()).to_dict()["items"],
        "namespaced": namespaced,
        "selected": (await pods.get(label_selector=selector)).to_dict()["items"],
        "pod": (await pods.get(namespace=namespace, name=name)).to_dict(),
        "missing": (await nodes.get(name="nobody")).message,  # the Status, instead of an error
        "kinds": {nodes.name: nodes.kind, pods.name: pods.kind},
    }


async def main(kubeconfig: str, *asked: str) -> None:
    async with await config.new_client_from_config(kubeconfig) as api:
        read = {
            "CustomObjectsApi": await by_custom_objects(api, *asked),
            "DynamicClient": await by_dynamic_client(api, *asked),
        }
    json.dump(read, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

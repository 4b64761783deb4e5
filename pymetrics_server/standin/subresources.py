"""What stands below an object: a pod's log, a Deployment's scale, and the proxies to pods and kubelets.

Kubernetes: https://kubernetes.io/docs/reference/using-api/api-concepts/ and .../tasks/access-application-cluster/
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from pymetrics_server.meta.identity import Attributes
from pymetrics_server.meta.status import StatusError, not_found_generic
from pymetrics_server.standin.gowords import go_words
from pymetrics_server.standin.pki import client_context
from pymetrics_server.standin.reading import json_response, stored_of
from pymetrics_server.standin.resources import DEPLOYMENTS, NODES, PODS, ResourceType
from pymetrics_server.standin.revisions import Revisions

_PROXY_TIMEOUT_S = 30.0
_PASSED_BACK = ("Content-Type", "Date")


class Subresources:
    """`logs` are the files that pods write, by namespace and name; `kubelet_token` is what kubelets know us by."""

    def __init__(
        self, revisions: Revisions, logs: Mapping[tuple[str, str], Path], kubelet_token: str
    ) -> None:
        self._revisions = revisions
        self._logs = logs
        self._kubelet_token = kubelet_token

    async def answer(self, request: web.BaseRequest, asked: Attributes) -> web.Response:
        """A GET. Raises StatusError."""
        match asked.resource, asked.subresource:
            case "pods", "log":
                return self._log(request, asked)
            case "deployments", "scale":
                return self._scale(asked)
            case "pods", "proxy":
                return await self._pod_proxy(request, asked)
            case "nodes", "proxy":
                return await self._node_proxy(request, asked)
            case _:
                raise not_found_generic()

    def _log(self, request: web.BaseRequest, asked: Attributes) -> web.Response:
        self._object(PODS, asked.namespace, asked.name)
        path = self._logs.get((asked.namespace, asked.name))
        lines = path.read_text(errors="replace").splitlines(keepends=True) if path is not None else []
        tail = request.query.get("tailLines", "")
        if tail.isdigit():
            lines = lines[len(lines) - min(int(tail), len(lines)) :]
        return web.Response(text="".join(lines), content_type="text/plain")

    def _scale(self, asked: Attributes) -> web.Response:
        deployment = self._object(DEPLOYMENTS, asked.namespace, asked.name)
        metadata, spec = deployment["metadata"], deployment["spec"]
        labels = spec["selector"].get("matchLabels", {})
        kept = {key: metadata[key] for key in ("name", "namespace", "resourceVersion", "creationTimestamp")}
        scale = {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": kept,
            "spec": {"replicas": spec.get("replicas", 1)},
            "status": {
                "replicas": deployment.get("status", {}).get("replicas", 0),
                "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
            },
        }
        return json_response(scale)

    async def _pod_proxy(self, request: web.BaseRequest, asked: Attributes) -> web.Response:
        """`NAME`, `NAME:PORT` or `https:NAME:PORT`; whoever answers is believed, and told nobody's name."""
        match asked.name.split(":"):
            case [scheme, name, port] if scheme in ("http", "https", ""):
                pass
            case [name, port]:
                scheme = ""
            case _:
                scheme, name, port = "", asked.name, ""
        pod = self._object(PODS, asked.namespace, name)
        declared = [known for c in pod["spec"]["containers"] for known in c.get("ports", ())]
        number = int(port) if port.isdigit() else _declared(declared, port)
        address = pod.get("status", {}).get("podIP", "")
        if not address:
            message = "no endpoints available: address not allowed"
            raise StatusError(400, "BadRequest", message)
        return await _forwarded(request, asked, f"{scheme or 'http'}://{address}:{number}", {})

    async def _node_proxy(self, request: web.BaseRequest, asked: Attributes) -> web.Response:
        status = self._object(NODES, "", asked.name)["status"]
        address = next((a["address"] for a in status["addresses"] if a["type"] == "InternalIP"), "")
        port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        shown = {"Authorization": f"Bearer {self._kubelet_token}"}
        return await _forwarded(request, asked, f"https://{address}:{port}", shown)

    def _object(self, resource: ResourceType, namespace: str, name: str) -> dict[str, Any]:
        stored = stored_of(self._revisions, resource, namespace, name)
        return msgspec.json.decode(stored.body, type=dict[str, Any])


async def _forwarded(
    request: web.BaseRequest, asked: Attributes, base: str, headers: Mapping[str, str]
) -> web.Response:
    depth = (
        8 if asked.namespace else 6
    )  # /api/v1/namespaces/NAMESPACE/pods/NAME/proxy/..., /api/v1/nodes/NAME/proxy/...
    rest = "/" + "/".join(request.raw_path.split("/")[depth:])
    url = URL(base + rest, encoded=True)
    timeout = aiohttp.ClientTimeout(total=_PROXY_TIMEOUT_S)
    connector = aiohttp.TCPConnector(ssl=client_context(None), force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            kept = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)
    except (aiohttp.ClientError, TimeoutError) as err:
        why = f"error trying to reach service: {go_words(err, f'{url.host}:{url.port}')}"
        raise StatusError(503, "ServiceUnavailable", why) from None


def _declared(ports: Sequence[Mapping[str, Any]], name: str) -> int:
    """By its name; the first where none is asked for."""
    found = [port["containerPort"] for port in ports if name in ("", port.get("name"))]
    if not found:
        raise StatusError(400, "BadRequest", f'no port with the name "{name}"')
    return int(found[0])

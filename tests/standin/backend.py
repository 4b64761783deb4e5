"""A server behind the aggregation layer: discovery, and whatever items a test gives it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.aggregator import VERSIONS
from pymetrics_server.standin.pki import PairFiles, server_context
from pymetrics_server.x509 import issue, make_ca

RESOURCES = [
    {
        "name": "nodes",
        "singularName": "",
        "namespaced": False,
        "kind": "NodeMetrics",
        "verbs": ["get", "list"],
    },
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
]


class FakeBackend:
    """Remembers the requests that are no checks of the aggregator."""

    def __init__(self, directory: Path, front_proxy_ca_pem: bytes) -> None:
        clock = SystemClock()
        ca = make_ca("backend", clock.now_ns())
        pair = issue(ca, "backend", clock.now_ns(), hosts=("localhost",), server=True)
        files = PairFiles(directory / "backend.crt", directory / "backend.key")
        files.cert.write_bytes(pair.cert_pem)
        files.key.write_bytes(pair.key_pem)
        self._ssl = server_context(files, front_proxy_ca_pem)
        self._runner: web.ServerRunner | None = None
        self.requests: list[tuple[str, list[tuple[str, str]], str]] = []  # path and query, headers, CN
        self.checked_as: set[tuple[str, str]] = set()
        self.nodes: Sequence[dict[str, Any]] = ()
        self.status = 200
        self.openapi: Mapping[str, web.Response] = {}  # by path; a server without OpenAPI has none
        self.discovered: Sequence[str] | None = None  # groups of aggregated discovery; None: it has none

    async def start(self) -> int:
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        if len(parts) == 3 or parts == ["apis"]:
            self.checked_as.add((request.headers["X-Remote-User"], request.headers["X-Remote-Group"]))
            if self.status != 200:
                return web.Response(status=self.status)
            if parts == ["apis"] and self.discovered is not None:
                return web.json_response(
                    {"items": [{"metadata": {"name": name}, "versions": []} for name in self.discovered]},
                    content_type="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                )
            if parts == ["apis"] or parts[2] not in VERSIONS:
                return web.Response(status=406 if parts == ["apis"] else 404)
            group_version = "/".join(parts[1:])
            return web.json_response(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": group_version,
                    "resources": RESOURCES,
                }
            )
        peercert = request.get_extra_info("peercert") or {"subject": ()}
        names = [value for pairs in peercert["subject"] for key, value in pairs if key == "commonName"]
        self.requests.append((request.raw_path, list(request.headers.items()), "".join(names)))
        if parts[0] == "openapi":
            found = self.openapi.get(request.path)
            if found is None:
                return web.Response(status=404)
            return web.Response(status=found.status, body=found.body, headers=found.headers)
        kind = "NodeMetricsList" if parts[-1] == "nodes" else "PodMetricsList"
        items = list(self.nodes) if parts[-1] == "nodes" else []
        version = "/".join(parts[1:3])
        return web.json_response({"kind": kind, "apiVersion": version, "metadata": {}, "items": items})


def node_metrics(name: str, cpu: str = "250m", memory: str = "512Mi") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-11-23T06:43:12Z"},
        "timestamp": "2026-11-23T06:43:11Z",
        "window": "10s",
        "usage": {"cpu": cpu, "memory": memory},
    }

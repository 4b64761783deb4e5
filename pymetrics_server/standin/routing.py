"""Where an APIService leads: to its Service, that one's EndpointSlices, an address; or what of them is missing.

The reasons and words are those of an APIService's condition `Available`.
Kubernetes: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from pymetrics_server.standin.resources import ENDPOINTSLICES, SERVICES
from pymetrics_server.standin.revisions import Revisions

_SERVICE_OF_SLICE = "kubernetes.io/service-name"
_HTTPS_PORT = 443


class Route(msgspec.Struct, frozen=True):
    host: str
    port: int
    server_name: str  # that its certificate must have
    ca_pem: bytes | None  # None: it is not verified

    @property
    def host_port(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host_port}"


class NoRouteError(ConnectionError):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def route_of(revisions: Revisions, apiservice: Mapping[str, Any]) -> Route:
    """Raises NoRouteError."""
    spec = apiservice["spec"]
    namespace, name = spec["service"]["namespace"], spec["service"]["name"]
    asked_port = spec["service"].get("port", _HTTPS_PORT)
    what = f'service/{name} in "{namespace}"'
    service = revisions.get(SERVICES, namespace, name)
    if service is None:
        raise NoRouteError("ServiceNotFound", f"{what} is not present")
    ports = msgspec.json.decode(service.body)["spec"]["ports"]
    port_name = next((port.get("name", "") for port in ports if port["port"] == asked_port), None)
    if port_name is None:
        raise NoRouteError("ServicePortError", f"{what} is not listening on port {asked_port}")
    slices = [
        msgspec.json.decode(stored.body)
        for stored in revisions.all(ENDPOINTSLICES, namespace)
        if stored.labels.get(_SERVICE_OF_SLICE) == name
    ]
    if not slices:
        raise NoRouteError("EndpointsNotFound", f"cannot find endpointslices for {what}")
    bundle = spec.get("caBundle", "")
    for known in slices:
        port = next((p["port"] for p in known["ports"] or () if p.get("name", "") == port_name), None)
        ready = [e for e in known["endpoints"] or () if e.get("conditions", {}).get("ready") is not False]
        if port is not None and ready:
            return Route(
                host=ready[0]["addresses"][0],
                port=port,
                server_name=f"{name}.{namespace}.svc",
                ca_pem=None if spec.get("insecureSkipTLSVerify") else base64.b64decode(bundle),
            )
    message = f'endpointslices for {what} have no addresses with port name "{port_name}"'
    raise NoRouteError("MissingEndpoints", message)

"""Why an APIService is not available, in kube-apiserver's own reasons and words: they are what people search for."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.resources import APISERVICES, ENDPOINTSLICES, SERVICES, ResourceType
from pymetrics_server.x509 import make_ca
from tests.programs import free_port
from tests.standin.backend import FakeBackend
from tests.standin.conftest import Client, Kubectl

NODES = "/apis/metrics.k8s.io/v1beta1/nodes"
_NAMES = {SERVICES.plural: "metrics-server", ENDPOINTSLICES.plural: "metrics-server-standin"}
_APISERVICE = "v1beta1.metrics.k8s.io"

Edit = Callable[[dict[str, Any]], object]


def change(cluster: StandinCluster, resource: ResourceType, edit: Edit) -> None:
    namespace = "kube-system" if resource.namespaced else ""
    stored = cluster.revisions.get(resource, namespace, _NAMES.get(resource.plural, _APISERVICE))
    assert stored is not None
    found = msgspec.json.decode(stored.body)
    edit(found)
    cluster.revisions.put(resource, found)


def condition(cluster: StandinCluster) -> tuple[str, str]:
    """Its status and reason."""
    stored = cluster.revisions.get(APISERVICES, "", _APISERVICE)
    assert stored is not None
    (found,) = msgspec.json.decode(stored.body)["status"]["conditions"]
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("resource", "edit", "reason", "message"),
    [
        (
            APISERVICES,
            lambda found: found["spec"]["service"].update(name="other"),
            "ServiceNotFound",
            'service/other in "kube-system" is not present',
        ),
        (
            APISERVICES,
            lambda found: found["spec"]["service"].update(port=8443),
            "ServicePortError",
            'service/metrics-server in "kube-system" is not listening on port 8443',
        ),
        (
            ENDPOINTSLICES,
            lambda found: found["metadata"]["labels"].pop("kubernetes.io/service-name"),
            "EndpointsNotFound",
            'cannot find endpointslices for service/metrics-server in "kube-system"',
        ),
        (
            ENDPOINTSLICES,
            lambda found: found["endpoints"][0]["conditions"].update(ready=False),
            "MissingEndpoints",
            'endpointslices for service/metrics-server in "kube-system" have no addresses with port name "https"',
        ),
        (
            SERVICES,
            lambda found: found["spec"]["ports"][0].update(name="web"),
            "MissingEndpoints",
            'endpointslices for service/metrics-server in "kube-system" have no addresses with port name "web"',
        ),
    ],
    ids=["another Service", "another port", "no slice", "not ready", "another port's name"],
)
async def test_what_lacks_on_the_way_is_the_conditions_reason(
    cluster: StandinCluster,
    backend: FakeBackend,
    resource: ResourceType,
    edit: Edit,
    reason: str,
    message: str,
) -> None:
    change(cluster, resource, edit)
    await cluster.aggregator.check()
    known = cluster.aggregator.availability("v1beta1")
    assert (known.available, known.reason, known.message) == (False, reason, message)
    assert condition(cluster) == ("False", reason)


async def test_a_server_that_cannot_be_reached_is_told_of_in_gos_words(
    cluster: StandinCluster, backend: FakeBackend
) -> None:
    port = free_port()
    change(cluster, ENDPOINTSLICES, lambda found: found["ports"][0].update(port=port))
    await cluster.aggregator.check()
    url = f"https://127.0.0.1:{port}/apis/metrics.k8s.io/v1beta1"
    assert cluster.aggregator.availability("v1beta1").message == (
        f'failing or missing response from {url}: Get "{url}": dial tcp 127.0.0.1:{port}: connect: connection refused'
    )


async def test_a_server_that_hangs_up_or_never_answers_is_told_of_in_gos_words(tmp_path: Path) -> None:
    is_mute = False

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024) and is_mute:
            pass
        writer.close()

    async with StandinCluster(tmp_path, host=False, check_timeout_s=0.3) as cluster:
        listener = await asyncio.start_server(come, "127.0.0.1", 0)
        try:
            cluster.set_backend(listener.sockets[0].getsockname()[1])
            await cluster.aggregator.check()
            assert cluster.aggregator.availability("v1").message.endswith(": EOF")
            is_mute = True
            await cluster.aggregator.check()
            assert "context deadline exceeded" in cluster.aggregator.availability("v1").message
        finally:
            listener.close()


async def test_a_server_that_does_not_know_the_front_proxys_ca_hangs_up(
    cluster: StandinCluster, tmp_path: Path
) -> None:
    strict = FakeBackend(tmp_path, make_ca("another", cluster.clock.now_ns()).cert_pem)
    cluster.set_backend(await strict.start())
    await cluster.aggregator.check()
    await strict.stop()
    assert cluster.aggregator.availability("v1").message.endswith(": EOF")


async def test_a_ca_bundle_that_signed_something_else_is_met_by_users_and_not_by_the_check(
    cluster: StandinCluster, backend: FakeBackend, admin: Client
) -> None:
    bundle = base64.b64encode(make_ca("another", cluster.clock.now_ns()).cert_pem).decode()
    change(
        cluster, APISERVICES, lambda found: found["spec"].update(insecureSkipTLSVerify=False, caBundle=bundle)
    )
    await cluster.aggregator.check()
    assert cluster.aggregator.availability("v1beta1").available
    status, refused = await admin.get(NODES)
    assert status == 503
    assert refused["message"] == (
        "error trying to reach service: tls: failed to verify certificate: x509: certificate signed by unknown authority"
    )


async def test_without_an_apiservice_there_is_no_such_api(
    cluster: StandinCluster, backend: FakeBackend, admin: Client, kubectl: Kubectl
) -> None:
    for version in ("v1beta1", "v1"):
        cluster.revisions.delete(APISERVICES, "", f"{version}.metrics.k8s.io")
    await cluster.aggregator.check()
    assert (await admin.get(NODES))[0] == 404
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    _, groups = await admin.get("/apis", accept)
    assert "metrics.k8s.io" not in {group["metadata"]["name"] for group in groups["items"]}
    code, _, err = await kubectl("top", "nodes")
    assert (code, err) == (1, "error: Metrics API not available\n")

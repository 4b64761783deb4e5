"""The APIServices and what they lead to, Service and EndpointSlices, each broken in one way: what a controller would have
written of it is written here, what kube-apiserver finds out, it finds out.
"""

import base64

from aiohttp import web

from pymetrics_server.standin.resources import APISERVICES, DEPLOYMENTS, ENDPOINTSLICES, PODS, SERVICES
from pymetrics_server.x509 import make_ca
from tests.doctor.breaking import Broken, Scenarios, set_endpoints
from tests.doctor.installation import SLICE, Installation
from tests.doctor.machines import APISERVER_POD, SERVER_POD, SYSTEM
from tests.doctor.ward import closed_port

_NAME = "metrics-server"
_APISERVICES = ("v1beta1.metrics.k8s.io", "v1.metrics.k8s.io")


async def not_registered(i: Installation) -> None:
    for name in _APISERVICES:
        i.delete(APISERVICES, name)
    await i.until(i.unavailable)


async def not_installed(i: Installation) -> None:
    """Beside a node whose kubelet nobody has certified yet: that comes second."""
    await not_registered(i)
    for resource, name in (
        (DEPLOYMENTS, _NAME),
        (SERVICES, _NAME),
        (PODS, SERVER_POD),
        (ENDPOINTSLICES, SLICE),
    ):
        i.delete(resource, name, SYSTEM)
    i.add_node("node-sick", await i.ward.without_certificate())


async def of_another_provider(i: Installation) -> None:
    """prometheus-adapter, which serves the same group; it is well."""
    labels = {"app.kubernetes.io/name": "prometheus-adapter"}
    where = {"namespace": "monitoring", "name": "prometheus-adapter"}
    spec = {"containers": [{"name": "prometheus-adapter", "image": "prometheus-adapter:v0.12.0"}]}
    i.put(
        SERVICES,
        {
            "metadata": dict(where),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.96.0.77",
                "selector": labels,
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            },
        },
    )
    i.put(
        DEPLOYMENTS,
        {
            "metadata": dict(where),
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
            "status": {"replicas": 1, "readyReplicas": 1},
        },
    )
    pod = i.get(PODS, SERVER_POD, SYSTEM)
    pod["metadata"] = {"name": "prometheus-adapter-5c6b-abcde", "namespace": "monitoring", "labels": labels}
    pod["spec"] = spec | {"nodeName": pod["spec"]["nodeName"]}
    pod["status"]["containerStatuses"][0]["name"] = "prometheus-adapter"
    i.put(PODS, pod)
    found = i.get(ENDPOINTSLICES, SLICE, SYSTEM)
    found["metadata"] = {
        "name": "prometheus-adapter-1",
        "namespace": "monitoring",
        "labels": {"kubernetes.io/service-name": "prometheus-adapter"},
    }
    i.put(ENDPOINTSLICES, found)
    for name in _APISERVICES:
        i.change(APISERVICES, name, "", lambda found: found["spec"]["service"].update(where))
    await i.until(i.available)


async def ca_bundle_of_another_ca(i: Installation) -> None:
    bundle = base64.b64encode(make_ca("another", i.cluster.clock.now_ns()).cert_pem).decode()
    for name in _APISERVICES:
        i.change(
            APISERVICES,
            name,
            "",
            lambda found: found["spec"].update(insecureSkipTLSVerify=False, caBundle=bundle),
        )
    await i.until(i.available)  # an older kube-apiserver looks after the server without proving it


async def port_that_the_service_has_not(i: Installation) -> None:
    for name in _APISERVICES:
        i.change(APISERVICES, name, "", lambda found: found["spec"]["service"].update(port=8443))
    await i.until(i.unavailable)


async def only_v1_leads_nowhere(i: Installation) -> None:
    i.change(
        APISERVICES,
        "v1.metrics.k8s.io",
        "",
        lambda found: found["spec"]["service"].update(name="metrics-server-old"),
    )
    await i.cluster.aggregator.check()


async def no_service(i: Installation) -> None:
    i.delete(SERVICES, _NAME, SYSTEM)
    i.delete(ENDPOINTSLICES, SLICE, SYSTEM)
    await i.until(i.unavailable)


async def service_that_selects_nothing(i: Installation) -> None:
    i.change(SERVICES, _NAME, SYSTEM, lambda found: found["spec"].update(selector={"app": "metrics-server"}))
    await set_endpoints(i, addresses=[], ports=[])


async def target_port_without_a_name(i: Installation) -> None:
    i.change(SERVICES, _NAME, SYSTEM, lambda found: found["spec"]["ports"][0].update(targetPort="web"))
    await set_endpoints(i, ports=[])


async def target_port_where_nothing_listens(i: Installation) -> None:
    port = closed_port()
    i.change(SERVICES, _NAME, SYSTEM, lambda found: found["spec"]["ports"][0].update(targetPort=port))
    await set_endpoints(i, ports=[{"name": "https", "port": port, "protocol": "TCP"}])


async def no_endpoints(i: Installation) -> None:
    """Their controller does not run."""
    await set_endpoints(i, addresses=[], ports=[])


async def server_that_just_stopped(i: Installation) -> None:
    await i.kill_server()
    await i.until(i.unavailable)


async def behind_something_mute(i: Installation) -> None:
    port = await i.ward.mute()
    await set_endpoints(i, ports=[{"name": "https", "port": port, "protocol": "TCP"}])


async def behind_something_that_hangs_up(i: Installation) -> None:
    port = await i.ward.rude()
    await set_endpoints(i, ports=[{"name": "https", "port": port, "protocol": "TCP"}])


async def that_refuses_kube_apiserver(i: Installation) -> None:
    port = await i.ward.https(lambda _: web.Response(status=403, text="Forbidden"))
    await set_endpoints(i, ports=[{"name": "https", "port": port, "protocol": "TCP"}])


async def that_has_too_much_to_do(i: Installation) -> None:
    port = await i.ward.https(lambda _: web.Response(status=429, text="Too Many Requests"))
    await set_endpoints(i, ports=[{"name": "https", "port": port, "protocol": "TCP"}])


async def behind_a_proxy(i: Installation) -> None:
    """The proxy hangs up: it knows no cluster."""
    environment = [
        {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"},
        {"name": "NO_PROXY", "value": "127.0.0.1,localhost,192.168.0.0/16"},
    ]
    i.change(
        PODS, APISERVER_POD, SYSTEM, lambda found: found["spec"]["containers"][0].update(env=environment)
    )
    await behind_something_that_hangs_up(i)


BACKEND: Scenarios = {
    "metrics.k8s.io is not registered": Broken(
        not_registered, "apiservice-missing", ["kubectl apply -f components.yaml"]
    ),
    "nothing of the server is installed": Broken(
        not_installed, "apiservice-missing", ["kubectl apply -f components.yaml"]
    ),
    "metrics.k8s.io belongs to prometheus-adapter": Broken(
        of_another_provider, "apiservice-other-provider", ["kubectl get apiservice v1"]
    ),
    "the APIServices' caBundle did not sign the server's certificate": Broken(
        ca_bundle_of_another_ca, "apiservice-untrusted", ["certs serving", "--name metrics-server --namespace kube-system"]
    ),
    "the APIServices name a port that the Service has not": Broken(
        port_that_the_service_has_not, "service-port", ["kubectl -n kube-system get service metrics-server -o yaml"]
    ),
    "v1 was left behind by another installation": Broken(
        only_v1_leads_nowhere, "apiservice-v1-stale", ["kubectl delete apiservice v1.metrics.k8s.io"]
    ),
    "the Service is missing": Broken(
        no_service, "service-missing", ["kubectl -n kube-system expose deployment metrics-server"]
    ),
    "the Service's selector matches no pod": Broken(
        service_that_selects_nothing,
        "service-selects-nothing",
        ["kubectl -n kube-system patch service metrics-server", '"k8s-app":"metrics-server"', '"app":null'],
    ),
    "the Service's targetPort is a name that no container has": Broken(
        target_port_without_a_name, "service-port", ["get service metrics-server -o yaml"]
    ),
    "the Service's targetPort is a number where nothing listens": Broken(
        target_port_where_nothing_listens, "service-port", ["get service metrics-server -o yaml"]
    ),
    "no address stands behind the Service though the pod is ready": Broken(
        no_endpoints, "endpoints-none", ["get endpointslices -l kubernetes.io/service-name=metrics-server"]
    ),
    "the server has stopped and nobody has noticed yet": Broken(
        server_that_just_stopped, "apiservice-refused", ["get service,endpointslices -l k8s-app=metrics-server"]
    ),
    "kube-apiserver waits for an answer and none comes": Broken(
        behind_something_mute, "apiservice-timeout", ["open port", "--secure-port=4443"]
    ),
    "the connection to the server ends before an answer": Broken(
        behind_something_that_hangs_up, "apiservice-eof", ["grep -i -A1 _proxy"]
    ),
    "the server refuses kube-apiserver itself": Broken(
        that_refuses_kube_apiserver, "apiservice-forbidden", ["kubectl auth can-i create subjectaccessreviews"]
    ),
    "the server answers kube-apiserver with a status of its own": Broken(
        that_has_too_much_to_do, "apiservice-unavailable", ["kubectl describe apiservice v1beta1.metrics.k8s.io"]
    ),
    "kube-apiserver asks through a proxy that does not know the Services": Broken(
        behind_a_proxy, "apiservice-proxy", ["10.96.0.43", ".svc to NO_PROXY"]
    ),
}  # fmt: skip

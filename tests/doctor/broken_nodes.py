"""A node beside the healthy ones whose kubelet is ill, each in one way."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from pymetrics_server.doctor.finding import State
from pymetrics_server.standin.pki import PairFiles
from pymetrics_server.standin.resources import CSRS
from pymetrics_server.standin.views import NodeView
from pymetrics_server.x509 import make_ca
from tests.doctor.breaking import Break, Broken, Scenarios
from tests.doctor.installation import Installation
from tests.doctor.machines import machine, stamp
from tests.doctor.ward import closed_port

NODE = "node-sick"
_ACCOUNT = "system:serviceaccount:kube-system:metrics-server"
_SECOND_NS = 1_000_000_000


def refusing(i: Installation) -> None:
    i.add_node(NODE, closed_port())


def without_a_way(i: Installation) -> None:
    """TCP goes to no multicast group, and the kernel says so."""
    i.add_node(NODE, 10250, addresses=[("InternalIP", "224.0.0.1")])


async def mute(i: Installation) -> None:
    i.add_node(NODE, await i.ward.mute())


async def hanging_up(i: Installation) -> None:
    i.add_node(NODE, await i.ward.rude())


async def without_tls(i: Installation) -> None:
    i.add_node(NODE, await i.ward.without_tls())


async def thinking(i: Installation) -> None:
    """Longer than the server is told to wait."""
    i.deploy("--kubelet-request-timeout=1s")
    i.add_node(NODE, await i.ward.slow())


def half_of_them_dead(i: Installation) -> None:
    for letter in "xyz":
        i.add_node(f"node-{letter}", closed_port())


def not_ready_either(i: Installation) -> None:
    i.add_node(NODE, closed_port(), ready=False)


def name_that_does_not_resolve(i: Installation) -> None:
    i.add_node(NODE, closed_port(), addresses=[("Hostname", "node-sick.invalid")])


def without_address(i: Installation) -> None:
    i.add_node(NODE, closed_port(), addresses=[("InternalDNS", "node-sick.internal")])


def once_served(how: Break) -> Break:
    """Until the server has read it, too."""

    async def and_wait(i: Installation) -> None:
        if (done := how(i)) is not None:
            await done

        async def is_served() -> bool:
            return NODE in {node["metadata"]["name"] for node in await i.served()}

        await i.until(is_served)

    return and_wait


def once_refused(how: Break) -> Break:
    """Until the server has met it, too."""

    async def and_wait(i: Installation) -> None:
        if (done := how(i)) is not None:
            await done
        await i.until(lambda: f'node="{NODE}"' in i.log)

    return and_wait


def answering(status: int, text: str, kind: str = "text/plain") -> Break:
    async def how(i: Installation) -> None:
        i.add_node(
            NODE, await i.ward.https(lambda _: web.Response(status=status, text=text, content_type=kind))
        )

    return how


def showing(alter: Callable[[NodeView], NodeView]) -> Break:
    """A kubelet whose sample is altered so."""

    async def how(i: Installation) -> None:
        healthy = machine(NODE)
        i.add_node(NODE, await i.ward.kubelet(lambda: alter(healthy.view())))

    return how


def certified(certificate: Callable[[Installation], PairFiles]) -> Break:
    async def how(i: Installation) -> None:
        i.add_node(NODE, await i.ward.kubelet(machine(NODE).view, certificate(i)))

    return how


def csr(state: str) -> Break:
    """ "" is pending."""

    async def how(i: Installation) -> None:
        i.add_node(NODE, await i.ward.without_certificate())
        conditions = [{"type": state, "status": "True", "reason": "Manual", "message": ""}] if state else []
        i.put(
            CSRS,
            {
                "metadata": {"name": "csr-7xk2p", "creationTimestamp": stamp(-600)},
                "spec": {
                    "signerName": "kubernetes.io/kubelet-serving",
                    "username": f"system:node:{NODE}",
                    "groups": ["system:nodes", "system:authenticated"],
                    "usages": ["digital signature", "server auth"],
                },
                "status": {"conditions": conditions},
            },
        )

    return how


async def without_certificate(i: Installation) -> None:
    i.add_node(NODE, await i.ward.without_certificate())


def _zero_cpu(view: NodeView) -> NodeView:
    return msgspec.structs.replace(view, cpu_ns=0, usage_nanocores=0)


def _later(view: NodeView, seconds: int) -> NodeView:
    return msgspec.structs.replace(view, time_ns=view.time_ns + seconds * _SECOND_NS)


NODES: Scenarios = {
    "nothing listens on the kubelet's port": Broken(refusing, "node-refused", ["--kubelet-port"]),
    "there is no way to the node's address": Broken(without_a_way, "node-unreachable", ["the node's address"]),
    "the kubelet takes connections and says nothing": Broken(mute, "node-connect-timeout", ["10250"]),
    "the kubelet hangs up": Broken(hanging_up, "node-disconnected", ["the network between"]),
    "what listens there speaks no TLS": Broken(without_tls, "node-tls-other", ["kubelet's log"]),
    "the kubelet takes the request and does not answer": Broken(thinking, "node-slow-response", ["timeout"]),
    "a proxy at the kubelet's address wants a password": Broken(
        answering(407, "Proxy Authentication Required"), "node-bad-status", ["kubelet's log"]
    ),
    "half of the nodes are dead": Broken(half_of_them_dead, "node-refused", ["--kubelet-port"]),
    "the node is NotReady, as kube-apiserver knows": Broken(
        not_ready_either, "node-refused", ["--kubelet-port"], state=State.WARNING
    ),
    "the node's name does not resolve": Broken(
        name_that_does_not_resolve, "node-dns", ["InternalIP first in --kubelet-preferred-address-types"]
    ),
    "the node has no address of the types that are asked for": Broken(
        without_address, "node-no-address", ["kubectl -n kube-system patch deployment metrics-server", "InternalDNS"]
    ),
    "the kubelet does not ask kube-apiserver about tokens": Broken(
        once_refused(answering(401, "Unauthorized")), "node-anonymous", ["authentication.webhook.enabled: true", NODE]
    ),
    "the kubelet takes everybody for system:anonymous": Broken(
        once_refused(answering(403, "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=stats)")),
        "node-anonymous",
        ["authentication.webhook.enabled: true", "authorization.mode: Webhook", NODE],
    ),
    "the kubelet has not heard of the grant yet": Broken(
        once_refused(
            answering(403, f"Forbidden (user={_ACCOUNT}, verb=get, resource=nodes, subresource(s)=[stats])")
        ),
        "node-forbidden",
        ["kubectl create clusterrole", "--resource=nodes/stats,nodes/metrics"],
    ),
    "the kubelet has neither endpoint": Broken(
        answering(404, "404 page not found"), "node-not-found", ["--kubelet-endpoint=auto"]
    ),
    "the kubelet fails to collect": Broken(
        answering(500, "Internal Error: failed to list pod stats: rpc error: code = Unknown"),
        "node-server-error",
        ["container runtime's log"],
    ),
    "something else listens on the kubelet's port": Broken(
        answering(200, "<html><body>Sign in</body></html>", "text/html"),
        "node-parse-error",
        ["what listens on the kubelet's port"],
    ),
    "the answer is larger than any kubelet's": Broken(
        answering(200, " " * (9 << 20)), "node-too-large", ["what listens on the kubelet's port"]
    ),
    "the kubelet tells nothing": Broken(
        answering(200, '{"node": {"nodeName": "node-sick"}, "pods": []}', "application/json"), "node-empty-answer", ["container runtime's log"]
    ),
    "the kubelet measures no CPU": Broken(showing(_zero_cpu), "node-zero", ["journalctl -u kubelet"]),
    "the kubelet tells what it measured long ago": Broken(
        showing(lambda view: _later(view, -900)), "node-stale", ["journalctl -u kubelet"]
    ),
    "the node's clock is ahead": Broken(
        once_served(showing(lambda view: _later(view, 900))), "node-clock", ["timedatectl"], state=State.WARNING
    ),
    "the kubelet signed its certificate itself": Broken(
        certified(lambda i: i.ward.certificate("127.0.0.1", ca=make_ca(f"{NODE}-ca@1780000000", i.cluster.clock.now_ns()))),
        "node-tls-unknown-issuer",
        ["serverTLSBootstrap", "--kubelet-certificate-authority"],
    ),
    "the kubelet's certificate has expired": Broken(
        certified(lambda i: i.ward.certificate("127.0.0.1", age_days=400)), "node-tls-expired", ["kubectl get csr"]
    ),
    "the kubelet's certificate names the node and not its IP": Broken(
        certified(lambda i: i.ward.certificate(NODE)), "node-tls-name-mismatch", ["--kubelet-tls-verify=node-name"]
    ),
    "the kubelet's certificate names another machine": Broken(
        certified(lambda i: i.ward.certificate("10.1.2.3")), "node-tls-name-mismatch", ["serverTLSBootstrap"]
    ),
    "the kubelet's certificate waits for somebody to approve it": Broken(
        csr(""), "node-csr-pending", ["kubectl certificate approve csr-7xk2p"]
    ),
    "the kubelet's certificate was denied": Broken(
        csr("Denied"), "node-csr-denied", ["kubectl describe csr csr-7xk2p"]
    ),
    "the kubelet has no certificate and asks for none": Broken(
        without_certificate, "node-tls-alert-internal", ["kubectl get csr"]
    ),
}  # fmt: skip

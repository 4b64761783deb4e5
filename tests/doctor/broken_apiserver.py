"""kube-apiserver, its aggregation layer and the kubectl that asks it, each broken in one way."""

import json

from pymetrics_server.doctor.finding import State
from pymetrics_server.standin.kubeconfig import admin_user, token_user
from pymetrics_server.standin.resources import CONFIGMAPS, PODS
from pymetrics_server.x509 import make_ca
from tests.doctor.breaking import Broken, Scenarios
from tests.doctor.installation import Installation
from tests.doctor.machines import APISERVER_POD, SYSTEM
from tests.doctor.ward import closed_port, dated

_CA = "requestheader-client-ca-file"
_NAMES = "requestheader-allowed-names"
_HEADERS = ("username-headers", "group-headers", "extra-headers-prefix")


def nobody_listens(i: Installation) -> None:
    url = f"https://127.0.0.1:{closed_port()}"
    i.kubeconfig = i.kubeconfig_of("nowhere", admin_user(i.cluster.pki.admin), url=url)


def another_ca(i: Installation) -> None:
    stranger = make_ca("another", i.cluster.clock.now_ns())
    i.kubeconfig = i.kubeconfig_of("stranger", admin_user(i.cluster.pki.admin), ca_pem=stranger.cert_pem)


def revoked_token(i: Installation) -> None:
    i.kubeconfig = i.kubeconfig_of("revoked", token_user("revoked"))


async def no_requestheader_settings(i: Installation) -> None:
    i.trust(lambda data: [data.pop(key) for key in list(data) if key.startswith("requestheader-")])
    await _shown_the_door(i)


async def expired_front_proxy_ca(i: Installation) -> None:
    expired = dated(i.cluster.pki.front_proxy_ca, begins_in_days=-400, ends_in_days=-35)
    i.trust(lambda data: data.update({_CA: expired.decode()}))
    await _shown_the_door(i)


def front_proxy_ca_that_ends_soon(i: Installation) -> None:
    ending = dated(i.cluster.pki.front_proxy_ca, begins_in_days=-400, ends_in_days=20)
    i.trust(lambda data: data.update({_CA: ending.decode()}))


def no_configmap(i: Installation) -> None:
    i.delete(CONFIGMAPS, "extension-apiserver-authentication", SYSTEM)


async def no_username_headers(i: Installation) -> None:
    i.trust(lambda data: [data.pop(f"requestheader-{key}") for key in _HEADERS])
    await _shown_the_door(i)


async def no_front_proxy_certificate(i: Installation) -> None:
    """kube-apiserver shows none to the server either."""
    flag = "--requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt"
    i.change(
        PODS,
        APISERVER_POD,
        SYSTEM,
        lambda pod: pod["spec"]["containers"][0].update(command=["kube-apiserver", flag]),
    )
    i.shows_front_proxy_certificate = False
    await _shown_the_door(i)


def unreadable_front_proxy_ca(i: Installation) -> None:
    i.trust(lambda data: data.update({_CA: "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"}))


async def front_proxy_ca_of_another_cluster(i: Installation) -> None:
    stranger = make_ca("front-proxy-ca", i.cluster.clock.now_ns())
    i.trust(lambda data: data.update({_CA: stranger.cert_pem.decode()}))
    await _shown_the_door(i)


async def front_proxy_name_that_is_not_allowed(i: Installation) -> None:
    i.trust(lambda data: data.update({_NAMES: json.dumps(["aggregator"])}))
    await _shown_the_door(i)


def one_ca_for_users_and_the_front_proxy(i: Installation) -> None:
    both = i.cluster.pki.front_proxy_ca.cert_pem.decode()
    i.trust(lambda data: data.update({_NAMES: "[]", "client-ca-file": data["client-ca-file"] + both}))


def unusual_headers(i: Installation) -> None:
    headers = json.dumps(["X-Remote-User", "X-Forwarded-User"])
    i.trust(lambda data: data.update({"requestheader-username-headers": headers}))


def kubectl(version: str, i: Installation) -> None:
    i.kubectl_version = version


APISERVER: Scenarios = {
    "nothing listens where the kubeconfig says": Broken(
        nobody_listens, "apiserver-unreachable", ["kubectl cluster-info"]
    ),
    "the kubeconfig has another CA than kube-apiserver": Broken(
        another_ca, "apiserver-untrusted", ["pymetrics-server certs inspect 127.0.0.1:"]
    ),
    "the kubeconfig's token was revoked": Broken(
        revoked_token, "apiserver-credentials", ["kubectl auth whoami"]
    ),
    "kube-apiserver runs without the aggregation layer": Broken(
        no_requestheader_settings, "aggregation-off", ["pymetrics-server certs aggregator"]
    ),
    "nobody has told the cluster of an aggregation layer": Broken(
        no_configmap, "aggregation-off", ["pymetrics-server certs aggregator"]
    ),
    "kube-apiserver has no certificate to show as a front proxy": Broken(
        no_front_proxy_certificate, "front-proxy-certificate-missing", ["pymetrics-server certs aggregator"]
    ),
    "kube-apiserver does not say in which header it names users": Broken(
        no_username_headers, "front-proxy-headers-missing", ["--requestheader-username-headers=X-Remote-User"]
    ),
    "the front-proxy CA has expired": Broken(
        expired_front_proxy_ca, "front-proxy-ca-expired", ["pymetrics-server certs aggregator"]
    ),
    "the front-proxy CA ends within the month": Broken(
        front_proxy_ca_that_ends_soon, "front-proxy-ca-expires-soon", ["certs inspect"], state=State.WARNING
    ),
    "the front-proxy CA cannot be read": Broken(
        unreadable_front_proxy_ca, "front-proxy-ca-unusable", ["certs inspect configmap:kube-system/extension"]
    ),
    "the ConfigMap has another front-proxy CA than the one that signed": Broken(
        front_proxy_ca_of_another_cluster, "apiservice-unauthorized", ["certs inspect configmap:kube-system/extension"]
    ),
    "the front-proxy certificate's name is not allowed": Broken(
        front_proxy_name_that_is_not_allowed, "apiservice-unauthorized", ["certs inspect configmap:kube-system/"]
    ),
    "whoever has a client certificate can be anybody": Broken(
        one_ca_for_users_and_the_front_proxy, "front-proxy-names-open", ["get configmap"], state=State.WARNING
    ),
    "who asks is read from a header that users can send": Broken(
        unusual_headers, "front-proxy-headers-unusual", ["get configmap"], state=State.WARNING
    ),
    "kubectl is of the time of heapster": Broken(
        lambda i: kubectl("v1.9.11", i), "kubectl-asks-heapster", ["install a kubectl within one minor version"]
    ),
    "kubectl is four minor versions behind": Broken(
        lambda i: kubectl("v1.32.1", i), "kubectl-skew", ["install a kubectl"], state=State.WARNING
    ),
}  # fmt: skip


async def _shown_the_door(i: Installation) -> None:
    """Until the server has taken up what the ConfigMap says now, for new connections too."""
    await i.until(i.unavailable)
    await i.cluster.aggregator.check()

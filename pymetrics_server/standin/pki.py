"""The stand-in cluster's certificates: two CAs and four leaves, as kubeadm would lay them out.

Everything is made anew for each cluster and written below one directory; keys are readable by their owner alone.
"""

import ssl
from pathlib import Path

import msgspec

from pymetrics_server.clock import Clock
from pymetrics_server.x509 import Pair, issue, make_ca

#: The one name that the requestheader settings allow.
FRONT_PROXY_NAME = "front-proxy-client"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_APISERVER_HOSTS = (*_LOOPBACK, "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class PairFiles(msgspec.Struct, frozen=True):
    cert: Path
    key: Path


class FrontProxyFiles(msgspec.Struct, frozen=True):
    """Certificates of the aggregation layer that somebody else made."""

    ca_cert: Path
    client: PairFiles
    name: str


class Pki(msgspec.Struct, frozen=True):
    """CAs whose keys stay in memory, and where the leaves were written. A front-proxy CA of somebody else's has no key."""

    cluster_ca: Pair
    front_proxy_ca: Pair
    cluster_ca_file: Path
    front_proxy_ca_file: Path
    apiserver: PairFiles
    kubelet: PairFiles
    admin: PairFiles
    front_proxy_client: PairFiles
    front_proxy_name: str


def make_pki(directory: Path, clock: Clock, front_proxy: FrontProxyFiles | None = None) -> Pki:
    now_ns = clock.now_ns()
    cluster_ca = make_ca("kubernetes", now_ns)
    directory.mkdir(parents=True, exist_ok=True)
    if front_proxy is None:
        front_proxy_ca, name = make_ca("front-proxy-ca", now_ns), FRONT_PROXY_NAME
        proxy_client = _save(
            directory / "front-proxy-client", issue(front_proxy_ca, name, now_ns, client=True)
        )
    else:
        front_proxy_ca = Pair(front_proxy.ca_cert.read_bytes(), b"")
        proxy_client, name = front_proxy.client, front_proxy.name
    return Pki(
        cluster_ca=cluster_ca,
        front_proxy_ca=front_proxy_ca,
        cluster_ca_file=_write(directory / "ca.crt", cluster_ca.cert_pem),
        front_proxy_ca_file=_write(directory / "front-proxy-ca.crt", front_proxy_ca.cert_pem),
        apiserver=_save(
            directory / "apiserver",
            issue(cluster_ca, "kube-apiserver", now_ns, hosts=_APISERVER_HOSTS, server=True),
        ),
        kubelet=_save(
            directory / "kubelet",
            issue(
                cluster_ca,
                "system:node:standin",
                now_ns,
                organizations=("system:nodes",),
                hosts=_LOOPBACK,
                server=True,
            ),
        ),
        admin=_save(
            directory / "admin",
            issue(cluster_ca, "kubernetes-admin", now_ns, organizations=("system:masters",), client=True),
        ),
        front_proxy_client=proxy_client,
        front_proxy_name=name,
    )


def server_context(pair: PairFiles, client_ca_pem: bytes | None = None) -> ssl.SSLContext:
    """With `client_ca_pem` a client certificate is asked for, never demanded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair.cert, pair.key)
    if client_ca_pem is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_ca_pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def client_context(ca_pem: bytes | None, pair: PairFiles | None = None) -> ssl.SSLContext:
    """Without `ca_pem` the server is not verified: insecureSkipTLSVerify of an APIService."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_pem is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=ca_pem.decode())
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def _save(stem: Path, pair: Pair) -> PairFiles:
    key = stem.with_suffix(".key")
    key.touch(mode=0o600, exist_ok=True)
    key.write_bytes(pair.key_pem)
    return PairFiles(_write(stem.with_suffix(".crt"), pair.cert_pem), key)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path

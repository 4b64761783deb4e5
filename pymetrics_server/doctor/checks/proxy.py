"""Does kube-apiserver reach Services through a proxy? As Go reads HTTPS_PROXY and NO_PROXY. Plain functions.

Go: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

import ipaddress

import msgspec

from pymetrics_server.doctor.checks.ours import flag_of
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.objects import Container, Pod, listed

_RANGES = "--service-cluster-ip-range"


class Proxied(msgspec.Struct, frozen=True):
    """`leaves_out` is what NO_PROXY should name, the Services' range where it is known."""

    pod: str
    proxy: str
    no_proxy: str
    leaves_out: str


def proxied(evidence: Evidence, host: str) -> Proxied | None:
    """Where a kube-apiserver asks `host` through a proxy; None also where none runs as a pod."""
    for pod in listed(evidence.answer(Asked.APISERVER_PODS), Pod) or ():
        for container in pod.spec.containers:
            env = {each.name: each.value for each in container.env}
            proxy = env.get("HTTPS_PROXY") or env.get("https_proxy") or ""
            no_proxy = env.get("NO_PROXY") or env.get("no_proxy") or ""
            if proxy and host and not is_exempt(no_proxy, host):
                return Proxied(pod.metadata.name, _without_password(proxy), no_proxy, _range(container, host))
    return None


def is_exempt(no_proxy: str, host: str) -> bool:
    """An address is exempted by an address or a network alone: `.svc` names none, and Services are asked by address."""
    host = host.lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_exempts(entry.strip().lower(), host, address) for entry in no_proxy.split(","))


def _exempts(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            return _address(entry.rpartition(":")[0].strip("[]")) == address  # with a port
    name = entry.partition(":")[0].removeprefix("*")
    return bool(name.strip(".")) and (host == name or host.endswith(f".{name.lstrip('.')}"))


def _range(container: Container, host: str) -> str:
    for network in flag_of(container, _RANGES).split(","):
        if network and is_exempt(network, host):
            return network
    return host


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _without_password(proxy: str) -> str:
    scheme, _, rest = proxy.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]

"""Where a node is asked, and what of its status is not believed."""

import pytest

from pymetrics_server.errors import FailureClass, KubeletError
from pymetrics_server.kubelet.address import addresses_of, host_port, path_of, port_of
from pymetrics_server.meta.objects import Node, NodeAddress


def node(*addresses: tuple[str, str], port: int = 0, path: str = "") -> Node:
    return Node(
        name="n",
        addresses=tuple(NodeAddress(t, a) for t, a in addresses),
        kubelet_port=port,
        resource_metrics_path=path,
    )


def test_the_order_of_preferred_types_wins_over_the_order_of_addresses() -> None:
    asked = node(("Hostname", "n.local"), ("InternalIP", "10.0.0.4"), ("InternalIP", "10.0.0.5"))
    assert addresses_of(asked, ["InternalIP", "Hostname"])[0] == "10.0.0.4"
    assert addresses_of(asked, ["ExternalIP", "Hostname", "InternalIP"])[0] == "n.local"


@pytest.mark.parametrize(
    "useless", ["", "***HIDDEN***", "xx.x.x.x", "node-a", "fe80::1%eth0", "fe80::1%\r\nX-Evil: b"]
)
def test_an_internal_ip_that_is_no_ip_is_passed_over(useless: str) -> None:
    asked = node(("InternalIP", useless), ("InternalIP", "10.0.0.5"))
    assert addresses_of(asked, ["InternalIP"])[0] == "10.0.0.5"


@pytest.mark.parametrize("useless", ["", "***HIDDEN***", "a b", "evil.com/x", "evil@host", "-a", "a:80"])
def test_a_hostname_that_is_none_is_passed_over(useless: str) -> None:
    asked = node(("Hostname", useless), ("InternalIP", "10.0.0.5"))
    assert addresses_of(asked, ["Hostname", "InternalIP"])[0] == "10.0.0.5"


def test_what_follows_is_where_a_node_is_asked_that_cannot_be_reached_there() -> None:
    asked = node(
        ("InternalIP", "10.0.0.4"),
        ("InternalIP", "10.0.0.5"),
        ("Hostname", "n.local"),
        ("ExternalIP", "10.0.0.4"),
    )
    assert addresses_of(asked, ["Hostname", "InternalDNS", "InternalIP", "ExternalIP"]) == (
        "n.local",
        "10.0.0.4",
    )


def test_old_address_types_and_hostnames_that_are_ips_work() -> None:
    assert addresses_of(node(("LegacyHostIP", "172.20.1.1")), ["LegacyHostIP"])[0] == "172.20.1.1"
    assert addresses_of(node(("Hostname", "fd00::1")), ["Hostname"])[0] == "fd00::1"


def test_without_an_address_the_error_lists_the_types_as_the_original_does() -> None:
    with pytest.raises(KubeletError) as raised:
        addresses_of(node(("Hostname", "n")), ["InternalIP", "ExternalIP"])
    assert raised.value.failure is FailureClass.NO_ADDRESS
    assert raised.value.detail == "no address matched types [InternalIP ExternalIP]"


def test_the_status_port_counts_only_when_asked_for_and_present() -> None:
    assert port_of(node(port=10999), 10250, use_node_status_port=True) == 10999
    assert port_of(node(port=10999), 10250, use_node_status_port=False) == 10250
    assert port_of(node(), 10250, use_node_status_port=True) == 10250


def test_ipv6_stands_in_brackets() -> None:
    assert host_port("fd00::1", 10250) == "[fd00::1]:10250"
    assert host_port("10.0.0.1", 10250) == "10.0.0.1:10250"


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        ("", ""),
        ("/metrics/cadvisor", "/metrics/cadvisor"),
        ("metrics", "/metrics"),
        ("/m?x=1", "/m%3Fx=1"),
        ("/a b#c", "/a%20b%23c"),
        ("//evil.com/x", "//evil.com/x"),
        ("/50%", "/50%25"),
    ],
)
def test_the_annotation_is_a_path_into_which_no_query_can_be_injected(annotation: str, path: str) -> None:
    assert path_of(node(path=annotation)) == path

"""What a request line means, for routing and for the authorizer alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.api.request import Route, parse_target
from pymetrics_server.meta.identity import Attributes

GROUP = "metrics.k8s.io"


def of(method: str, target: str) -> Attributes:
    return parse_target(method, target).attributes


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", "/apis/metrics.k8s.io/v1/nodes", "list"),
        ("HEAD", "/apis/metrics.k8s.io/v1/nodes", "list"),
        ("GET", "/apis/metrics.k8s.io/v1/nodes?watch=", "watch"),
        ("GET", "/apis/metrics.k8s.io/v1/nodes?watch=0", "list"),
        ("GET", "/apis/metrics.k8s.io/v1/nodes/a?watch=1", "get"),
        ("POST", "/apis/metrics.k8s.io/v1/nodes", "create"),
        ("PUT", "/apis/metrics.k8s.io/v1/nodes/a", "update"),
        ("PATCH", "/apis/metrics.k8s.io/v1/nodes/a", "patch"),
        ("DELETE", "/apis/metrics.k8s.io/v1/nodes/a", "delete"),
        ("DELETE", "/apis/metrics.k8s.io/v1/nodes", "deletecollection"),
        ("GET", "/apis/metrics.k8s.io/v1", "get"),
        ("POST", "/metrics", "post"),
    ],
)
def test_verbs(method: str, path: str, verb: str) -> None:
    assert of(method, path).verb == verb


def test_attributes_of_resources() -> None:
    path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web-1"
    assert of("GET", path) == Attributes("get", path, GROUP, "v1beta1", "pods", "", "default", "web-1")
    path = "/apis/metrics.k8s.io/v1beta1/nodes/a/status"
    assert of("GET", path) == Attributes("get", path, GROUP, "v1beta1", "nodes", "status", "", "a")
    path = "/apis/metrics.k8s.io/v1beta1"
    assert of("GET", path) == Attributes("get", path)


def test_a_list_of_one_name_is_authorized_for_that_name() -> None:
    path = "/apis/metrics.k8s.io/v1/pods?fieldSelector="
    assert of("GET", path + "metadata.name%3Dweb-1").name == "web-1"
    assert of("GET", path + "metadata.name!=web-1").name == ""
    assert of("GET", path + "a/b").name == ""


def test_an_encoded_slash_is_a_slash_to_routing_and_to_the_authorizer() -> None:
    for path, route, decoded in [
        ("/healthz%2fping", Route.HEALTH, "/healthz/ping"),
        ("/apis%2Fmetrics.k8s.io", Route.GROUP, "/apis/metrics.k8s.io"),
        ("/%2fmetrics", Route.NO_PATH, "//metrics"),
    ]:
        found = parse_target("GET", path)
        assert (found.route, found.attributes.path) == (route, decoded)
    found = parse_target("GET", "/apis/metrics.k8s.io/v1/nodes/a%2Fb")
    assert (found.route, found.attributes.name, found.attributes.subresource) == (Route.NO_RESOURCE, "a", "b")


@pytest.mark.parametrize("path", ["/nodes/%", "/nodes/%z1", "/%2"])
def test_what_is_not_percent_encoding_is_no_request(path: str) -> None:
    assert parse_target("GET", path).route is Route.MALFORMED
    assert parse_target("GET", f"/nodes?labelSelector={path}").route is not Route.MALFORMED


def test_slashes_at_the_end_are_forgiven_below_the_group() -> None:
    for path, route in [
        ("/apis/metrics.k8s.io//", Route.GROUP),
        ("/apis/metrics.k8s.io/v1//", Route.RESOURCE_LIST),
        ("/apis/metrics.k8s.io/v1/nodes/a//", Route.NODE),
        ("/apis/metrics.k8s.io/v1/namespaces/x/pods//", Route.PODS),
        ("/version//", Route.VERSION),
        ("/apis//", Route.NO_PATH),
        ("/apis/metrics.k8s.io/v1//nodes", Route.NO_RESOURCE),
    ]:
        assert parse_target("GET", path).route is route, path


def test_dots_are_names_and_lead_nowhere() -> None:
    assert parse_target("GET", "/healthz/../metrics").route is Route.HEALTH
    assert parse_target("GET", "/x/../metrics").route is Route.NO_PATH
    assert parse_target("GET", "//metrics").route is Route.NO_PATH


@given(st.text(alphabet="/%2fF.?&=azps", max_size=40), st.sampled_from(["", "/", "/apis/metrics.k8s.io/v1/"]))
def test_every_request_line_has_a_route_that_agrees_with_what_was_authorized(tail: str, prefix: str) -> None:
    target = parse_target("GET", prefix + tail)
    served = {Route.NODES: "nodes", Route.NODE: "nodes", Route.PODS: "pods", Route.POD: "pods"}
    if target.route in served:
        attributes = target.attributes
        assert (attributes.group, attributes.version) == (GROUP, target.version)
        assert (attributes.resource, attributes.subresource) == (served[target.route], "")
        assert attributes.namespace == target.namespace
        assert target.name in ("", attributes.name)


def test_bytes_that_are_no_utf8_can_still_be_written_as_json() -> None:
    attributes = of("GET", "/apis/metrics.k8s.io/v1beta1/nodes/\udcff")
    assert attributes.name.encode()

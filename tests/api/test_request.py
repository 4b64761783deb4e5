"""What a request line means, for routing and for the authorizer alike."""

import pytest
from hypothesis import event, given
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


SEGMENTS = st.sampled_from(
    ["apis", GROUP, "v1", "v1beta1", "namespaces", "nodes", "pods", "status", "watch", "", "..", "a", "a%2fb",
     "%6eodes", "nodes%2Fa", "%2e", "finalize"]
)  # fmt: skip
STARTS = st.sampled_from(["/", f"/apis/{GROUP}/v1/", f"/apis/{GROUP}/v1beta1/namespaces/", "//apis/", ""])
SERVED = {Route.NODES: "nodes", Route.NODE: "nodes", Route.PODS: "pods", Route.POD: "pods"}


@given(STARTS, st.lists(SEGMENTS, max_size=6), st.sampled_from(["/", "//", "%2f"]))
def test_what_is_served_is_what_was_authorized(start: str, segments: list[str], slash: str) -> None:
    target = parse_target("GET", start + slash.join(segments))
    event(target.route.name)
    if target.route in SERVED:
        attributes = target.attributes
        assert (attributes.group, attributes.version) == (GROUP, target.version)
        assert (attributes.resource, attributes.subresource) == (SERVED[target.route], "")
        assert attributes.namespace == target.namespace
        assert target.name == attributes.name


def test_the_segments_above_spell_every_route_of_resources() -> None:
    """Else the test above would hold for nothing."""
    for route, path in {Route.NODES: "nodes", Route.NODE: "nodes/a", Route.PODS: "pods"}.items():
        assert parse_target("GET", f"/apis/{GROUP}/v1/{path}").route is route
    assert parse_target("GET", f"/apis/{GROUP}/v1beta1/namespaces/a/pods/%2e").route is Route.POD


def test_bytes_that_are_no_utf8_can_still_be_written_as_json() -> None:
    attributes = of("GET", "/apis/metrics.k8s.io/v1beta1/nodes/\udcff")
    assert attributes.name.encode()

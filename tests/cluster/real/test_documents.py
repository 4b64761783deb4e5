"""kube-apiserver takes the server's discovery and OpenAPI into its own.

It asks for OpenAPI about once a minute, and sooner where it got none.
"""

import re
from collections.abc import Iterable

import pytest

from tests.cluster.real.client import Object
from tests.cluster.real.conftest import Cluster, freshness
from tests.cluster.real.deployed import GROUP, VERSIONS
from tests.programs import until

_TIMEOUT_S = 100
_KINDS = {"NodeMetrics", "NodeMetricsList", "PodMetrics", "PodMetricsList"}

#: As kubectl does with the documents of groups that turn out not to matter.
_WHO_ASKED_LEFT = ("Timeout or abort while handling", "Post-timeout activity")

pytestmark = pytest.mark.timeout(240)


def kinds(schemas: Iterable[Object], version: str) -> set[str]:
    return {
        of["kind"]
        for schema in schemas
        for of in schema.get("x-kubernetes-group-version-kind", ())
        if (of["group"], of["version"]) == (GROUP, version)
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_openapi_v3_of_the_cluster_has_our_kinds(own: Cluster, version: str) -> None:
    api = own.control_plane.admin
    name = f"apis/{GROUP}/{version}"
    entry = until(f"v3 has {name}", lambda: api.get("/openapi/v3")["paths"].get(name), _TIMEOUT_S)
    document = api.get(entry["serverRelativeURL"])
    assert kinds(document["components"]["schemas"].values(), version) >= _KINDS
    assert f"/{name}/nodes" in document["paths"]


def test_openapi_v2_of_the_cluster_has_our_kinds(own: Cluster) -> None:
    api = own.control_plane.admin

    def merged() -> Object | None:
        document = api.get("/openapi/v2")
        there = all(kinds(document["definitions"].values(), version) >= _KINDS for version in VERSIONS)
        return document if there else None

    document = until("v2 has both versions", merged, _TIMEOUT_S)
    for version in VERSIONS:
        assert f"/apis/{GROUP}/{version}/nodes" in document["paths"]


def test_discovery_of_the_cluster_is_current(own: Cluster) -> None:
    assert freshness(own) == {"v1": "Current", "v1beta1": "Current"}


def test_kube_apiserver_logs_no_error_about_us(own: Cluster) -> None:
    """From when the server was there. klog's severity does not stand first in every build."""
    assert any(GROUP in line for line in own.control_plane.apiserver.log_lines)
    lines = own.control_plane.log_since_mark
    ours = [line for line in lines if re.search(r"\b[EF]\d{4} \d\d:", line) and GROUP in line]
    assert [line for line in ours if not any(why in line for why in _WHO_ASKED_LEFT)] == []

"""Request targets in disguise: what kube-apiserver is asked about each is what would be served."""

from collections.abc import Mapping

import pytest

from tests.security.door import Door
from tests.security.people import RIGHT

V1 = "/apis/metrics.k8s.io/v1"
_LIST_NODES = {"group": "metrics.k8s.io", "version": "v1", "resource": "nodes", "verb": "list"}
_PODS = {"group": "metrics.k8s.io", "version": "v1", "resource": "pods"}


def _path(path: str) -> dict[str, str]:
    return {"path": path, "verb": "get"}


#: What is sent -> the attributes of the SubjectAccessReview.
ASKED: dict[str, dict[str, str]] = {
    f"{V1}/nodes": _LIST_NODES,
    f"{V1}/nodes/": _LIST_NODES,
    f"/{V1}/nodes": _LIST_NODES,
    f"https://elsewhere.example{V1}/nodes": _LIST_NODES,
    f"HTTP://x:1{V1}/nodes": _LIST_NODES,
    f"https://elsewhere.example/healthz@x{V1}/nodes": _path(f"/healthz@x{V1}/nodes"),
    "https://healthz/metrics": _path("/metrics"),
    "/apis%2fmetrics.k8s.io%2Fv1%2fnodes": _LIST_NODES,
    "/%61pis/metrics.k8s.io/v1/node%73": _LIST_NODES,
    f"{V1}/namespaces/default%2fpods": {**_PODS, "verb": "list", "namespace": "default"},
    f"{V1}/namespaces/a/pods/..%2f..%2fb%2fpods": {
        **_PODS, "verb": "get", "namespace": "a", "name": "..", "subresource": "..",
    },
    f"{V1}/nodes?fieldSelector=metadata.name%3Da": {**_LIST_NODES, "name": "a"},
    f"{V1}/nodes?watch=1": {**_LIST_NODES, "verb": "watch"},
    f"{V1}/watch/nodes": {**_LIST_NODES, "verb": "watch"},
    "/healthz/../metrics": _path("/healthz/../metrics"),
    "/healthz%2f..%2fmetrics": _path("/healthz/../metrics"),
    "/healthz/%2e%2e/metrics": _path("/healthz/../metrics"),
    "/./metrics": _path("/./metrics"),
    "/healthz/": _path("/healthz/"),
    "/healthz%2fping": _path("/healthz/ping"),
    "/healthz;/metrics": _path("/healthz;/metrics"),
    "/healthz%00": _path("/healthz\0"),
    "/healthz%3f": _path("/healthz?"),
    "/healthz%23": _path("/healthz#"),
    "/healthz%20": _path("/healthz "),
    "/HEALTHZ": _path("/HEALTHZ"),
    "/%2568ealthz": _path("/%68ealthz"),
    "/healthz%ff": _path("/healthz\ufffd"),
    "/\\healthz": _path("/\\healthz"),
}  # fmt: skip


@pytest.mark.parametrize("target", ASKED)
def test_what_is_asked_of_a_target_is_what_it_means(door: Door, target: str) -> None:
    user = f"asker-{list(ASKED).index(target)}"
    door.forget()
    answer = door.ask(target, f"X-Remote-User: {user}\r\n".encode(), chain=(RIGHT,))
    assert answer.code == 403
    (spec,) = (spec for spec in door.access_reviews() if spec["user"] == user)
    attributes: Mapping[str, str] = spec.get("resourceAttributes") or spec["nonResourceAttributes"]
    assert attributes == ASKED[target]


@pytest.mark.parametrize(
    "target", ["/healthz", "/livez", "/readyz", "/healthz?/metrics", "https://x/livez", "/health%7a"]
)
def test_only_the_probes_are_open_however_they_are_written(door: Door, target: str) -> None:
    door.forget()
    answer = door.ask(target)
    assert answer.code in (200, 500)  # there is no node here, so that it is not ready
    assert b"metrics_server" not in answer.body
    assert door.access_reviews() == []

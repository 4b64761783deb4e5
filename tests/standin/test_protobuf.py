import pytest

from pymetrics_server.standin.protobuf import self_subject_access_review

# As kubectl 1.32 sends it for `auth can-i list nodes.metrics.k8s.io/x -n foo` and `auth can-i get /logs/`.
RESOURCE = (
    b"k8s\x00\n2\n\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview\x12J\n\x10\n\x00\x12\x00"
    b'\x1a\x00"\x00*\x002\x008\x00B\x00\x12,\n*\n\x03foo\x12\x04list\x1a\x00"\x00*\x14nodes.metrics.k8s.io2\x00'
    b':\x01x\x1a\x08\x08\x00\x12\x00\x1a\x00 \x00\x1a\x00"\x00'
)
PATH = (
    b"k8s\x00\n2\n\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview\x12-\n\x10\n\x00\x12\x00"
    b'\x1a\x00"\x00*\x002\x008\x00B\x00\x12\x0f\x12\r\n\x06/logs/\x12\x03get\x1a\x08\x08\x00\x12\x00\x1a\x00 \x00'
    b'\x1a\x00"\x00'
)


def test_a_question_about_a_resource_is_read() -> None:
    assert self_subject_access_review(RESOURCE)["spec"] == {
        "resourceAttributes": {
            "namespace": "foo",
            "verb": "list",
            "resource": "nodes.metrics.k8s.io",
            "name": "x",
        }
    }


def test_a_question_about_a_path_is_read() -> None:
    assert self_subject_access_review(PATH)["spec"] == {
        "nonResourceAttributes": {"path": "/logs/", "verb": "get"}
    }


@pytest.mark.parametrize(
    "body", [b"", b"{}", RESOURCE[:40], RESOURCE[:-1], b"k8s\x00\x0d1234", b"k8s\x00\xff"]
)
def test_what_is_no_review_is_refused_and_never_half_read(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|does not begin|wire type"):
        self_subject_access_review(body)

"""What clients get below /openapi: kubectl, client-go's caches, kube-apiserver's aggregator."""

import gzip
import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.api.negotiation import JSON
from pymetrics_server.api.openapi.accept import PROTOBUF_2, PROTOBUF_3, chosen, takes_gzip
from pymetrics_server.api.openapi.service import OpenAPI
from pymetrics_server.api.reply import Reply
from pymetrics_server.version import GIT_VERSION

STARTED_S = datetime(2026, 11, 23, 13, 22, 20, tzinfo=UTC).timestamp()
NOW_S = datetime(2026, 11, 23, 13, 22, 21, tzinfo=UTC).timestamp()
STARTED = "Mon, 23 Nov 2026 13:22:20 GMT"
OLD_PROTOBUF_2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
OLD_PROTOBUF_3 = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
V1BETA1 = "apis/metrics.k8s.io/v1beta1"
PATHS = ["apis", "apis/metrics.k8s.io", "apis/metrics.k8s.io/v1", V1BETA1, "version"]


@pytest.fixture(scope="module")
def openapi() -> OpenAPI:
    return OpenAPI(STARTED_S)


def body(reply: Reply) -> bytes:
    return b"".join(reply.parts)


def sha512(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest().upper()


def v3(openapi: OpenAPI, path: str, query_hash: str = "", accept: str = "", if_none_match: str = "") -> Reply:
    return openapi.v3_document(path, query_hash, accept, if_none_match, NOW_S)


def test_version_2_is_json_unless_something_else_is_asked_for(openapi: OpenAPI) -> None:
    reply = openapi.v2("", "", "")
    document = json.loads(body(reply))
    assert (reply.code, reply.content_type) == (200, JSON)
    assert document["swagger"] == "2.0"
    assert document["info"] == {"title": "Kubernetes metrics-server", "version": GIT_VERSION.split("-")[0]}
    assert reply.headers == {
        "Accept-Ranges": "bytes",
        "Etag": f'"{sha512(body(reply))}"',
        "Last-Modified": STARTED,
        "Vary": "Accept-Encoding, Accept",
    }


@pytest.mark.parametrize("accept", [OLD_PROTOBUF_2, PROTOBUF_2])
def test_version_2_in_protobuf_has_the_etag_of_the_json_and_one_spelling_of_its_type(
    openapi: OpenAPI, accept: str
) -> None:
    reply = openapi.v2(accept, "", "")
    assert (reply.code, reply.content_type) == (200, PROTOBUF_2)
    assert reply.headers["Etag"] == openapi.v2("", "", "").headers["Etag"]
    assert body(reply).startswith(b"\x0a\x032.0")


@pytest.mark.parametrize("accept", ["text/html", "application/yaml", "application", "text/*", OLD_PROTOBUF_3])
def test_version_2_in_another_form_is_406_without_a_body(openapi: OpenAPI, accept: str) -> None:
    reply = openapi.v2(accept, "", "gzip")
    assert (reply.code, reply.content_type, body(reply)) == (406, "", b"")
    assert reply.headers == {"Vary": "Accept-Encoding, Accept"}


@pytest.mark.parametrize("form", ["{}", "W/{}", '"old", {}', "*"])
@pytest.mark.parametrize("accept", [JSON, OLD_PROTOBUF_2])
def test_version_2_that_the_client_has_is_304(openapi: OpenAPI, form: str, accept: str) -> None:
    etag = openapi.v2("", "", "").headers["Etag"]
    reply = openapi.v2(accept, form.format(etag), "gzip")
    assert (reply.code, reply.content_type, body(reply)) == (304, "", b"")
    assert reply.headers == {"Etag": etag, "Vary": "Accept-Encoding, Accept"}


@pytest.mark.parametrize("if_none_match", ['"old"', "{}", '"", x'])
def test_version_2_is_sent_to_who_has_another_one(openapi: OpenAPI, if_none_match: str) -> None:
    unquoted = openapi.v2("", "", "").headers["Etag"].strip('"')
    assert openapi.v2("", if_none_match.format(unquoted), "").code == 200


@pytest.mark.parametrize("accept", [JSON, PROTOBUF_2])
def test_version_2_is_compressed_for_who_takes_gzip(openapi: OpenAPI, accept: str) -> None:
    plain, compressed = openapi.v2(accept, "", ""), openapi.v2(accept, "", "gzip, deflate")
    assert gzip.decompress(body(compressed)) == body(plain)
    assert compressed.headers == {**plain.headers, "Content-Encoding": "gzip"}
    assert compressed.content_type == plain.content_type
    assert compressed.size_bytes < plain.size_bytes / 4


@pytest.mark.parametrize(
    ("accept_encoding", "taken"),
    [
        ("", False),
        ("identity", False),
        ("*", False),
        ("br, GZIP ;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, br", False),
        ("gzip;q=x", False),
        ("gzip;level=9", True),
    ],
)
def test_gzip_is_taken_where_it_is_named_with_a_quality_above_zero(accept_encoding: str, taken: bool) -> None:
    assert takes_gzip(accept_encoding) is taken


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("*", JSON),
        ("application/*", JSON),
        ("application/json;charset=utf-8", JSON),
        (f"{OLD_PROTOBUF_3}, application/json", PROTOBUF_3),
        (f"application/json;q=0.5,{PROTOBUF_3}", PROTOBUF_3),
        (f"{PROTOBUF_3};q=0.5,application/json;q=0.8", JSON),
        (f"*/*, {PROTOBUF_3};q=0.1", PROTOBUF_3),
        (f"application/*,{PROTOBUF_3}", PROTOBUF_3),
        ("text/html, */*;q=0.1", JSON),
        ("application/json;q=0", JSON),
        ("text/html", None),
        ("application", None),
        ("application/json/x", None),
        (PROTOBUF_2, None),
        (", ,", None),
    ],
)
def test_the_form_is_negotiated_by_quality_then_by_how_closely_it_is_named(
    accept: str, expected: str | None
) -> None:
    assert chosen(accept, PROTOBUF_3) == expected


@given(st.text(alphabet="*/,;=q.01 agjnopst\x00é"))
def test_no_header_breaks_the_negotiation(header: str) -> None:
    assert chosen(header, PROTOBUF_2) in (None, JSON, PROTOBUF_2)
    assert takes_gzip(header) in (True, False)


def test_the_index_leads_to_every_document_by_its_hash(openapi: OpenAPI) -> None:
    reply = openapi.v3_index()
    index = json.loads(body(reply))["paths"]
    assert list(index) == PATHS
    for path, entry in index.items():
        document = v3(openapi, path)
        assert entry == {"serverRelativeURL": f"/openapi/v3/{path}?hash={sha512(body(document))}"}
    etag = f'"{sha512(body(reply))}"'
    assert (reply.code, reply.content_type) == (200, JSON)
    assert reply.headers == {"Accept-Ranges": "bytes", "Etag": etag, "Last-Modified": STARTED}
    assert openapi.v3_index(etag).code == 304


@pytest.mark.parametrize("path", PATHS)
def test_a_document_without_a_hash_in_its_url_is_an_ordinary_answer(openapi: OpenAPI, path: str) -> None:
    reply = v3(openapi, path)
    assert (reply.code, reply.content_type) == (200, JSON)
    assert json.loads(body(reply))["openapi"] == "3.0.0"
    assert reply.headers == {
        "Accept-Ranges": "bytes",
        "Etag": f'"{sha512(body(reply))}"',
        "Last-Modified": STARTED,
        "Vary": "Accept",
    }


@pytest.mark.parametrize("accept", [OLD_PROTOBUF_3, PROTOBUF_3])
def test_a_document_in_protobuf_has_the_etag_of_the_json(openapi: OpenAPI, accept: str) -> None:
    reply = v3(openapi, V1BETA1, accept=accept)
    assert (reply.code, reply.content_type) == (200, PROTOBUF_3)
    assert reply.headers["Etag"] == v3(openapi, V1BETA1).headers["Etag"]
    assert body(reply).startswith(b"\x0a\x053.0.0")


def test_a_document_asked_for_by_its_hash_may_be_kept_for_a_year(openapi: OpenAPI) -> None:
    etag = v3(openapi, V1BETA1).headers["Etag"]
    reply = v3(openapi, V1BETA1, etag.strip('"'))
    kept = {"Cache-Control": "public, immutable", "Expires": "Tue, 23 Nov 2027 13:22:21 UTC"}
    assert reply.code == 200
    assert reply.headers == {**v3(openapi, V1BETA1).headers, **kept}
    unchanged = v3(openapi, V1BETA1, etag.strip('"'), if_none_match=etag)
    assert (unchanged.code, body(unchanged)) == (304, b"")
    assert unchanged.headers == {"Etag": etag, "Vary": "Accept", **kept}


def test_a_year_from_a_leap_day_is_the_first_of_march(openapi: OpenAPI) -> None:
    query_hash = v3(openapi, "version").headers["Etag"].strip('"')
    leap_day_s = datetime(2028, 2, 29, 1, 2, 3, tzinfo=UTC).timestamp()
    reply = openapi.v3_document("version", query_hash, "", "", leap_day_s)
    assert reply.headers["Expires"] == "Thu, 01 Mar 2029 01:02:03 UTC"


@pytest.mark.parametrize("path", PATHS)
def test_a_hash_of_another_time_leads_to_the_document_of_now(openapi: OpenAPI, path: str) -> None:
    etag = v3(openapi, path).headers["Etag"]
    reply = v3(openapi, path, "AA", if_none_match=etag)
    assert (reply.code, reply.content_type, body(reply)) == (301, JSON, b"")
    assert reply.headers == {
        "Etag": etag,
        "Location": f"/openapi/v3/{path}?hash=" + etag.strip('"'),
        "Vary": "Accept",
    }


def test_a_document_that_the_client_has_is_304(openapi: OpenAPI) -> None:
    etag = v3(openapi, V1BETA1).headers["Etag"]
    reply = v3(openapi, V1BETA1, if_none_match=etag)
    assert (reply.code, reply.content_type, body(reply)) == (304, "", b"")
    assert reply.headers == {"Etag": etag, "Vary": "Accept"}


@pytest.mark.parametrize("path", ["", "foo", "apis/", "apis/foo/v1", "apis/metrics.k8s.io/v2", f"{V1BETA1}/"])
@pytest.mark.parametrize("query_hash", ["", "AA"])
def test_a_document_that_there_is_not_is_an_empty_200(openapi: OpenAPI, path: str, query_hash: str) -> None:
    reply = v3(openapi, path, query_hash)
    assert (reply.code, reply.content_type, body(reply), reply.headers) == (200, "", b"", {})


@pytest.mark.parametrize("path", ["foo", "version"])
def test_a_document_in_another_form_is_406_without_a_body(openapi: OpenAPI, path: str) -> None:
    reply = v3(openapi, path, accept="text/html")
    assert (reply.code, reply.content_type, body(reply)) == (406, "", b"")
    assert reply.headers == {"Vary": "Accept"}
    nothing_named = v3(openapi, path, accept="text")
    assert (nothing_named.code, body(nothing_named), nothing_named.headers) == (200, b"", {})


def test_replicas_started_at_different_times_have_the_same_documents_and_etags(openapi: OpenAPI) -> None:
    other = OpenAPI(STARTED_S + 3600)
    for accept, accept_encoding in [("", ""), ("", "gzip"), (PROTOBUF_2, ""), (PROTOBUF_2, "gzip")]:
        ours, theirs = openapi.v2(accept, "", accept_encoding), other.v2(accept, "", accept_encoding)
        assert body(ours) == body(theirs)
        assert ours.headers["Etag"] == theirs.headers["Etag"]
        assert ours.headers["Last-Modified"] != theirs.headers["Last-Modified"]
    assert body(openapi.v3_index()) == body(other.v3_index())
    for path in PATHS:
        assert body(v3(openapi, path, accept=PROTOBUF_3)) == body(v3(other, path, accept=PROTOBUF_3))


def test_documents_are_made_once(openapi: OpenAPI) -> None:
    assert openapi.v2("", "", "gzip").parts[0] is openapi.v2("", "", "gzip").parts[0]
    assert (
        v3(openapi, V1BETA1, accept=PROTOBUF_3).parts[0] is v3(openapi, V1BETA1, accept=PROTOBUF_3).parts[0]
    )

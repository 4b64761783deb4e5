"""Which pages of other sites may read the answers, and what browsers are told of HTTPS."""

import pytest

from pymetrics_server.api.cors import compile_origins, cors_headers, hsts_headers, preflight_reply

PATTERNS = compile_origins([r"^https://example\.com(:|$)", r"//[a-z]+\.corp(:\d+)?$"])


@pytest.mark.parametrize(
    "origin", ["https://example.com", "https://example.com:8443", "http://dash.corp", "https://a.corp:80"]
)
def test_a_page_whose_origin_matches_may_read_the_answer(origin: str) -> None:
    assert cors_headers(origin, PATTERNS) == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
        "Access-Control-Allow-Headers": (
            "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, "
            "If-Modified-Since"
        ),
        "Access-Control-Expose-Headers": "Date",
        "Access-Control-Allow-Credentials": "true",
    }


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://example.com",
        "https://example.com.evil.org",
        "https://evil.org/https://example.com",
        "https://a.corp:\u0663",  # a digit, but none of Go's
        "https://example.com:" + "0" * 300,
    ],
)
def test_any_other_page_gets_no_such_header(origin: str) -> None:
    assert cors_headers(origin, PATTERNS) is None


def test_nobody_is_let_in_where_no_origin_is_configured() -> None:
    assert cors_headers("https://example.com", compile_origins([])) is None


def test_a_preflight_is_answered_without_a_body() -> None:
    assert (preflight_reply().code, preflight_reply().size_bytes) == (204, 0)


def test_hsts_directives_are_one_header_and_none_is_no_header() -> None:
    assert hsts_headers(("max-age=31536000", "includeSubDomains", "preload")) == {
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload"
    }
    assert hsts_headers(()) == {}

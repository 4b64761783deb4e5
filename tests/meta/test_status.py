import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta import status
from pymetrics_server.meta.identity import ANONYMOUS_USER, Attributes, UserInfo
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.meta.status import Cause, StatusError, go_json, go_json_pretty

BOB = UserInfo("bob")
HEAD = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":'


@pytest.mark.parametrize(
    ("error", "tail"),
    [
        (
            status.not_found_object("node", "zzz"),
            r'"node \"zzz\" not found","reason":"NotFound","details":{"name":"zzz","kind":"node"},"code":404}',
        ),
        (
            status.not_found_metrics("podmetrics", "default/nometrics"),
            r'"podmetrics.metrics.k8s.io \"default/nometrics\" not found","reason":"NotFound","details":'
            r'{"name":"default/nometrics","group":"metrics.k8s.io","kind":"podmetrics"},"code":404}',
        ),
        (
            status.not_found_generic(),
            '"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}',
        ),
        (
            status.bad_request("unable to parse requirement: found '=', expected: identifier"),
            '"unable to parse requirement: found \'=\', expected: identifier","reason":"BadRequest","code":400}',
        ),
        (
            status.method_not_allowed(),
            '"the server does not allow this method on the requested resource","reason":"MethodNotAllowed",'
            '"details":{},"code":405}',
        ),
        (
            status.watch_not_supported("pods"),
            r'"watch is not supported on resources of kind \"pods.metrics.k8s.io\"","reason":"MethodNotAllowed",'
            r'"details":{"group":"metrics.k8s.io","kind":"pods"},"code":405}',
        ),
        (status.unauthorized(), '"Unauthorized","reason":"Unauthorized","code":401}'),
        (
            status.invalid_list_options(
                [
                    Cause(
                        "FieldValueForbidden",
                        "Forbidden: sendInitialEvents is forbidden for list",
                        "sendInitialEvents",
                    )
                ]
            ),
            r'"ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is '
            r'forbidden for list","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"ListOptions",'
            r'"causes":[{"reason":"FieldValueForbidden","message":"Forbidden: sendInitialEvents is forbidden for '
            r'list","field":"sendInitialEvents"}]},"code":422}',
        ),
        (
            status.forbidden(
                Attributes(
                    "get", "/", group="metrics.k8s.io", resource="pods", namespace="default", name="web-1"
                ),
                ANONYMOUS_USER,
            ),
            r'"pods.metrics.k8s.io \"web-1\" is forbidden: User \"system:anonymous\" cannot get resource \"pods\" '
            r'in API group \"metrics.k8s.io\" in the namespace \"default\"","reason":"Forbidden","details":'
            r'{"name":"web-1","group":"metrics.k8s.io","kind":"pods"},"code":403}',
        ),
        (
            status.forbidden(
                Attributes("list", "/", group="metrics.k8s.io", resource="nodes"),
                UserInfo("denied"),
                "explicit",
            ),
            r'"nodes.metrics.k8s.io is forbidden: User \"denied\" cannot list resource \"nodes\" in API group '
            r'\"metrics.k8s.io\" at the cluster scope: explicit","reason":"Forbidden","details":'
            r'{"group":"metrics.k8s.io","kind":"nodes"},"code":403}',
        ),
        (
            status.forbidden(Attributes("get", "/metrics"), BOB),
            r'"forbidden: User \"bob\" cannot get path \"/metrics\"","reason":"Forbidden","details":{},"code":403}',
        ),
        (
            status.not_acceptable(["application/json", "application/yaml"]),
            '"only the following media types are accepted: application/json, application/yaml",'
            '"reason":"NotAcceptable","code":406}',
        ),
    ],
)
def test_a_refusal_is_written_to_the_byte_as_metrics_server_writes_it(error: StatusError, tail: str) -> None:
    assert error.to_json().decode() == f"{HEAD}{tail}\n"


def test_a_timeout_carries_neither_kind_nor_version() -> None:
    assert status.request_timeout().to_json() == (
        b'{"metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted '
        b'timeout","reason":"Timeout","details":{},"code":504}\n'
    )


def test_pretty_is_two_spaces_and_no_newline_at_the_end() -> None:
    assert status.go_json_pretty(status.not_acceptable_route(["application/json"]).to_builtin()).decode() == (
        "{\n"
        '  "kind": "Status",\n'
        '  "apiVersion": "v1",\n'
        '  "metadata": {},\n'
        '  "status": "Failure",\n'
        '  "message": "406: Not Acceptable\\n\\nAvailable representations: application/json",\n'
        '  "reason": "NotAcceptable",\n'
        '  "details": {},\n'
        '  "code": 406\n'
        "}"
    )


def test_a_user_s_name_never_reads_as_html() -> None:
    refused = status.forbidden(Attributes("get", "/<b>"), UserInfo("<script>"))
    assert r"User \"\u0026lt;script\u0026gt;\" cannot get path \"/\u0026lt;b\u0026gt;\"" in (
        refused.to_json().decode()
    )


def test_a_name_that_is_not_utf_8_is_still_answered() -> None:
    name = b"a\xff".decode("utf-8", "surrogateescape")
    assert json.loads(status.not_found_object("node", name).to_json())["code"] == 404


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_escaping_changes_no_value(value: object) -> None:
    for encoded in (go_json(value), go_json_pretty(value)):
        assert json.loads(encoded) == value
        assert not set("<>&\u2028\u2029") & set(encoded.decode())


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("web-1", '"web-1"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("a\nb\x01", r'"a\nb\x01"'),
        ("\u00e9\u200b", '"\u00e9\\u200b"'),
        (b"\xff".decode("utf-8", "surrogateescape"), r'"\xff"'),
    ],
)
def test_names_are_quoted_as_go_quotes_them(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted

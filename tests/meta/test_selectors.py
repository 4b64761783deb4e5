import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.selectors import (
    Requirement,
    SelectorError,
    check_known,
    parse_field_selector,
    parse_label_selector,
)

WEB = {"app": "web", "tier": "fe", "rank": "3"}
NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("   ", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier = fe", True),
        ("app=api", False),
        ("app=", False),
        ("absent=", False),
        ("app!=api", True),
        ("app!=web", False),
        ("absent!=x", True),
        ("app in (web,api)", True),
        ("app in (api)", False),
        ("absent in (x)", False),
        ("app notin (api)", True),
        ("app notin (web,api)", False),
        ("absent notin (x)", True),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("! app", False),
        ("rank>2", True),
        ("rank>3", False),
        ("rank<4", True),
        ("app>1", False),
        ("absent>1", False),
        ("app=web,tier=be", False),
        ("in!=x,notin", False),
        ("app in (in, notin, web)", True),
        ("app in ()", False),
    ],
)
def test_a_label_selector_matches_as_kubernetes_matches(selector: str, matches: bool) -> None:
    assert parse_label_selector(selector).matches(WEB) is matches


def test_requirements_come_sorted_by_key_with_sorted_unique_values() -> None:
    selector = parse_label_selector("b in (y,x,,y),a,!c")
    assert selector.requirements == (
        Requirement("a", "exists"),
        Requirement("b", "in", ("", "x", "y")),
        Requirement("c", "!"),
    )
    assert not selector.empty
    assert parse_label_selector("").empty


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (x,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a_=x", f'unable to parse requirement: <nil>: Invalid value: "a_": {NAME_RULE}'),
        (
            "/",
            'unable to parse requirement: <nil>: Invalid value: "/": prefix part must be non-empty; '
            f"name part must be non-empty; {NAME_RULE}",
        ),
        ("a=b/c", f'unable to parse requirement: values[0][a]: Invalid value: "b/c": {VALUE_RULE}'),
        (
            "a in (-x,-y)",
            f'unable to parse requirement: [values[0][a]: Invalid value: "-x": {VALUE_RULE}, '
            f'values[1][a]: Invalid value: "-y": {VALUE_RULE}]',
        ),
        (
            "a=" + "x" * 64,
            f'unable to parse requirement: values[0][a]: Invalid value: "{"x" * 64}": must be no more than 63 bytes',
        ),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ],
)
def test_a_bad_label_selector_is_refused_in_kubernetes_words(selector: str, words: str) -> None:
    with pytest.raises(SelectorError) as refused:
        parse_label_selector(selector)
    assert str(refused.value) == words


@given(st.text(alphabet='ab=!(),<> \tinotx/.-\u00e9"\\', max_size=20))
def test_no_text_makes_either_grammar_fail_otherwise_than_by_selector_error(text: str) -> None:
    for parse in (parse_label_selector, parse_field_selector):
        try:
            parse(text)
        except SelectorError as err:
            assert str(err)  # noqa: PT017  both outcomes are right, this one must speak


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        (",,", True),
        ("metadata.name=web-1", True),
        ("metadata.name==web-1", True),
        ("metadata.name!=web-1", False),
        ("metadata.name=web-1,metadata.namespace!=other", True),
        ("metadata.name=web-1,metadata.namespace=other", False),
        ("metadata.absent=", True),
        ("metadata.absent=x", False),
    ],
)
def test_a_field_selector_matches_as_kubernetes_matches(selector: str, matches: bool) -> None:
    fields = {"metadata.name": "web-1", "metadata.namespace": "default"}
    assert parse_field_selector(selector).matches(fields) is matches


def test_a_backslash_escapes_comma_equals_and_itself_in_a_field_s_value() -> None:
    assert parse_field_selector(r"metadata.name=a\,b\=c\\").exact("metadata.name") == r"a,b=c" + "\\"


def test_only_an_equality_pins_a_field() -> None:
    selector = parse_field_selector("metadata.name!=a,metadata.namespace=b")
    assert selector.exact("metadata.name") is None
    assert selector.exact("metadata.namespace") == "b"


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("xx", "invalid selector: 'xx'; can't understand 'xx'"),
        ("a=b,yy", "invalid selector: 'a=b,yy'; can't understand 'yy'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
        ("a=\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_a_bad_field_selector_is_refused_in_kubernetes_words(selector: str, words: str) -> None:
    with pytest.raises(SelectorError) as refused:
        parse_field_selector(selector)
    assert str(refused.value) == words


def test_an_unknown_field_is_refused_with_those_that_are_known() -> None:
    known = ("metadata.name", "metadata.namespace")
    check_known(parse_field_selector("metadata.name=a,metadata.namespace=b"), known)
    with pytest.raises(SelectorError) as refused:
        check_known(parse_field_selector("spec.nodeName=x"), known)
    assert str(refused.value) == (
        '"spec.nodeName" is not a known field selector: only "metadata.name", "metadata.namespace"'
    )


def test_a_selector_of_nothing_but_blanks_is_read_in_time() -> None:
    """It may be as long as a request's line, and is read before anything else can run."""
    assert parse_label_selector(" " * 100_000).empty

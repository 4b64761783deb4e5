"""Selectors made for thousands of objects say what the selector says."""

from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.meta.predicates import field_predicate, label_predicate
from pymetrics_server.meta.selectors import (
    FieldRequirement,
    FieldSelector,
    LabelSelector,
    Requirement,
)

KEYS = st.sampled_from("abc")
VALUES = st.sampled_from(["", "x", "y", "1", "2", "007", "-3", "99999999999999999999"])
NUMBERS = st.sampled_from(["1", "2", "-3", "7"])
REQUIREMENTS = st.one_of(
    st.builds(Requirement, KEYS, st.sampled_from(["=", "==", "!="]), st.tuples(VALUES)),
    st.builds(
        Requirement,
        KEYS,
        st.sampled_from(["in", "notin"]),
        st.lists(VALUES, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(Requirement, KEYS, st.sampled_from(["exists", "!"])),
    st.builds(Requirement, KEYS, st.sampled_from(["gt", "lt"]), st.tuples(NUMBERS)),
)
LABELS = st.dictionaries(st.sampled_from("abcd"), VALUES)
FIELDS = st.builds(
    FieldRequirement,
    st.sampled_from(["metadata.name", "metadata.namespace"]),
    st.sampled_from(["=", "!="]),
    VALUES,
)


@given(st.lists(REQUIREMENTS, max_size=6), st.lists(LABELS, max_size=8))
def test_of_labels(requirements: list[Requirement], objects: list[dict[str, str]]) -> None:
    selector = LabelSelector(tuple(requirements))
    matches = label_predicate(selector)
    assert [matches(labels) for labels in objects] == [selector.matches(labels) for labels in objects]


@given(st.lists(FIELDS, max_size=4), VALUES)
def test_of_fields(requirements: list[FieldRequirement], name: str) -> None:
    selector = FieldSelector(tuple(requirements))
    for fields in ({"metadata.name": name}, {"metadata.name": name, "metadata.namespace": "x"}):
        assert field_predicate(selector)(fields) == selector.matches(fields)

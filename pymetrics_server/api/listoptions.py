"""metav1.ListOptions and GetOptions as query parameters: what is heeded, ignored and refused.

There is no paging, no watch and no resource version here: a list is always whole and always now.
"""

import re
from functools import lru_cache

import msgspec

from pymetrics_server.api.request import Query, first, is_true
from pymetrics_server.meta.quote import go_quote
from pymetrics_server.meta.selectors import (
    FieldSelector,
    LabelSelector,
    SelectorError,
    check_known,
    parse_field_selector,
    parse_label_selector,
)
from pymetrics_server.meta.status import (
    Cause,
    StatusError,
    bad_request,
    go_json,
    invalid_list_options,
    watch_not_supported,
)

FIELDS = ("metadata.name", "metadata.namespace")

_INT64 = re.compile(r"[+-]?[0-9]+", re.ASCII)
_LONGEST_KEPT = 512  # characters: anybody may send any
_MATCH_FIELD = "resourceVersionMatch"
_INCLUDED = ("Metadata", "Object", "None")


class ListOptions(msgspec.Struct, frozen=True):
    labels: LabelSelector
    fields: FieldSelector


def parse_list_options(query: Query, resource: str) -> ListOptions:
    """Raises StatusError: 400, 422, or 405 for a watch. `resource` is nodes or pods."""
    for key in ("timeoutSeconds", "limit"):
        if key in query:
            _check_int64(first(query, key))
    try:
        labels, fields = _selectors(first(query, "labelSelector"), first(query, "fieldSelector"))
    except SelectorError as err:
        raise bad_request(str(err)) from None
    watch = "watch" in query and is_true(first(query, "watch"))
    if causes := _refused_of_watches(query) if watch else _refused(query):
        raise invalid_list_options(causes)
    try:
        check_known(fields, FIELDS)
    except SelectorError as err:
        raise bad_request(str(err)) from None
    if watch:
        raise watch_not_supported(resource)
    return ListOptions(labels, fields)


def _selectors(labels: str, fields: str) -> tuple[LabelSelector, FieldSelector]:
    """An autoscaler asks by the same ones for ever."""
    if len(labels) + len(fields) <= _LONGEST_KEPT:
        return _selectors_before(labels, fields)
    return parse_label_selector(labels), parse_field_selector(fields)


@lru_cache(maxsize=1024)
def _selectors_before(labels: str, fields: str) -> tuple[LabelSelector, FieldSelector]:
    return parse_label_selector(labels), parse_field_selector(fields)


def check_get_options(query: Query) -> None:
    """Raises StatusError 400."""
    if "export" in query and is_true(first(query, "export")):
        raise bad_request("the export parameter, deprecated since v1.14, is no longer supported")


def parse_include_object(query: Query) -> str:
    """What a table's rows carry: Metadata (the default), Object or None. Raises StatusError 400."""
    wanted = first(query, "includeObject") or "Metadata"
    if wanted not in _INCLUDED:
        raise bad_request(
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"{go_quote(wanted)}: must be 'Metadata', 'Object', 'None', or empty"
        )
    return wanted


def _check_int64(text: str) -> None:
    problem = ""
    if _INT64.fullmatch(text) is None:
        problem = "invalid syntax"
    elif len(digits := text.lstrip("+-0")) > 19 or int(digits or "0") > 2**63 - (text[0] != "-"):
        problem = "value out of range"
    if problem:
        raise _unparsable(text, problem)


def _unparsable(text: str, problem: str) -> StatusError:
    return bad_request(f"strconv.ParseInt: parsing {go_quote(text)}: {problem}")


def _refused(query: Query) -> list[Cause]:
    causes: list[Cause] = []
    match = first(query, _MATCH_FIELD)
    version = first(query, "resourceVersion")
    if match:
        if not version:
            causes.append(_forbidden(f"{_MATCH_FIELD} is forbidden unless resourceVersion is provided"))
        if first(query, "continue"):
            causes.append(_forbidden(f"{_MATCH_FIELD} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            causes.append(_unsupported(match, "Exact", "NotOlderThan", ""))
        if match == "Exact" and version == "0":
            causes.append(_forbidden(f'{_MATCH_FIELD} "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in query:
        causes.append(_forbidden("sendInitialEvents is forbidden for list", "sendInitialEvents"))
    return causes


def _refused_of_watches(query: Query) -> list[Cause]:
    causes: list[Cause] = []
    match = first(query, _MATCH_FIELD)
    if "sendInitialEvents" in query and match != "NotOlderThan":
        causes.append(_forbidden(f"sendInitialEvents requires setting {_MATCH_FIELD} to NotOlderThan"))
    if match:
        if "sendInitialEvents" not in query:
            causes.append(
                _forbidden(f"{_MATCH_FIELD} is forbidden for watch unless sendInitialEvents is provided")
            )
        if match != "NotOlderThan":
            causes.append(_unsupported(match, "NotOlderThan"))
        if first(query, "continue"):
            causes.append(_forbidden(f"{_MATCH_FIELD} is forbidden when continue is provided"))
    return causes


def _unsupported(match: str, *supported: str) -> Cause:
    value = go_json(match)[:-1].decode()
    message = f"Unsupported value: {value}: supported values: {', '.join(map(go_quote, supported))}"
    return Cause("FieldValueNotSupported", message, _MATCH_FIELD)


def _forbidden(message: str, field: str = _MATCH_FIELD) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {message}", field)

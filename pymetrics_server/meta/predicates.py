"""Selectors made for being asked of thousands of objects.

In as many steps as an object has labels, however long the selector is: a request's line has room for thousands
of requirements, and a cluster for thousands of pods.
"""

from collections.abc import Callable, Mapping, Sequence

from pymetrics_server.meta.selectors import (
    MAX_INT64,
    FieldSelector,
    LabelSelector,
    Requirement,
    is_int64,
)

Matches = Callable[[Mapping[str, str]], bool]


def label_predicate(selector: LabelSelector) -> Matches:
    """The same as its `matches`. What an autoscaler sends is only equalities."""
    if selector.empty:
        return selector.matches
    if any(each.operator not in ("=", "==") for each in selector.requirements):
        return _Merged(selector.requirements).matches
    wanted = list(dict.fromkeys((each.key, each.values[0]) for each in selector.requirements))
    if len(wanted) == 1:
        [(key, value)] = wanted
        return lambda labels: labels.get(key) == value

    def matches(labels: Mapping[str, str]) -> bool:
        for key, value in wanted:  # noqa: SIM110  a generator costs as much as three comparisons
            if labels.get(key) != value:
                return False
        return True

    return matches


def field_predicate(selector: FieldSelector) -> Matches:
    """The same as its `matches`."""
    taken: dict[str, set[str]] = {}
    refused: dict[str, set[str]] = {}
    for each in selector.requirements:
        (taken if each.operator == "=" else refused).setdefault(each.key, set()).add(each.value)

    def matches(fields: Mapping[str, str]) -> bool:
        return all(values == {fields.get(key, "")} for key, values in taken.items()) and not any(
            fields.get(key, "") in values for key, values in refused.items()
        )

    return matches


class _OfKey:
    """All that a selector requires of one label."""

    __slots__ = ("_above", "_below", "_compares", "_present", "_refused", "_taken", "needed")

    def __init__(self, requirements: Sequence[Requirement]) -> None:
        self.needed = any(each.operator not in ("notin", "!=", "!") for each in requirements)
        self._present = all(each.operator != "!" for each in requirements)
        self._compares = any(each.operator in ("gt", "lt") for each in requirements)
        self._taken: set[str] | None = None
        self._refused: set[str] = set()
        self._above, self._below = -MAX_INT64 - 2, MAX_INT64 + 1
        for each in requirements:
            match each.operator:
                case "in" | "=" | "==":
                    values = set(each.values)
                    self._taken = values if self._taken is None else self._taken & values
                case "notin" | "!=":
                    self._refused.update(each.values)
                case "gt":
                    self._above = max(self._above, int(each.values[0]))
                case "lt":
                    self._below = min(self._below, int(each.values[0]))
                case _:
                    pass  # said by `needed` and `_present`

    def takes(self, value: str) -> bool:
        if not self._present or value in self._refused:
            return False
        if self._taken is not None and value not in self._taken:
            return False
        return not self._compares or (is_int64(value) and self._above < int(value) < self._below)


class _Merged:
    """By key, so that an object is compared in as many steps as it has labels, however long the selector is."""

    def __init__(self, requirements: Sequence[Requirement]) -> None:
        grouped: dict[str, list[Requirement]] = {}
        for each in requirements:
            grouped.setdefault(each.key, []).append(each)
        self._by_key = {key: _OfKey(each) for key, each in grouped.items()}
        self._needed = [key for key, each in self._by_key.items() if each.needed]

    def matches(self, labels: Mapping[str, str]) -> bool:
        if len(self._needed) > len(labels):
            return False
        for key in self._needed:
            if key not in labels:
                return False
        for key, value in labels.items():
            required = self._by_key.get(key)
            if required is not None and not required.takes(value):
                return False
        return True

"""Label and field selectors: the grammars of kube-apiserver, its validation and its error texts.

Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors and
https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pymetrics_server.meta.quote import go_quote

_MAX_NAME_BYTES = 63
_MAX_SUBDOMAIN_BYTES = 253
MAX_INT64 = 2**63 - 1

_TOKEN = re.compile(r"==|!=|[=!(),<>]|[^=!(),<> \t\r\n]+")  # white space is what lies between
_SYMBOLS = frozenset({"==", "!=", "=", "!", "(", ")", ",", "<", ">"})
_OPERATORS = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}
_END = ""

_NAME = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


class SelectorError(ValueError):
    """The message is kube-apiserver's, word for word."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """operator is one of in, notin, =, ==, !=, gt, lt, exists, !; values are sorted and unique."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value is not None and value in self.values
            case "notin" | "!=":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not is_int64(value):
            return False
        bound = int(self.values[0])
        return int(value) > bound if self.operator == "gt" else int(value) < bound


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; none of them: everything matches."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.requirements or all(each.matches(labels) for each in self.requirements)


def parse_label_selector(text: str) -> LabelSelector:
    """Raises SelectorError. Requirements come back sorted by key."""
    return LabelSelector(tuple(sorted(_LabelParser(text).parse(), key=lambda requirement: requirement.key)))


class _LabelParser:
    """Recursive descent over the tokens; "" stands for the end of the string."""

    def __init__(self, text: str) -> None:
        # To Go's lexer a NUL is the end.
        self._tokens: list[str] = [*_TOKEN.findall(text.partition("\0")[0]), _END]
        self._at = 0

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        while (token := self._peek()) != _END:
            if token != "!" and token in _SYMBOLS:  # noqa: S105  of a grammar
                raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except SelectorError as err:
                raise SelectorError(f"unable to parse requirement: {err}") from None
            after = self._take()
            if after == _END:
                break
            if after != ",":
                raise SelectorError(f"found '{after}', expected: ',' or 'end of string'")
            following = self._peek()
            if following != "!" and not _is_identifier(following):
                raise SelectorError(f"found '{following}', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        key = self._take()
        negated = key == "!"
        if negated:
            key = self._take()
        if not _is_identifier(key):
            raise SelectorError(f"found '{key}', expected: identifier")
        if problems := _key_problems(key):
            raise SelectorError(f"<nil>: Invalid value: {go_quote(key)}: {'; '.join(problems)}")
        if negated:
            return Requirement(key, "!")
        if self._peek() in (_END, ","):
            return Requirement(key, "exists")
        symbol = self._take()
        operator = _OPERATORS.get(symbol)
        if operator is None:
            raise SelectorError(f"found '{symbol}', expected: in, notin, =, ==, !=, gt, lt")
        values = tuple(sorted(self._values() if operator in ("in", "notin") else {self._exact_value()}))
        _check_values(key, operator, values)
        return Requirement(key, operator, values)

    def _values(self) -> set[str]:
        if (token := self._take()) != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        first = self._peek()
        if first == ")":
            self._take()
            return {""}
        if first != "," and not _is_identifier(first):
            raise SelectorError(f"found '{first}', expected: ',', ')' or identifier")
        values = self._identifiers()
        self._take()  # the ")" that ended them
        return values

    def _identifiers(self) -> set[str]:
        """Up to the closing parenthesis; an empty place between commas is the empty value."""
        values: set[str] = set()
        while True:
            token = self._take()
            if _is_identifier(token):
                values.add(token)
                following = self._peek()
                if following == ")":
                    return values
                if following != ",":
                    raise SelectorError(f"found '{following}', expected: ',' or ')'")
            elif token == ",":  # noqa: S105  of a grammar
                if not values:
                    values.add("")
                following = self._peek()
                if following == ")":
                    return values | {""}
                if following == ",":
                    self._take()
                    values.add("")
            else:
                raise SelectorError(f"found '{token}', expected: ',', or identifier")

    def _exact_value(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        token = self._take()
        if not _is_identifier(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        return token

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _take(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token


def _is_identifier(token: str) -> bool:
    return token != _END and token not in _SYMBOLS


def is_int64(text: str) -> bool:
    if len(text) > _MAX_NAME_BYTES or _INTEGER.fullmatch(text) is None:
        return False
    return -MAX_INT64 - 1 <= int(text) <= MAX_INT64


def _byte_count(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _key_problems(key: str) -> list[str]:
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [
            f"a valid label key {_NAME_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    problems: list[str] = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        if _byte_count(prefix) > _MAX_SUBDOMAIN_BYTES:
            problems.append(f"prefix part must be no more than {_MAX_SUBDOMAIN_BYTES} bytes")
        if _SUBDOMAIN.fullmatch(prefix) is None:
            problems.append(f"prefix part {_SUBDOMAIN_RULE}")
    if not name:
        problems.append("name part must be non-empty")
    elif _byte_count(name) > _MAX_NAME_BYTES:
        problems.append(f"name part must be no more than {_MAX_NAME_BYTES} bytes")
    if _NAME.fullmatch(name) is None:
        problems.append(f"name part {_NAME_RULE}")
    return problems


def _check_values(key: str, operator: str, values: Sequence[str]) -> None:
    problems: list[str] = []
    for index, value in enumerate(values):
        if operator in ("gt", "lt") and not is_int64(value):
            problems.append(
                f"values[{index}]: Invalid value: {go_quote(value)}: "
                "for 'Gt', 'Lt' operators, the value must be an integer"
            )
    for index, value in enumerate(values):
        wrong: list[str] = []
        if _byte_count(value) > _MAX_NAME_BYTES:
            wrong.append(f"must be no more than {_MAX_NAME_BYTES} bytes")
        if value and _NAME.fullmatch(value) is None:
            wrong.append(_VALUE_RULE)
        if wrong:
            problems.append(f"values[{index}][{key}]: Invalid value: {go_quote(value)}: {'; '.join(wrong)}")
    if len(problems) == 1:
        raise SelectorError(problems[0])
    if problems:
        raise SelectorError(f"[{', '.join(problems)}]")


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """operator is = or != (== is read as =)."""

    key: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All requirements must hold; none of them: everything matches."""

    requirements: tuple[FieldRequirement, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.requirements

    def matches(self, fields: Mapping[str, str]) -> bool:
        """A field that is absent counts as the empty string."""
        return all(
            (fields.get(wanted.key, "") == wanted.value) == (wanted.operator == "=")
            for wanted in self.requirements
        )

    def exact(self, key: str) -> str | None:
        """The one value that `key` must have, or None where the selector leaves it open."""
        for wanted in self.requirements:
            if wanted.key == key and wanted.operator == "=":
                return wanted.value
        return None


def parse_field_selector(text: str) -> FieldSelector:
    """Raises SelectorError. Requirements come back in the order of their sorted terms."""
    found: list[FieldRequirement] = []
    for term in sorted(_terms(text)):
        if not term:
            continue
        parts = re.fullmatch(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
        if parts is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        if not parts[1] and not parts[3]:
            continue
        operator = "!=" if parts[2] == "!=" else "="
        found.append(FieldRequirement(parts[1], operator, _unescaped(parts[3])))
    return FieldSelector(tuple(found))


def check_known(selector: FieldSelector, known: Sequence[str]) -> None:
    """Raises SelectorError for the first field that is not among `known`."""
    for wanted in selector.requirements:
        if wanted.key not in known:
            only = ", ".join(map(go_quote, known))
            raise SelectorError(f"{go_quote(wanted.key)} is not a known field selector: only {only}")


def _terms(text: str) -> list[str]:
    """Split at commas that no backslash escapes; escapes stay in the terms."""
    terms: list[str] = []
    start = 0
    escaped = False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:at])
            start = at + 1
    terms.append(text[start:])
    return terms


def _unescaped(value: str) -> str:
    chars: list[str] = []
    escaped = False
    for char in value:
        if escaped:
            if char not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            chars.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":  # Go prints the rune as its number
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            chars.append(char)
    if escaped:
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(chars)

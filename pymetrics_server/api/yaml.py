"""YAML as Kubernetes writes it (sigs.k8s.io/yaml): from JSON, keys sorted, lists not indented below their key.

Text that YAML would read as something else is in double quotes, text of several lines a literal block.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

_TEXT = "tag:yaml.org,2002:str"
#: Numbers to Go's decoder that are text to ours.
_GO_NUMBER = re.compile(r"[-+]?(0o[0-7_]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)")
#: What YAML 1.1 reads as booleans, and Go's encoder quotes for those who still do.
_OLD_BOOLEANS = frozenset(
    spelled
    for word in ("y", "yes", "on", "n", "no", "off")
    for spelled in (word, word.capitalize(), word.upper())
)


class _Dumper(yaml.CSafeDumper):
    pass


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    tag = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # untyped there
    if tag != _TEXT or text in _OLD_BOOLEANS or _GO_NUMBER.fullmatch(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar(_TEXT, text, style)


_Dumper.add_representer(str, _text)


def to_yaml(document: bytes) -> bytes:
    """`document` is JSON."""
    return _dump(msgspec.json.decode(document))


def items_to_yaml(items: Sequence[bytes]) -> bytes:
    """As they stand below the key of a list."""
    return _dump([msgspec.json.decode(item) for item in items])


def around_items(document: bytes, key: str) -> tuple[bytes, bytes]:
    """What stands before and after the items of the list that is `document`'s value of `key`."""
    value = msgspec.json.decode(document)
    before = {k: v for k, v in value.items() if k < key}
    after = {k: v for k, v in value.items() if k > key}
    return _dump(before) + f"{key}:\n".encode(), _dump(after)


def _dump(value: Any) -> bytes:
    if value == {}:
        return b""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, encoding="utf-8")

"""YAML as Kubernetes writes it (sigs.k8s.io/yaml): from JSON, keys sorted, lists not indented below their key.

Text that YAML would read as something else is in double quotes, text of several lines a literal block.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import yaml

_TEXT = "tag:yaml.org,2002:str"
#: Numbers and days to Go's decoder that are text to ours.
_GO_NUMBER = re.compile(
    r"[-+]?(0o[0-7_]+|(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
)
#: What YAML 1.1 reads as booleans, and Go's encoder quotes for those who still do.
_OLD_BOOLEANS = frozenset(
    spelled
    for word in ("y", "yes", "on", "n", "no", "off")
    for spelled in (word, word.capitalize(), word.upper())
)


#: PyYAML has the faster one only where it was built with libyaml.
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]  # Any: one of two
    pass


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    tag = dumper.resolve(yaml.ScalarNode, text, (True, False))
    if tag != _TEXT or text in _OLD_BOOLEANS or _GO_NUMBER.fullmatch(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    node: yaml.ScalarNode = dumper.represent_scalar(_TEXT, text, style)
    return node


_Dumper.add_representer(str, _text)


def to_yaml(document: bytes) -> bytes:
    """`document` is JSON."""
    return _dump(msgspec.json.decode(document))


def items_to_yaml(items: Sequence[bytes]) -> bytes:
    """As they stand below the key of a list: structure written here, since there are thousands; each text is
    PyYAML's, and remembered."""
    return "".join(
        f"- {_block(msgspec.json.decode(item), '  ').removeprefix('  ')}" for item in items
    ).encode()


def around_items(document: bytes, key: str) -> tuple[bytes, bytes]:
    """What stands before and after the items of the list that is `document`'s value of `key`."""
    value = msgspec.json.decode(document)
    before = {k: v for k, v in value.items() if k < key}
    after = {k: v for k, v in value.items() if k > key}
    return _dump(before) + f"{key}:\n".encode(), _dump(after)


def _block(value: Any, indent: str) -> str:
    """Lines of a mapping, or of what stands in a list of a table's cells."""
    if not isinstance(value, dict):
        return f"{indent}{_inline(value)}\n"
    lines = ""
    for key in sorted(value):
        below = value[key]
        if below and isinstance(below, dict):
            lines += f"{indent}{_scalar(key)}:\n{_block(below, indent + '  ')}"
        elif below and isinstance(below, list):
            items = (_block(each, indent + "  ").removeprefix(indent + "  ") for each in below)
            lines += f"{indent}{_scalar(key)}:\n" + "".join(f"{indent}- {item}" for item in items)
        else:
            lines += f"{indent}{_scalar(key)}: {_inline(below)}\n"
    return lines


def _inline(value: Any) -> str:
    return _scalar(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


@lru_cache(maxsize=8192)
def _scalar(text: str) -> str:
    return _dump([text]).decode().removeprefix("- ").removesuffix("\n")


def _dump(value: Any) -> bytes:
    if value == {}:
        return b""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, encoding="utf-8")

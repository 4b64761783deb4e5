"""An answer as lines of text in which only what may never differ is left: times, ids and loads are masked.

Layout is kept: a space, a newline or a quote more in a body is a difference.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable
from typing import Any

from tests.parity import protobuf
from tests.parity.requests import View
from tests.parity.wire import Answer

#: Of the connection or of the moment, not of the answer.
_UNCOMPARED_HEADERS = frozenset({"date", "content-length", "transfer-encoding", "connection", "server"})

_HEADER_MASKS = (
    (re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"), "<uuid>"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "<time>"),
    (re.compile(r"^\d{10}$"), "<time>"),
    (re.compile(r"[0-9A-F]{128}"), "<hash>"),
)
_BODY_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"[0-9A-F]{128}"), "<hash>"),
    (re.compile(r'("cpu": ?)"\d+[num]?"'), r'\1"<cpu>"'),
    (re.compile(r'("window": ?)"[\d.]+m?s"'), r'\1"<window>"'),
    (re.compile(r'"\d+[num]"'), '"<cpu>"'),  # a cell of a table
    (re.compile(r'"\d+(\.\d+)?s"'), '"<window>"'),
    (re.compile(r"^( *cpu: )\"?\d+[num]?\"?$", re.M), r"\1<cpu>"),
    (re.compile(r"^( *window: )[\d.]+m?s$", re.M), r"\1<window>"),
    (re.compile(r"^( *- )\d+[num]$", re.M), r"\1<cpu>"),
    (re.compile(r"^( *- )\d+(\.\d+)?s$", re.M), r"\1<window>"),
)
#: Ours serves v1 and /flagz as well: what says so is taken out of indexes and discovery, JSON, YAML and protobuf's lines alike.
_V1 = (
    (
        re.compile(
            r'(preferredVersion"?: ?\{?\s*"?groupVersion"?: ?"?metrics\.k8s\.io/)v1(["\s,]+version"?: ?"?)v1\b'
        ),
        r"\1v1beta1\2v1beta1",
    ),
    (re.compile(r'"apis/metrics\.k8s\.io/v1":\{"serverRelativeURL":"[^"]*"\},'), ""),
    (re.compile(r'^    "/(apis/metrics\.k8s\.io/v1|flagz)",\n', re.M), ""),
    (re.compile(r'\{\s*"groupVersion":\s*"metrics\.k8s\.io/v1",\s*"version":\s*"v1"\s*\},\s*'), ""),
    (re.compile(r'\{\s*"version":\s*"v1",\s*"resources".*?"freshness":\s*"Current"\s*\},\s*', re.S), ""),
    (re.compile(r"^ *- groupVersion: metrics\.k8s\.io/v1\n *version: v1\n", re.M), ""),
    (re.compile(r"^  - freshness: Current\n(?:    .*\n)*?    version: v1\n", re.M), ""),
    (re.compile(r'^ *2 \{\n *1: "metrics\.k8s\.io/v1"\n *2: "v1"\n *\}\n', re.M), ""),
    (re.compile(r'^    2 \{\n      1: "v1"\n(?:      .*\n)*    \}\n', re.M), ""),
    (re.compile(r'(3 \{\n *1: "metrics\.k8s\.io/)v1("\n *2: ")v1"'), r'\1v1beta1\2v1beta1"'),
)
_EMBEDDED = re.compile(r"Props$|^Extensions$|^ArbitraryKeys$")
#: What newer builds of the original describe and none serves without a feature gate.
_ALPHA_TYPE = "ShardInfo"
_ALPHA_NAMES = frozenset({"shardSelector", "shardInfo"})
_OURS_ALONE = re.compile(r"metrics\.k8s\.io/v1(/|$)|apis\.metrics\.v1\.")


def lines_of(answer: Answer, view: View, port: int) -> list[str]:
    lines = [f"HTTP {answer.status}" if answer.status else "no answer: the connection ended"]
    if not answer.status:
        return lines
    lines += sorted(
        f"{name}: {_masked(part, _HEADER_MASKS)}"
        for name, value in answer.headers
        if name not in _UNCOMPARED_HEADERS
        for part in (value.split(", ") if name == "vary" else [value])
    )
    if view is View.HEADERS and answer.status == 200:
        return lines
    return [*lines, "", *_body(answer, view, port)]


def _body(answer: Answer, view: View, port: int) -> list[str]:
    body = answer.body
    if answer.header("content-encoding") == "gzip":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as err:
            return [f"not gzip: {err}"]
    kind = answer.header("content-type")
    if "protobuf" in kind:
        return _without_v1("\n".join(protobuf.lines_of(body)).replace(f":{port}", ":<port>")).split("\n")
    text = body.decode("utf-8", "backslashreplace").replace(f":{port}", ":<port>")
    if answer.status != 200 and view is not View.FAMILIES:
        view = View.TEXT
    match view:
        case View.FAMILIES:
            return families(text)
        case View.KEYS:
            return re.sub(r'(": )".*"', r'\1"<value>"', text).split("\n")
        case View.OPENAPI:
            return openapi(json.loads(text)) if text.startswith("{") else text.split("\n")
        case _:
            return _broken(_masked(_without_v1(text), _BODY_MASKS))


def _without_v1(text: str) -> str:
    return _masked(text, _V1)


def _masked(text: str, masks: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, mask in masks:
        text = pattern.sub(mask, text)
    return text


def _broken(text: str) -> list[str]:
    """Compact JSON over many lines, so that a diff can be read; whether it ended in a newline stays to be seen."""
    if text.startswith("{") and text.count("\n") <= 1:
        text = re.sub(r'([{\[,])(?=["{\[])', r"\1\n", text)
    return text.split("\n")


def families(text: str) -> list[str]:
    """Of an exposition: metrics-server's own families, their series' labels and the buckets that they have."""
    found: dict[str, set[str]] = {}
    about = []
    for line in text.split("\n"):
        if not re.match(r"(# (HELP|TYPE) )?metrics_server_", line):
            continue
        if line.startswith("#"):
            about.append(line)
            continue
        series = line.partition(" ")[0].partition("{")[0]
        labels = sorted(re.findall(r'(\w+)="([^"]*)"', line))
        shown = ",".join(f"{k}={v}" if k in ("le", "success", "type") else k for k, v in labels)
        found.setdefault(series, set()).add(shown)
    return [
        *sorted(about),
        *(f"{series} {{{labels}}}" for series in sorted(found) for labels in sorted(found[series])),
    ]


def openapi(document: Any) -> list[str]:
    """Of an OpenAPI document or the index of them: what there is, by name, without what only v1 has."""
    document = _flat(document)
    lines = [f"{key}: {document[key]}" for key in ("swagger", "openapi") if key in document]
    for path, item in sorted(document.get("paths", {}).items()):
        if _OURS_ALONE.search(path):
            continue
        shared = _parameters(item)
        lines.append(f"{path} {' '.join(shared)}".rstrip())
        for method, operation in sorted(item.items()):
            if isinstance(operation, dict):
                lines += _operation(method, operation)
    schemas = document.get("definitions") or document.get("components", {}).get("schemas", {})
    for name, schema in sorted(schemas.items()):
        if _OURS_ALONE.search(name) or name.endswith("." + _ALPHA_TYPE):
            continue
        required = ",".join(schema.get("required", ()))
        kinds = json.dumps(schema.get("x-kubernetes-group-version-kind", []))
        lines.append(
            f"{name}: {','.join(sorted(set(schema.get('properties', {})) - _ALPHA_NAMES))} required {required} {kinds}"
        )
    return lines


def _flat(value: Any) -> Any:
    """Builds of the original with a newer Go write what is embedded in a struct as an object of its own."""
    if isinstance(value, list):
        return [_flat(item) for item in value]
    if not isinstance(value, dict):
        return value
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if _EMBEDDED.search(key) and isinstance(inner, dict):
            flat |= _flat(inner)
        else:
            flat[key] = _flat(inner)
    return flat


def _operation(method: str, operation: dict[str, Any]) -> list[str]:
    shown = {
        "id": operation.get("operationId"),
        "tags": operation.get("tags"),
        "action": operation.get("x-kubernetes-action"),
        "kind": operation.get("x-kubernetes-group-version-kind"),
        "produces": operation.get("produces"),
        "parameters": _parameters(operation),
        "responses": sorted(operation.get("responses", {})),
    }
    return [f"  {method} {key} {value}" for key, value in shown.items() if value]


def _parameters(holder: dict[str, Any]) -> list[str]:
    return sorted({_ref_or_name(p) for p in holder.get("parameters", ())} - _ALPHA_NAMES)


def _ref_or_name(parameter: dict[str, Any]) -> str:
    """Shared parameters are named after themselves and a hash."""
    reference = str(parameter.get("$ref", "")).rpartition("/")[2]
    return str(parameter.get("name") or re.sub(r"-.{8}$", "", reference))

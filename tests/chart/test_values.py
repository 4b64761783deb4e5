"""values.yaml, its schema and the templates name the same values; none of this needs helm."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymetrics_server.version import VERSION
from tests.chart.rendering import CHART, VALUES

jsonschema = pytest.importorskip("jsonschema", reason="needs: pip install jsonschema")

_TEMPLATES = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}
_DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
_SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

#: Of Helm itself, or of a chart that this one is a part of.
_NOT_OURS = {"global", "enabled"}


def used() -> set[str]:
    """Dotted names: `.Values.a.b`, also below `with .Values.a` and by a variable that stands for `.Values.a`."""
    names = set()
    for text in _TEMPLATES.values():
        names |= set(re.findall(r"\.Values\.([A-Za-z0-9.]+)", text))
        for variable, of in re.findall(r"(\$\w+) := \.Values\.([A-Za-z0-9.]+) ", text):
            names |= {f"{of}.{rest}" for rest in re.findall(re.escape(variable) + r"\.([A-Za-z0-9.]+)", text)}
        if whole := re.match(r"\{\{- with \.Values\.(\w+) \}\}\n", text):
            names |= {f"{whole[1]}.{rest}" for rest in re.findall(r"[ (]\.([a-z]\w+)", text)}
    return names


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Values that are handed on as they are; an object that is closed is looked into."""
    for name, of in schema["properties"].items():
        if "properties" in of:
            yield from leaves(of, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def default(path: str) -> object:
    found: Any = _DEFAULTS
    for name in path.split("."):
        found = found[name]
    return found


def closed(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, of in schema["properties"].items():
        if "properties" in of:
            yield from closed(of, f"{path}.{name}" if path else name)


def test_the_charts_versions_are_the_servers() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_every_value_that_a_template_names_has_a_default() -> None:
    for path in used():
        default(path)


def test_every_value_that_has_a_place_in_the_schema_is_used_by_a_template() -> None:
    assert set(leaves(_SCHEMA)) - used() == _NOT_OURS


@pytest.mark.parametrize(("path", "schema"), [pytest.param(p, s, id=p or "root") for p, s in closed(_SCHEMA)])
def test_the_schema_knows_every_default_and_nothing_else(path: str, schema: dict[str, Any]) -> None:
    defaults = default(path) if path else _DEFAULTS
    assert isinstance(defaults, dict)
    assert set(schema["properties"]) - (set() if path else _NOT_OURS) == set(defaults)


@pytest.mark.parametrize(
    "path", [p for p, s in closed(_SCHEMA) if p != "addonResizer"], ids=lambda p: p or "root"
)
def test_a_misspelt_value_has_no_place_in_the_schema(path: str) -> None:
    schema = dict(closed(_SCHEMA))[path]
    assert schema["additionalProperties"] is False


def test_the_schema_is_one_and_the_defaults_satisfy_it() -> None:
    jsonschema.Draft7Validator.check_schema(_SCHEMA)
    jsonschema.Draft7Validator(_SCHEMA).validate(_DEFAULTS)


@pytest.mark.parametrize("path", VALUES, ids=lambda p: p.stem)
def test_values_files_that_operators_have_satisfy_the_schema(path: Path) -> None:
    jsonschema.Draft7Validator(_SCHEMA).validate(yaml.safe_load(path.read_text()))


def test_no_registry_is_named() -> None:
    assert _DEFAULTS["image"]["repository"] == "pymetrics-server"

"""Versions and feature gates of components: metrics-server registers none, so that each one named is refused.

Kubernetes: https://pkg.go.dev/k8s.io/component-base/compatibility and
https://pkg.go.dev/k8s.io/apimachinery/pkg/util/version#Parse
"""

import re
from collections.abc import Sequence

from pymetrics_server.meta.quote import go_quote

_VERSION = re.compile(r"\s*v?([0-9]+(?:\.[0-9]+)*)[^\n]*")
_MAX_UINT64 = 2**64 - 1
_DEFAULT = "kube"


def component_violation(
    emulated_versions: Sequence[str], least_versions: Sequence[str], gates: Sequence[str]
) -> str:
    """ "" where there is none. `gates` are `component:gate`."""
    try:
        for versions in (emulated_versions, least_versions):
            for component in _version_of_component(versions):
                return _not_registered(component)
    except ValueError as err:
        return str(err)
    components = {gate.partition(":")[0] for gate in gates}
    if {"", _DEFAULT} <= components:
        return "set kube feature gates with default empty prefix or kube: prefix consistently, do not mix use"
    for gate in gates:
        return _not_registered(gate.partition(":")[0] or _DEFAULT)
    return ""


def _not_registered(component: str) -> str:
    return f"component not registered: {component}"


def _version_of_component(texts: Sequence[str]) -> dict[str, str]:
    """Raises ValueError."""
    found: dict[str, str] = {}
    for text in texts:
        component, equals, version = text.partition("=")
        component, version = (component.strip(), version.strip()) if equals else (_DEFAULT, text)
        numbers = _numbers(version)
        shown = ".".join(map(str, numbers))
        if len(numbers) > 2 and numbers[2]:
            raise ValueError(f"patch version not allowed, got: {component}={shown}")
        if component in found:
            raise ValueError(
                f"duplicate version flag, {component}={found[component]} and {component}={shown}"
            )
        found[component] = shown
    return found


def _numbers(text: str) -> list[int]:
    matched = _VERSION.fullmatch(text)
    if matched is None:
        raise ValueError(f"could not parse {go_quote(text)} as version")
    components = matched[1].split(".")
    if len(components) < 2:
        raise ValueError(f"illegal version string {go_quote(text)}")
    if components[0].startswith("0") and components[0] != "0":
        raise ValueError(
            f"illegal zero-prefixed version component {go_quote(components[0])} in {go_quote(text)}"
        )
    for number in components:
        if len(number.lstrip("0")) > len(str(_MAX_UINT64)) or int(number) > _MAX_UINT64:
            raise ValueError(
                f"illegal non-numeric version component {go_quote(number)} in {go_quote(text)}: "
                f"strconv.ParseUint: parsing {go_quote(number)}: value out of range"
            )
    return [int(number) for number in components]

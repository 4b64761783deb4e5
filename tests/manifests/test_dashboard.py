"""The dashboard: what Grafana needs, and series that there are."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from tests.manifests.promql import promtool, unknown
from tests.manifests.rendering import MANIFESTS, combined, only

DASHBOARD = MANIFESTS / "components" / "monitoring" / "dashboard.json"
MODEL: dict[str, Any] = json.loads(DASHBOARD.read_text())
PANELS: list[dict[str, Any]] = MODEL["panels"]
WIDTH = 24


def expressions() -> Iterator[str]:
    return (target["expr"] for panel in PANELS for target in panel["targets"])


def test_grafana_finds_it_and_shows_it_as_it_is() -> None:
    assert MODEL["uid"]
    assert MODEL["title"]
    assert MODEL["schemaVersion"] >= 36  # data sources as objects
    assert "id" not in MODEL  # Grafana's own number of one that is stored
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert {v["name"] for v in MODEL["templating"]["list"]} == {"datasource", "job"}


def test_every_panel_says_what_it_shows_in_which_unit_and_asks_the_chosen_prometheus() -> None:
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        for source in (panel["datasource"], *(t["datasource"] for t in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}
        references = [t["refId"] for t in panel["targets"]]
        assert len(set(references)) == len(references)


def test_no_panel_lies_over_another_or_over_the_edge() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(p["x"] + p["w"] <= WIDTH for p in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], (a, b)


def test_panels_ask_for_what_the_server_has() -> None:
    assert unknown(expressions()) == []
    assert all('job="$job"' in expression for expression in expressions())


def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    plain = (e.replace("$__rate_interval", "5m").replace("$job", "metrics-server") for e in expressions())
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(plain)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "rules.yaml", folder=tmp_path)


def test_grafanas_sidecar_gets_it_whole(tmp_path: Path) -> None:
    config_map = only(combined(("monitoring",), tmp_path), "ConfigMap", "metrics-server-dashboard")
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config_map["data"] == {"metrics-server.json": DASHBOARD.read_text()}

"""docs/troubleshooting: whoever is sent to a page finds it, and nothing there opens more than it cures."""

import re
from pathlib import Path

import pytest

from pymetrics_server.doctor.ailment import Ailment, node_id
from pymetrics_server.doctor.asked_ailment import AskedAilment
from pymetrics_server.doctor.finding import Stage
from pymetrics_server.errors import FailureClass
from tests.doctor.broken_apiserver import APISERVER
from tests.doctor.broken_backend import BACKEND
from tests.doctor.broken_grants import GRANTS
from tests.doctor.broken_nodes import NODES
from tests.doctor.broken_pods import SERVER_PODS
from tests.doctor.broken_served import SERVED

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/troubleshooting"
INDEX = PAGES / "README.md"
HEADINGS = ["Symptom", "Cause", "Cure", "How it was reproduced"]
STAGES = {ailment.id: ailment.stage for ailment in (*Ailment, *AskedAilment)} | {
    node_id(failure): Stage.NODES for failure in FailureClass
}
FILES = sorted(path for path in PAGES.glob("*.md") if path != INDEX)
#: What no cure gives; a sentence that begins with `Not:` may say why.
GIVEN_AWAY = [
    "cluster-admin",
    "AlwaysAllow",
    "system:anonymous",
    "system:unauthenticated",
    "nodes/proxy",
    "--kubelet-insecure-tls",
    "insecureSkipTLSVerify: true",
    "--authorization-always-allow-paths",
]
#: Where a whole cluster is broken so that the doctor says just that: (the ailment's id, the file).
BREAKING = {
    (broken.id, f"tests/doctor/broken_{name}.py")
    for name, scenarios in {
        "apiserver": APISERVER,
        "grants": GRANTS,
        "nodes": NODES,
        "pods": SERVER_PODS,
        "backend": BACKEND,
        "served": SERVED,
    }.items()
    for broken in scenarios.values()
}
_REGISTRY = re.compile(
    r"\b(?:docker\.io|quay\.io|ghcr\.io|gcr\.io|registry\.k8s\.io|k8s\.gcr\.io|[\w-]+\.azurecr\.io|"
    r"[\w.-]+\.amazonaws\.com|public\.ecr\.aws|mcr\.microsoft\.com|registry\.[\w-]+\.\w+)\b"
)


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@pytest.mark.parametrize("ailment_id", STAGES)
def test_everything_that_can_be_wrong_has_its_page(ailment_id: str) -> None:
    assert (PAGES / f"{ailment_id}.md").is_file(), f"write docs/troubleshooting/{ailment_id}.md"


def test_no_page_is_left_of_what_is_no_ailment_any_more() -> None:
    assert {path.stem for path in FILES} <= set(STAGES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_says_symptom_cause_cure_and_how_to_make_it_happen(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert list(sections(text)) == HEADINGS
    assert all(sections(text).values())
    assert "`" in sections(text)["Symptom"], "give the exact words that somebody searches for"
    assert "```console\n$ " in sections(text)["Cure"], "give a command"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_says_which_test_makes_it_happen_and_admits_where_none_does(path: Path) -> None:
    said = sections(path.read_text())["How it was reproduced"]
    named = re.findall(r"`(tests/[\w/]+\.py)`", said)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
    files = {file for ailment_id, file in BREAKING if ailment_id == path.stem}
    if files:
        assert files & set(named)
    else:
        assert said.startswith("Not in a cluster") or path.stem == "node-unauthenticated"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert 15 <= len(lines) <= 40
    assert max(map(len, lines)) <= 260  # messages that somebody searches for stay on their line


@pytest.mark.parametrize("path", [*FILES, INDEX], ids=lambda path: path.stem)
def test_no_page_gives_more_than_is_needed(path: Path) -> None:
    text = path.read_text()
    commands = "".join(re.findall(r"```.*?```", text, re.DOTALL))
    advised = sections(text).get("Cure", "").partition("\nNot:")[0]
    assert [what for what in GIVEN_AWAY if what in advised or what in commands] == []


@pytest.mark.parametrize("path", [*FILES, INDEX], ids=lambda path: path.stem)
def test_no_page_names_a_registry(path: Path) -> None:
    assert not _REGISTRY.search(path.read_text())


@pytest.mark.parametrize("path", [*FILES, INDEX], ids=lambda path: path.stem)
def test_every_link_of_a_page_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        assert (path.parent / target).resolve().exists(), target


def test_the_index_links_every_page_once_in_the_order_of_the_pipeline() -> None:
    text = INDEX.read_text()
    linked = re.findall(r"\]\(([a-z0-9-]+)\.md\)", text)
    assert len(set(linked)) == len(linked)
    assert set(linked) == set(STAGES)
    order = list(Stage)
    places = [order.index(STAGES[ailment_id]) for ailment_id in linked]
    assert places == sorted(places)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [stage.value for stage in order]

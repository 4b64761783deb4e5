"""Base and its components beside each other, each rendered once."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.manifests.rendering import COMBINATIONS, Object, combined


@pytest.fixture(name="rendered", scope="session", params=COMBINATIONS, ids=lambda c: "+".join(c) or "base")
def _rendered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sequence[str], list[Object]]:
    """The components' names, and all objects."""
    components: tuple[str, ...] = request.param
    folder: Path = tmp_path_factory.mktemp("combination")
    return components, combined(components, folder)

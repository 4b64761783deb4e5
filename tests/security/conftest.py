from collections.abc import Iterator

import pytest

from tests.security.door import Door, trust


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The server, once it has taken up whom to believe."""
    opened = Door(tmp_path_factory.mktemp("door"), trust())
    try:
        opened.until_proxy_is_believed()
        yield opened
    finally:
        opened.close()

"""Of every test: the process's log is as it was before."""

import logging
from collections.abc import Iterator

import pytest

from pymetrics_server.log import set_verbosity, verbosity


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """What `log.set_up` changes belongs to the whole process."""
    logger = logging.getLogger("pymetrics_server")
    shown, handlers, level, propagate = verbosity(), logger.handlers[:], logger.level, logger.propagate
    yield
    set_verbosity(shown)
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate

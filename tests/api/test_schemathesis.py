"""What schemathesis makes of our own OpenAPI documents: requests that fit them and requests that do not."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from aiohttp.test_utils import RawTestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from pymetrics_server.api.openapi.documents import group_documents, swagger
from tests.api.world import small_cluster

DOCUMENTS = {"v2": swagger(), **group_documents()}
#: Without parameters there is nothing that does not fit.
CASES = [
    pytest.param(name, path, mode, id=f"{name} {path} {mode.value}")
    for name, document in DOCUMENTS.items()
    for path, item in document["paths"].items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or "parameters" in item
]
#: So that some of what is asked for is there.
NAMES = {"namespace": ["default"], "name": ["web-1", "nometrics"]}
NAMES_OF_NODES = {"name": ["node-a", "node-down"]}
ACCEPTS = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "*/*", "text/html"]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A server on a thread of its own: schemathesis asks and waits."""
    started: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        server = RawTestServer(small_cluster().app())
        await server.start_server()
        started.append(str(server.make_url("/")).rstrip("/"))
        ready.set()
        await asyncio.to_thread(over.wait)
        await server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="server")
    thread.start()
    try:
        assert ready.wait(10)
        yield started[0]
    finally:
        over.set()
        thread.join(10)


@pytest.mark.parametrize(("name", "path", "mode"), CASES)
def test_answers_are_what_the_documents_say(
    base_url: str, name: str, path: str, mode: GenerationMode, caplog: pytest.LogCaptureFixture
) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENTS[name])[path]["GET"]
    of_path = NAMES_OF_NODES if "/nodes/" in path else NAMES
    names_known = {key: st.sampled_from(names) for key, names in of_path.items()}
    known = st.fixed_dictionaries({}, optional=names_known)
    if mode is GenerationMode.POSITIVE:
        known = st.fixed_dictionaries(names_known)

    # What fits nothing is found by throwing away what fits.
    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(operation.as_strategy(generation_mode=mode), known, st.sampled_from(ACCEPTS))
    def ask(case: Any, found: dict[str, str], accept: str) -> None:
        case.path_parameters |= {key: value for key, value in found.items() if key in case.path_parameters}
        response = case.call(base_url=base_url, headers={"Accept": accept})
        checks: list[Any] = [not_a_server_error]
        if response.status_code == 200:
            checks += [content_type_conformance, response_schema_conformance]
        case.validate_response(response, checks=checks)

    with caplog.at_level(logging.WARNING):
        ask()
    assert caplog.records == []

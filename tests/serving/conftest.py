"""Every test of this room runs on uvloop and on asyncio's own loop: both carry the listener in production."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvloop

from pymetrics_server.auth.trust import Trust
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.limits import Limits
from tests.serving.door import TRUST, Serving

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as made:
        yield made


@pytest.fixture
def run(runner: asyncio.Runner, tmp_path: Path) -> Callable[..., None]:
    def run_scenario(
        scenario: Callable[[Serving], Awaitable[None]],
        trust: Trust = TRUST,
        *,
        limits: Limits | None = None,
        sni: Sequence[ServingCertificate] = (),
    ) -> None:
        async def serve() -> None:
            serving = Serving(tmp_path, trust, limits, sni)
            await serving.listener.start(serving.answer, "127.0.0.1", 0)
            try:
                await scenario(serving)
            finally:
                await serving.listener.stop(0.1)

        runner.run(serve())

    return run_scenario

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import RawTestServer

from tests.api.world import World, small_cluster

Serve = Callable[[World], Awaitable[ClientSession]]


@pytest.fixture
def world() -> World:
    return small_cluster()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a world on a real socket; the session sends no headers of its own that matter here."""
    opened: list[tuple[RawTestServer, ClientSession]] = []

    async def served(world: World) -> ClientSession:
        server = RawTestServer(world.app())
        await server.start_server()
        session = ClientSession(
            base_url=server.make_url("/"),
            headers={"Accept": "", "Accept-Encoding": "identity"},
            auto_decompress=False,
        )
        opened.append((server, session))
        return session

    yield served
    for server, session in opened:
        await session.close()
        await server.close()

"""A loop on which names that do not resolve hold up neither addresses nor the end."""

import asyncio
from typing import Any

from pymetrics_server.kubelet.lookups import Lookups


class LookupLoop(asyncio.SelectorEventLoop):
    """Looks everything up as the server looks up kubelets: asyncio has one small pool of threads for it, and waits for
    each of them at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups = Lookups()

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> list[Any]:
        return await self._lookups.addresses(host, port, **hints)

    def close(self) -> None:
        self._lookups.close()
        super().close()

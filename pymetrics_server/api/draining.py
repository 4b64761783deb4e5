"""Leaving: who comes while the server goes.

`quiet` waits while kube-apiserver has yet to learn that it goes: each answer then ends its connection, so that the
next one is made to whoever serves instead. With --shutdown-send-retry-after whoever comes new is sent away to come
again while what was begun is finished: metrics-server's `k8s.io/apiserver/pkg/server/filters`, the filter of
Retry-After. It stands before everything but the audit's id, and lets probes, /metrics and kube-apiserver's own
requests through.
"""

import asyncio
from contextlib import suppress

from aiohttp import web

_EXEMPT_PATHS = ("/readyz", "/livez", "/healthz", "/metrics")
_EXEMPT_AGENT = "kube-apiserver/"
_RETRY_AFTER_S = 5
_TEXT = "The apiserver is shutting down, please try again later.\n"


class Draining:
    def __init__(self) -> None:
        self.has_begun = False
        self._under_way = 0
        self._came = 0
        self._is_leaving = False
        self._none_under_way = asyncio.Event()

    async def quiet(self, for_s: float, at_most_s: float) -> None:
        """Until nobody has come for so long."""
        self._is_leaving = True
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                came = -1
                while came != self._came:
                    came = self._came
                    await asyncio.sleep(for_s)

    def begin(self) -> None:
        self.has_begun = True
        if not self._under_way:
            self._none_under_way.set()

    async def wait(self) -> None:
        """Until every request is answered that had come before the beginning."""
        await self._none_under_way.wait()

    def turns_away(self, path: str, user_agent: str) -> bool:
        return self.has_begun and not (path.startswith(_EXEMPT_PATHS) or user_agent.startswith(_EXEMPT_AGENT))

    def parting(self, response: web.StreamResponse) -> web.StreamResponse:
        if self._is_leaving:
            response.force_close()
        return response

    def comes(self) -> bool:
        """Whether it counts, and `goes` is to be told."""
        self._came += 1
        if self.has_begun:  # exempt, and may go on for ever
            return False
        self._under_way += 1
        return True

    def goes(self) -> None:
        self._under_way -= 1
        if self.has_begun and not self._under_way:
            self._none_under_way.set()


def turned_away(audit_id: str) -> web.Response:
    headers = {
        "Audit-Id": audit_id,
        "Retry-After": str(_RETRY_AFTER_S),
        "X-Content-Type-Options": "nosniff",
        "Server": "pymetrics-server",
    }
    response = web.Response(text=_TEXT, status=429, headers=headers)
    response.force_close()
    return response

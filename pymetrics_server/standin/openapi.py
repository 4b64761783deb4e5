"""OpenAPI as kube-apiserver shows it: the documents of the server behind it, for the stand-in has no schemas of its own.

They are asked for when they are wanted; a real kube-apiserver asks every minute and keeps what it got. A server
that has none is like no server: nothing is listed, and there is no version 2 document.

Kubernetes: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from aiohttp import hdrs, web

from pymetrics_server.log import Logger
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.meta.status import not_found_generic
from pymetrics_server.standin.reading import json_response

log = Logger(__name__)

#: Path, headers, who asks -> status, headers, body.
Ask = Callable[[str, Mapping[str, str], UserInfo], Awaitable[tuple[int, Mapping[str, str], bytes]]]

_ASKER = UserInfo("system:aggregator")
_ASKED_WITH = (hdrs.ACCEPT, hdrs.IF_NONE_MATCH, hdrs.IF_MODIFIED_SINCE)
_ANSWERED_WITH = (hdrs.CONTENT_TYPE, hdrs.ETAG, hdrs.LAST_MODIFIED, hdrs.VARY)


class _Index(msgspec.Struct):
    paths: dict[str, Any]


async def index(ask: Ask, group: str) -> web.Response:
    """Version 3: which documents there are of the group."""
    status, _, body = await _told(ask, "/openapi/v3", {})
    paths: Mapping[str, Any] = {}
    if status == 200:
        try:
            listed = msgspec.json.decode(body, type=_Index).paths
            paths = {key: value for key, value in listed.items() if _is_of(key, group)}
        except msgspec.MsgspecError as err:
            log.info("The server's OpenAPI index cannot be read", v=1, because=str(err))
    return json_response({"paths": paths})


async def swagger(ask: Ask, request: web.BaseRequest) -> web.Response:
    """Version 2, in the form that the caller accepts. Raises StatusError 404 where the server has none."""
    headers: dict[str, str] = {name: request.headers[name] for name in _ASKED_WITH if name in request.headers}
    status, answered, body = await _told(ask, "/openapi/v2", headers)
    if status not in (200, 304, 406):
        raise not_found_generic()
    kept = {name: answered[name] for name in _ANSWERED_WITH if name in answered}
    return web.Response(body=body, status=status, headers=kept)


def _is_of(key: str, group: str) -> bool:
    return key == f"apis/{group}" or key.startswith(f"apis/{group}/")


async def _told(ask: Ask, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    """Status 503 for a server that cannot be reached."""
    try:
        return await ask(path, headers, _ASKER)
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        log.info("The server's OpenAPI cannot be had", v=1, path=path, because=str(err) or type(err).__name__)
        return 503, {}, b""

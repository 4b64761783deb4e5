"""A reply on its way out: compressed off the loop where that pays, written in chunks that leave it free."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aiohttp import web

from pymetrics_server.api.reply import Reply

CHUNK_BYTES = 256 * 1024
_GZIP_ABOVE_BYTES = 128 * 1024
_GZIP_WBITS = 31


async def send(
    request: web.BaseRequest, reply: Reply, headers: Mapping[str, str], accept_encoding: str
) -> web.StreamResponse:
    """The response; a large body is written by the time it is returned, a small one is left to the caller."""
    parts = reply.parts
    headers = {**headers, **reply.headers}
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    if (
        reply.size_bytes > _GZIP_ABOVE_BYTES
        and "Content-Encoding" not in headers
        and _takes_gzip(accept_encoding)
    ):
        parts = await asyncio.to_thread(_compressed, parts)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    size_bytes = sum(map(len, parts))
    if size_bytes <= CHUNK_BYTES or request.method == "HEAD":
        body = b"" if request.method == "HEAD" else b"".join(parts)
        headers["Content-Length"] = str(size_bytes)
        return web.Response(body=body, status=reply.code, headers=headers)
    response = web.StreamResponse(status=reply.code, headers=headers)
    response.content_length = size_bytes
    try:
        await response.prepare(request)
        for chunk in _chunks(parts):
            await response.write(chunk)
            await asyncio.sleep(0)  # write only waits for a socket that is full
        await response.write_eof()
    except ConnectionError:
        pass  # the client is gone; aiohttp finds that out as well and closes
    return response


def _takes_gzip(accept_encoding: str) -> bool:
    return any(element.strip() == "gzip" for element in accept_encoding.split(","))


def _compressed(parts: Sequence[bytes]) -> list[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WBITS)
    return [*filter(None, map(compressor.compress, _chunks(parts))), compressor.flush()]


def _chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Together what `parts` are, none above CHUNK_BYTES and none needlessly small."""
    gathered: list[bytes] = []
    gathered_bytes = 0
    for part in parts:
        for start in range(0, len(part), CHUNK_BYTES):
            piece = part if len(part) <= CHUNK_BYTES else part[start : start + CHUNK_BYTES]
            if gathered_bytes + len(piece) > CHUNK_BYTES:
                yield b"".join(gathered)
                gathered, gathered_bytes = [], 0
            gathered.append(piece)
            gathered_bytes += len(piece)
    if gathered:
        yield b"".join(gathered)

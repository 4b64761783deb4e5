"""A reply on its way out: compressed off the loop where that pays, written in chunks that leave it free."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from pymetrics_server.api.pace import step_aside
from pymetrics_server.api.reply import Reply

CHUNK_BYTES = 256 * 1024
_WORTH_A_WRITE_BYTES = 64 * 1024  # to join it with others would cost more than it saves
_GZIP_ABOVE_BYTES = 128 * 1024
_GZIP_WBITS = 31
_COMPRESSORS = ThreadPoolExecutor(2, "gzip")  # more would share the cores, and each keeps a MiB for good


def is_small(reply: Reply) -> bool:
    """Neither compressed nor written in chunks."""
    return reply.size_bytes <= _GZIP_ABOVE_BYTES


def small_response(method: str, reply: Reply, headers: dict[str, str]) -> web.Response:
    """For the caller to write; the headers are completed."""
    _complete(headers, reply)
    if method != "HEAD":
        return web.Response(body=b"".join(reply.parts), status=reply.code, headers=headers)
    headers["Content-Length"] = str(reply.size_bytes)
    return web.Response(status=reply.code, headers=headers)


async def send(
    request: web.BaseRequest, reply: Reply, headers: dict[str, str], accept_encoding: str
) -> web.StreamResponse:
    """A large reply, written by the time it is returned."""
    parts = reply.parts
    _complete(headers, reply)
    if "Content-Encoding" not in headers and _takes_gzip(accept_encoding):
        parts = await asyncio.get_running_loop().run_in_executor(_COMPRESSORS, _compressed, parts)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    size_bytes = sum(map(len, parts))
    if request.method == "HEAD":
        headers["Content-Length"] = str(size_bytes)
        return web.Response(status=reply.code, headers=headers)
    response = web.StreamResponse(status=reply.code, headers=headers)
    response.content_length = size_bytes
    try:
        await response.prepare(request)
        for chunk in _chunks(parts):
            await response.write(chunk)
            await step_aside()  # write only waits for a socket that is full
        await response.write_eof()
    except ConnectionError:
        pass  # the client is gone; aiohttp finds that out as well and closes
    return response


def _complete(headers: dict[str, str], reply: Reply) -> None:
    headers |= reply.headers
    if reply.content_type:
        headers["Content-Type"] = reply.content_type


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
        if _WORTH_A_WRITE_BYTES <= len(part) <= CHUNK_BYTES:
            if gathered:
                yield b"".join(gathered)
                gathered, gathered_bytes = [], 0
            yield part
            continue
        for start in range(0, len(part), CHUNK_BYTES):
            piece = part if len(part) <= CHUNK_BYTES else part[start : start + CHUNK_BYTES]
            if gathered_bytes + len(piece) > CHUNK_BYTES:
                yield b"".join(gathered)
                gathered, gathered_bytes = [], 0
            gathered.append(piece)
            gathered_bytes += len(piece)
    if gathered:
        yield b"".join(gathered)

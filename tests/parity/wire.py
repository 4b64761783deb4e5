"""One request and its answer, byte for byte: no client library smooths the path, the headers or the body."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence

import msgspec

_TIMEOUT_S = 30.0
_BODILESS = (204, 304)

Headers = Sequence[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True):
    """`status` 0: the connection ended without an answer, the body says how. No answer in time is an error."""

    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name)


async def ask(
    port: int,
    context: ssl.SSLContext,
    method: str,
    path: str,
    headers: Headers,
    body: bytes = b"",
    http: str = "1.1",
) -> Answer:
    """On a connection of its own. `path` goes out as it is written. Raises AssertionError after half a minute."""
    head = [f"{method} {path} HTTP/{http}", f"Host: 127.0.0.1:{port}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers]
    if body:
        head.append(f"Content-Length: {len(body)}")
    request = "\r\n".join([*head, "", ""]).encode() + body
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                writer.write(request)
                answer = await reader.read(-1)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise AssertionError(f"port {port}: no answer within {_TIMEOUT_S:.0f} s to {method} {path}") from None
    except OSError as err:
        return Answer(0, (), type(err).__name__.encode())
    return parse(answer, method)


def parse(answer: bytes, method: str = "GET") -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    words = status_line.split(" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return Answer(0, (), b"no answer")
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    parsed = Answer(int(words[1]), tuple(headers), body)
    if method == "HEAD" or parsed.status in _BODILESS:
        return parsed
    if parsed.header("transfer-encoding") == "chunked":
        return msgspec.structs.replace(parsed, body=_joined(body))
    promised = parsed.header("content-length")
    assert not promised or int(promised) == len(body), f"{promised} bytes promised, {len(body)} came"
    return parsed


def _joined(chunked: bytes) -> bytes:
    chunks = []
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            break
        chunks.append(rest[:length])
        chunked = rest[length + 2 :]
    return b"".join(chunks)

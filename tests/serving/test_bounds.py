"""What clients may cost that are slow, greedy, many or no HTTP clients at all."""

import asyncio
import contextlib
import logging
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from pymetrics_server.log import set_verbosity
from pymetrics_server.serving.limits import Limits, limits_of
from tests.serving.door import ALICE, PROXY, Serving, client_context

ASKING = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
TOO_LONG = b"431 Request Header Fields Too Large"
Run = Callable[..., None]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  the listener tells nobody
            await asyncio.sleep(0.01)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, in whatever way it does."""
    heard = b""
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await reader.read(65_536):
                heard += piece
    return heard


@contextlib.asynccontextmanager
async def raw(serving: Serving, receive_bytes: int = 0) -> AsyncIterator[socket.socket]:
    """A connection without a word of TLS."""
    with socket.socket() as connected:
        connected.setblocking(False)
        if receive_bytes:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", serving.listener.port))
        yield connected


async def ended(connected: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(connected, 1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("long_line", [True, False], ids=["one header", "many headers"])
def test_a_request_s_head_is_read_up_to_a_megabyte(run: Run, long_line: bool) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            line = b"X-Long: " + b"x" * (300_000 if long_line else 1000) + b"\r\n"
            with contextlib.suppress(ConnectionError):
                writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n" + line * (1 if long_line else 1100))
                await writer.drain()
            assert (await rest_of(reader)).endswith(TOO_LONG)
        async with serving.dialled() as (reader, writer):
            lines = (b"X-Long: " + b"x" * 100_000 + b"\r\n") * 9
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(scenario)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: h\r\nX: "], ids=["nothing", "half a head"])
def test_who_does_not_come_to_the_end_of_a_request_is_cut_off_and_costs_nobody_else(
    run: Run, sent: bytes
) -> None:
    async def scenario(serving: Serving) -> None:
        async with contextlib.AsyncExitStack() as stack:
            slow = [await stack.enter_async_context(serving.dialled()) for _ in range(10)]
            good = await stack.enter_async_context(serving.client(PROXY))

            async def drip(writer: asyncio.StreamWriter) -> None:
                with contextlib.suppress(ConnectionError):
                    writer.write(sent)
                    while sent:
                        await asyncio.sleep(0.02)
                        writer.write(b"x")
                        await writer.drain()

            async with asyncio.TaskGroup() as group:
                dripping = [group.create_task(drip(writer)) for _, writer in slow]
                for _ in range(20):
                    assert await good.get(**ALICE) == "alice"
                for reader, _ in slow:
                    assert await rest_of(reader) == b""
                for task in dripping:
                    task.cancel()
            assert await good.get(**ALICE) == "alice"
            await until(lambda: serving.listener.connections == 1)

    run(scenario, limits=Limits(head_timeout_s=0.4))


def test_a_second_request_s_head_has_its_own_time(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            writer.write(ASKING)
            await reader.readuntil(b"system:anonymous")
            writer.write(b"GET / HT")
            assert await rest_of(reader) == b""

    run(scenario, limits=Limits(head_timeout_s=0.2))


def test_an_idle_connection_is_kept_longer_than_a_head_may_take(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
            await reader.readuntil(b"system:anonymous")
            writer.write(b"abc")
            await writer.drain()
            async with serving.dialled() as (other, _):  # cut off much later than this one would have been
                assert await rest_of(other) == b""
            writer.write(ASKING)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(scenario, limits=Limits(head_timeout_s=0.2))


def test_a_connection_without_tls_ends_when_the_handshake_s_time_is_over(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with raw(serving) as silent, serving.client(PROXY) as good:
            assert await good.get(**ALICE) == "alice"
            assert await asyncio.wait_for(ended(silent), 5)
            assert await good.get(**ALICE) == "alice"
            await until(lambda: serving.listener.connections == 1)

    run(scenario, limits=Limits(handshake_timeout_s=0.2))


@pytest.mark.parametrize(
    "limits",
    [Limits(connections_per_peer=5), Limits(connections=5)],
    ids=["of one address", "of all"],
)
def test_where_there_are_too_many_the_newest_is_let_in_and_who_never_asked_goes(
    run: Run, limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(serving: Serving) -> None:
        async with contextlib.AsyncExitStack() as stack:
            good = await stack.enter_async_context(serving.client(PROXY))
            assert await good.get(**ALICE) == "alice"
            silent = [await stack.enter_async_context(raw(serving)) for _ in range(6)]
            mute = [await stack.enter_async_context(serving.dialled()) for _ in range(6)]
            late = await stack.enter_async_context(serving.client(PROXY))
            assert await late.get(**ALICE) == "alice"
            assert await good.get(**ALICE) == "alice"
            for connected in silent:
                assert await asyncio.wait_for(ended(connected), 5)
            for reader, _ in mute[:3]:
                assert await rest_of(reader) == b""
            assert serving.listener.connections == 5

    run(scenario, limits=limits)
    assert caplog.text.count("Too many connections") == 1


def test_handshakes_from_elsewhere_do_not_stand_behind_those_of_one_address(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that a slow machine is no slower in coming from elsewhere than in answering the many.
    monkeypatch.setattr("pymetrics_server.serving.listener._BETWEEN_MANY_S", 0.05)

    async def scenario(serving: Serving) -> None:
        async with contextlib.AsyncExitStack() as stack:
            many = []
            for _ in range(200):
                # Blocking: they are all there before the listener sees the first.
                connected = socket.create_connection(
                    ("127.0.0.1", serving.listener.port), source_address=("127.0.0.2", 0)
                )
                many.append(stack.enter_context(connected))
                connected.sendall(client_hello(serving.directory))
            late = await stack.enter_async_context(serving.client(PROXY))
            assert await late.get(**ALICE) == "alice"
            answered, _, _ = select.select(many, [], [], 0)
            assert len(answered) < 150

    run(scenario)


def client_hello(directory: Path) -> bytes:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_context(directory).wrap_bio(to_client, to_server, server_hostname="localhost").do_handshake()
    return to_server.read()


def test_nobody_is_thrown_out_in_the_middle_of_a_request(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.client(PROXY) as one, serving.client(PROXY) as two:
            async with asyncio.TaskGroup() as group:
                busy = [group.create_task(client.get("/slow", **ALICE)) for client in (one, two)]
                await serving.entered.wait()
                await until(lambda: serving.listener.connections == 2)
                async with serving.client() as third:
                    with pytest.raises(aiohttp.ClientError):
                        await third.get()
                serving.may_end.set()
            assert [task.result() for task in busy] == ["alice", "alice"]
            async with serving.client() as third:
                assert await third.get() == "system:anonymous"

    run(scenario, limits=Limits(connections_per_peer=2))


def test_strangers_from_many_addresses_make_room_for_who_has_most_and_is_busy(run: Run) -> None:
    """As kube-apiserver is, beside a crowd of pods that connect and say nothing."""

    async def scenario(serving: Serving) -> None:
        async with contextlib.AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(serving.client(PROXY)) for _ in range(3)]
            async with asyncio.TaskGroup() as group:
                busy = [group.create_task(proxy.get("/slow", **ALICE)) for proxy in proxies]
                await until(lambda: serving.listener.connections == 3)
                await serving.entered.wait()
                for i in (2, 2, 3, 3, 4):
                    stack.enter_context(
                        socket.create_connection(
                            ("127.0.0.1", serving.listener.port), source_address=(f"127.0.0.{i}", 0)
                        )
                    )
                await until(lambda: serving.listener.connections == 8)
                late = await stack.enter_async_context(serving.client(PROXY))
                assert await late.get(**ALICE) == "alice"
                serving.may_end.set()
            assert [task.result() for task in busy] == ["alice"] * 3

    run(scenario, limits=Limits(connections=8))


def test_a_body_that_never_comes_keeps_nobody_out(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                reader, writer = await stack.enter_async_context(serving.dialled())
                writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n")
                await asyncio.wait_for(reader.readuntil(b"system:anonymous"), 5)
            for _ in range(3):
                late = await stack.enter_async_context(serving.client(PROXY))
                assert await late.get(**ALICE) == "alice"

    run(scenario, limits=Limits(connections_per_peer=3, linger_s=60))


def test_heads_without_end_take_no_more_than_their_share_together(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(6):
                _, writer = await stack.enter_async_context(serving.dialled())
                writer.write(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 60_000)
            good = await stack.enter_async_context(serving.client(PROXY))
            await until(lambda: serving.listener.connections == 3)
            assert await good.get(**ALICE, X_Remote_Extra_Long="x" * 20_000) == "alice"

    run(scenario, limits=Limits(parts_bytes=200_000))


@pytest.mark.parametrize("path", [b"/big", b"/"])
def test_who_asks_and_asks_and_reads_nothing_is_cut_off(run: Run, path: bytes) -> None:
    async def scenario(serving: Serving) -> None:
        async with raw(serving, receive_bytes=4096) as connected:
            _, writer = await asyncio.open_connection(
                sock=connected, ssl=client_context(serving.directory), server_hostname="localhost", limit=1
            )
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a Transport

            async def ask_on() -> None:
                while True:
                    writer.write((b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n") * 50)
                    await writer.drain()
                    await asyncio.sleep(0)

            asking = asyncio.get_running_loop().create_task(ask_on())
            await until(lambda: serving.listener.connections == 1)
            await until(lambda: serving.listener.connections == 0)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await asking
            writer.transport.abort()

    run(scenario, limits=Limits(unread_timeout_s=0.4))


def test_who_reads_slowly_but_reads_is_answered(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            for _ in range(4):
                writer.write(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                for _ in range(10):
                    await reader.readexactly(20_000)
                    await asyncio.sleep(0.01)

    run(scenario, limits=Limits(unread_timeout_s=0.3))


def test_a_body_that_nobody_wants_does_not_hold_up_the_answer(run: Run) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"system:anonymous"), 5)
            writer.write(bytes(900_000))
            writer.write(ASKING)
            await asyncio.wait_for(reader.readuntil(b"system:anonymous"), 5)

    run(scenario)


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
def test_a_body_without_end_is_cut_off(run: Run, framing: bytes) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
            sent_bytes = 0
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"fffff;" + b"x" * 5000 + b"\r\n" + bytes(0xFFFFF) + b"\r\n")
                    await writer.drain()
                    sent_bytes += 0xFFFFF
                    assert sent_bytes < 64 << 20
            heard = await rest_of(reader)
            assert not heard or heard.startswith(b"HTTP/1.1 200")
            await until(lambda: serving.listener.connections == 0)

    run(scenario)


def test_a_compressed_body_is_not_inflated(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            for _ in range(2):
                writer.write(
                    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
                )
                assert (await reader.readuntil(b"system:anonymous")).startswith(b"HTTP/1.1 200")

    run(scenario)
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []


NO_REQUESTS = {
    "no HTTP": (b"\x16\x03\x01\x00\r\n\r\n", b"400"),
    "folded": (b"GET / HTTP/1.1\r\nHost: h\r\nX-Remote-User: secret\r\n b\r\n\r\n", b"400"),
    "blank before colon": (b"GET / HTTP/1.1\r\nHost: h\r\nX-Remote-User : secret\r\n\r\n", b"400"),
    "a control character": (b"GET / HTTP/1.1\r\nAuthorization: Bearer secret\0\r\n\r\n", b"400"),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"400",
    ),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    "a long line": (b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", b"431"),
}


@pytest.mark.parametrize("case", NO_REQUESTS)
def test_what_is_no_request_is_told_so_in_plain_text_and_logged_in_a_line(
    run: Run, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent, code = NO_REQUESTS[case]

    async def scenario(serving: Serving) -> None:
        async with serving.dialled() as (reader, writer):
            writer.write(sent)
            answer = await rest_of(reader)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert body.startswith(code + b" ")
            assert head.split(b" ")[1] == code
            assert b"content-type: text/plain; charset=utf-8" in head.lower()
            assert b"connection: close" in head.lower() or head.startswith(b"HTTP/1.0")
            assert b"aiohttp" not in answer.lower()

    set_verbosity(2)
    try:
        run(scenario)
    finally:
        set_verbosity(0)
    said = [r for r in caplog.records if "cannot be read" in r.message]
    assert [r.levelname for r in said] == ["INFO"]
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR") or r.exc_info] == []
    assert "secret" not in str([r.__dict__ for r in caplog.records])


def connect(context: ssl.SSLContext, port: int) -> None:
    """Through a plain socket: asyncio's streams leave without the alert that says why."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as connected,
        context.wrap_socket(connected, server_hostname="localhost"),
    ):
        pass


def test_each_reason_for_a_failed_handshake_is_told_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(serving: Serving) -> None:
        old = client_context(serving.directory)
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("AES128-SHA")  # for RSA keys alone
        distrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for _ in range(3):
            for context in (old, distrusting):
                with pytest.raises(ssl.SSLError):
                    await asyncio.to_thread(connect, context, serving.listener.port)
            async with raw(serving) as plain:
                await asyncio.get_running_loop().sock_sendall(plain, ASKING)
                while not await ended(plain):
                    pass
        await until(lambda: serving.listener.connections == 0)

    caplog.set_level(logging.INFO)
    run(scenario)
    for sentence, reason in (
        ("A TLS handshake failed", "NO_SHARED_CIPHER"),
        ("A TLS handshake failed", "HTTP_REQUEST"),
        ("A client refused our certificate in the TLS handshake", "UNKNOWN_CA"),
    ):
        told = [r for r in caplog.records if sentence in r.message and reason in r.__dict__["kv"]["reason"]]
        assert len(told) == 1, reason


def test_half_of_the_files_that_may_be_open_are_left_to_others() -> None:
    assert limits_of(60, 1_048_576) == limits_of(60, -1) == Limits()
    few = limits_of(30, 1024)
    assert (few.connections, few.connections_per_peer, few.unread_timeout_s) == (512, 384, 30)

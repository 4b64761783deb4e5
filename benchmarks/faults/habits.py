"""The ways in which a kubelet's answer goes wrong, and what can be wrong about what it says."""

import asyncio
import zlib

import msgspec

from benchmarks.faults.kubelets import Call, Habit, Look, sane
from pymetrics_server.standin.views import NodeSource, NodeView

_S = 1_000_000_000
_MiB = 1 << 20
_FORBIDDEN = b"Forbidden (user=system:serviceaccount:kube-system:metrics-server, verb=get, resource=nodes, subresource=%b)"


def every(k: int, wrong: Habit) -> Habit:
    """Each k-th answer of a kubelet is `wrong`."""

    async def answer(call: Call) -> None:
        await (wrong if call.kubelet.asked % k == 0 else sane)(call)

    return answer


def after(seconds: float) -> Habit:
    async def answer(call: Call) -> None:
        await asyncio.sleep(seconds)
        await sane(call)

    return answer


def status(line: str, body: bytes) -> Habit:
    async def answer(call: Call) -> None:
        await call.say(body, line)

    return answer


async def hang(_: Call) -> None:
    """Before a byte of the head."""
    await asyncio.Event().wait()


async def hang_in_the_middle(call: Call) -> None:
    body = call.body()
    call.writer.write(
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2]
    )
    await asyncio.Event().wait()


async def reset(call: Call) -> None:
    call.writer.transport.abort()


async def cut_short(call: Call) -> None:
    body = call.body()
    call.writer.write(
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2]
    )
    call.writer.close()


async def more_than_its_length(call: Call) -> None:
    """Its Content-Length ends in the middle of what it sends; the rest stands before the next answer."""
    body = call.body()
    length = body.rindex(b"{", 0, len(body) // 2) + 5
    call.writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + body)


async def endless(call: Call) -> None:
    call.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not call.writer.is_closing():
        call.writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await call.writer.drain()
        await asyncio.sleep(0)  # drain does not wait where nobody is there any more


async def trickle(call: Call) -> None:
    """A byte now and then, for ever."""
    call.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not call.writer.is_closing():
        call.writer.write(b"1\r\n \r\n")
        await call.writer.drain()
        await asyncio.sleep(0.2)


_packer = zlib.compressobj(9, wbits=31)
_first, _again = (_packer.compress(bytes(_MiB)) + _packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
_BOMB = _first + _again * 511  # nobody gets as far as its checksum


async def bomb(call: Call) -> None:
    await call.say(_BOMB, headers="Content-Encoding: gzip\r\n")


async def html(call: Call) -> None:
    await call.say(b"<html><body>Please sign in</body></html>", headers="Content-Type: text/html\r\n")


async def garbage(call: Call) -> None:
    await call.say(bytes(range(256)) * 40)


async def empty(call: Call) -> None:
    await call.say(b'{"node":{},"pods":[]}' if call.path == "/stats/summary" else b"")


async def no_http(call: Call) -> None:
    call.writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await asyncio.Event().wait()


async def forbidden(call: Call) -> None:
    subresource = b"stats" if call.path == "/stats/summary" else b"metrics"
    await call.say(_FORBIDDEN % subresource, "403 Forbidden")


async def forbidden_summary(call: Call) -> None:
    await (forbidden if call.path == "/stats/summary" else sane)(call)


def clock_off(seconds: float) -> Look:
    """The kubelet's clock is that far ahead, or behind."""
    off_ns = int(seconds * _S)

    def look(view: NodeView) -> NodeView:
        return msgspec.structs.replace(
            view,
            time_ns=view.time_ns + off_ns,
            pods=tuple(
                msgspec.structs.replace(
                    pod,
                    containers=tuple(
                        msgspec.structs.replace(c, time_ns=c.time_ns + off_ns) for c in pod.containers
                    ),
                )
                for pod in view.pods
            ),
        )

    return look


def clock_jumping() -> Look:
    """An hour to and fro, from sample to sample."""
    ahead = clock_off(3600)
    return lambda view: ahead(view) if view.time_ns // (2 * _S) % 2 else view


def restarted(before: NodeView) -> Look:
    """Every container began anew right after `before`, which the kubelet tells until it has looked again."""
    since_ns = before.time_ns + 1

    def anew(nanocores: int, time_ns: int) -> int:
        return nanocores * (time_ns - since_ns) // _S

    def look(view: NodeView) -> NodeView:
        if view.time_ns < since_ns + 4 * _S:
            return before
        return msgspec.structs.replace(
            view,
            boot_ns=since_ns,
            cpu_ns=anew(view.usage_nanocores, view.time_ns),
            pods=tuple(
                msgspec.structs.replace(
                    pod,
                    start_ns=since_ns,
                    containers=tuple(
                        msgspec.structs.replace(
                            c, start_ns=since_ns, cpu_ns=anew(c.usage_nanocores, c.time_ns)
                        )
                        for c in pod.containers
                    ),
                )
                for pod in view.pods
            ),
        )

    return look


def with_pods_of(other: NodeSource) -> Look:
    """Its own pods, and those of another node, too."""
    return lambda view: msgspec.structs.replace(view, pods=view.pods + other.view().pods)

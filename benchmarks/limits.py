"""What nobody could be faster than, with these libraries: `python -m benchmarks.limits`.

A handler that answers prepared bytes, under the same aiohttp, uvloop and TLS, asked as the server is asked by
benchmarks.measure. What the server takes more is its own: who asks, may they, what is there.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from aiohttp import web

from benchmarks.asking import Client, Tree, asking, free_port
from benchmarks.phases import Work, has_wrk, one_by_one
from benchmarks.phases import at_once as many_at_once
from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.pki import PairFiles, server_context
from pymetrics_server.x509 import issue, make_ca

_CHUNK_BYTES = 256 * 1024
_ITEM_BYTES = 400
_JSON = "application/json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=30_000, help="how many items the list has")
    parser.add_argument("--serve", nargs=3, metavar=("PORT", "CERTIFICATE", "KEY"), help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.serve:
        port, cert, key = a.serve
        uvloop.run(_serve(int(port), PairFiles(Path(cert), Path(key)), a.pods))
        return
    with tempfile.TemporaryDirectory(prefix="pymetrics-limits-") as directory:
        for line in _measured(Path(directory), a.pods):
            print(line)


async def _serve(port: int, pair: PairFiles, pods: int) -> None:
    one = b"x" * _ITEM_BYTES
    parts = [one * (_CHUNK_BYTES // _ITEM_BYTES)] * (pods // (_CHUNK_BYTES // _ITEM_BYTES))
    headers = {"Content-Type": _JSON, "Cache-Control": "no-cache, private"}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path != "/list":
            return web.Response(body=one, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = sum(map(len, parts))
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=server_context(pair)).start()
    await asyncio.Event().wait()


def _measured(directory: Path, pods: int) -> Sequence[str]:
    port, now_ns = free_port(), SystemClock().now_ns()
    made = issue(make_ca("limits", now_ns), "limits", now_ns, hosts=["127.0.0.1"], server=True)
    pair = PairFiles(directory / "server.crt", directory / "server.key")
    pair.cert.write_bytes(made.cert_pem)
    pair.key.write_bytes(made.key_pem)
    command = [
        "-m",
        "benchmarks.limits",
        f"--pods={pods}",
        "--serve",
        str(port),
        str(pair.cert),
        str(pair.key),
    ]
    bare = subprocess.Popen([sys.executable, *command])
    try:
        _until_it_answers(port)
        tree = Tree(bare.pid)
        with asking(port, "") as client:
            small = one_by_one(client, tree, Work("/one", _JSON, 300))
            large = one_by_one(client, tree, Work("/list", _JSON, 20))
        lines = [
            f"one answer of {_ITEM_BYTES} bytes: p50 {small['p50_ms']:.3f} ms, CPU {small['cpu_ms']:.3f} ms",
            f"{large['bytes'] / 1e6:.1f} MB that are ready: p50 {large['p50_ms']:.1f} ms, CPU {large['cpu_ms']:.1f} ms",
        ]
        if has_wrk():
            crowd = many_at_once(port, "", tree, Work("/one", _JSON, 0), 5)
            lines.append(
                f"16 connections: {crowd['wrk_rps']:.0f} a second, CPU {crowd['wrk_cpu_us_per_req']:.0f} us"
            )
        return lines
    finally:
        bare.terminate()
        bare.wait()


def _until_it_answers(port: int) -> None:
    while True:
        client = Client(port, "")
        try:
            client.get("/one")
            return
        except OSError:
            time.sleep(0.05)  # not listening yet
        finally:
            client.close()


if __name__ == "__main__":
    main()

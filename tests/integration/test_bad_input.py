"""What goes wrong at three in the morning: what the process says, and who does not notice."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.kubelet import StandinKubelet
from pymetrics_server.standin.pki import PairFiles, server_context
from pymetrics_server.standin.reviews import SERVER_ACCOUNT
from pymetrics_server.x509 import issue
from tests.integration.processes import BASE, RunningServer, server_beside
from tests.programs import free_port


def run(*flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pymetrics_server", *flags], capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--metric_resolution=15s"], "unknown flag: --metric_resolution"),
        (["--metric-resolution=5s"], "metric-resolution should be a time duration at least 10s, but value 5s provided"),
    ],
)  # fmt: skip
def test_a_bad_flag_is_one_sentence_then_the_usage_and_exit_2(
    flags: list[str], said: str, tmp_path: Path
) -> None:
    done = run(f"--cert-dir={tmp_path}", *flags)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"Error: {said}"
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


async def test_without_kube_apiserver_the_process_waits_and_says_for_what(tmp_path: Path) -> None:
    port = free_port()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}],"
        f" clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{free_port()}'}}}}]}}"
    )
    flags = [f"--{p}kubeconfig={kubeconfig}" for p in ("", "authentication-", "authorization-")]
    with (tmp_path / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pymetrics_server", *flags, "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={tmp_path}", stderr=log,
        )  # fmt: skip
    server = RunningServer(process, port, tmp_path, "t")
    try:
        await server.until(lambda: any("connection refused" in line.lower() for line in server.log_lines))
        status, body = await server.ask("/readyz")
        assert status == 500
        assert "[-]metric-informer-sync failed: reason withheld" in body
        assert (await server.ask("/livez"))[0] == 200  # it must not be restarted for somebody else's fault
    finally:
        process.terminate()
        assert await process.wait() == 0


async def garbage(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"\x00\xffnot json at all" * 50)


async def html(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")


async def huge(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(b" " * (1 << 20))
    return response


async def half(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"node": {')
    assert request.transport is not None
    request.transport.abort()
    return response


async def forbidden(_: web.BaseRequest) -> web.StreamResponse:
    words = "Forbidden (user=system:serviceaccount:kube-system:metrics-server, verb=get, resource=nodes, subresource=stats)"
    return web.Response(status=403, text=words)


Answer = Callable[[web.BaseRequest], object]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [(garbage, "parse_error"), (html, "parse_error"), (huge, "too_large"), (half, "disconnected"), (forbidden, "forbidden")],
)  # fmt: skip
async def test_one_mad_kubelet_is_one_log_line_and_the_others_do_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, failure: str
) -> None:
    sane = StandinKubelet._answer

    async def of_the_first_node(self: StandinKubelet, request: web.BaseRequest) -> object:
        mad = self._source.view().name == "sim-00000"
        return await (answer(request) if mad else sane(self, request))  # type: ignore[misc]  # both are coroutines

    monkeypatch.setattr(StandinKubelet, "_answer", of_the_first_node)
    async with (
        StandinCluster(tmp_path, 3, host=False) as cluster,
        server_beside(cluster, ready=False) as server,
    ):

        async def others_there() -> bool:
            return len(await server.items(f"{BASE}/nodes")) == 2 and len(lines()) > 0

        def lines() -> list[str]:
            return [line for line in server.log_lines if 'node="sim-00000"' in line]

        await server.until(others_there)
        (line,) = lines()
        assert re.match(r"E\d{4} .*\"Failed to scrape node\" ", line)
        for said in (f'failure="{failure}"', 'addresses=["127.0.0.1"', 'cause="', 'cure="'):
            assert said in line
        assert len(await server.items(f"{BASE}/pods")) == 2 * 30
        assert (await server.ask("/readyz"))[0] == 200


async def test_a_certificate_for_another_name_is_said_so(tmp_path: Path) -> None:
    cluster = StandinCluster(tmp_path, 2, host=False)
    async with cluster:
        now_ns = SystemClock().now_ns()
        stranger = issue(cluster.pki.cluster_ca, "elsewhere", now_ns, hosts=["10.1.2.3"], server=True)
        files = PairFiles(tmp_path / "stranger.crt", tmp_path / "stranger.key")
        files.cert.write_bytes(stranger.cert_pem)
        files.key.write_bytes(stranger.key_pem)
        impostor = StandinKubelet(cluster._sources[0], server_context(files), lambda _: True)
        await cluster._kubelets._kubelets[0][1].stop()
        await impostor.start(port=cluster._ports["sim-00000"])
        async with server_beside(cluster, ready=False) as server:
            await server.until(lambda: any("tls_name_mismatch" in line for line in server.log_lines))

            async def other_there() -> bool:
                return len(await server.items(f"{BASE}/nodes")) == 1

            await server.until(other_there)
        await impostor.stop()


async def test_a_failed_scrape_costs_freshness_and_not_presence(tmp_path: Path) -> None:
    async with (
        StandinCluster(tmp_path, 6, host=False, fail_every=3) as cluster,
        server_beside(cluster) as server,
    ):
        seen: set[int] = set()

        async def every_node_failed_once() -> bool:
            seen.add(len(await server.items(f"{BASE}/nodes")))
            metrics = await server.ask("/metrics", {"Authorization": f"Bearer {server._token}"})
            failed = re.search(
                r'^pymetrics_server_kubelet_failures_total\{reason="server_error"\} (\d+)', metrics[1], re.M
            )
            return failed is not None and int(failed[1]) >= 4

        await server.until(every_node_failed_once, timeout_s=60)
        assert seen == {6}


async def test_missing_rights_are_told_with_the_command_that_grants_them_and_again_when_they_are_granted(
    tmp_path: Path,
) -> None:
    bind = (
        "kubectl create clusterrolebinding system:metrics-server:granted-reader:kube-system:metrics-server "
        "--clusterrole=system:metrics-server:granted-reader:kube-system:metrics-server "
        "--serviceaccount=kube-system:metrics-server"
    )
    cluster = StandinCluster(tmp_path, 1, host=False)
    granted = list(cluster.policy.rules)
    cluster.policy.rules = [rule for rule in granted if rule.subject != SERVER_ACCOUNT]
    async with cluster, server_beside(cluster, ready=False) as server:

        async def unready_for_that_reason() -> bool:
            status, _ = await server.ask("/readyz")
            lines = [line for line in server.log_lines if 'probe="metric-informer-sync"' in line]
            return status == 500 and any(bind in line and SERVER_ACCOUNT in line for line in lines)

        await server.until(unready_for_that_reason)
        assert (await server.ask("/livez"))[0] == 200
        cluster.policy.rules = granted

        async def ready() -> bool:
            return (await server.ask("/readyz"))[0] == 200

        await server.until(ready)
        lines = server.log_lines
        for resource in ("nodes", "pods", "configmaps"):
            named = [line for line in lines if f'resource="{resource}"' in line]
            assert [line.split('"')[1] for line in named] == ["Cannot list, trying again", "Granted again"]

"""CAs, tokens and certificates that change while requests come without pause: none of them fails."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from pymetrics_server.clock import SystemClock
from pymetrics_server.kubelet.tls import FollowedTLS, KubeletTLS
from pymetrics_server.meta.identity import UserInfo
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.pki import FRONT_PROXY_NAME, PairFiles, server_context
from pymetrics_server.standin.resources import CONFIGMAPS, configmap_body
from pymetrics_server.standin.reviews import METRICS_READERS
from pymetrics_server.x509 import Pair, issue, make_ca
from tests.integration.processes import BASE, RunningServer, server_beside, trusting_anybody

NODES = f"{BASE}/nodes"
CLAIMS = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
CLAIMED: tuple[Mapping[str, str], Mapping[str, str]] = (CLAIMS, {})  # by a front proxy, and by a user
TAKEN_UP_S = 2.0
_PAUSE_S = 0.02
_NOT_SHOWN_FOR_S = 0.5


def now_ns() -> int:
    return SystemClock().now_ns()


def front_proxy_of(ca: Pair) -> Pair:
    return issue(ca, FRONT_PROXY_NAME, now_ns(), client=True)


def user_of(ca: Pair) -> Pair:
    return issue(ca, "admin", now_ns(), organizations=("system:masters",), client=True)


def replaced(path: Path, content: bytes) -> Path:
    """As a mounted Secret changes: another file comes to stand under the name."""
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content)
    beside.replace(path)
    return path


class Client:
    """Asks for the nodes again and again, on one connection or on a new one each time."""

    def __init__(
        self, server: RunningServer, headers: Mapping[str, str], pair: Pair | None, *, kept_alive: bool
    ) -> None:
        connector = aiohttp.TCPConnector(
            ssl=trusting_anybody(pair, server.directory), force_close=not kept_alive, limit=1
        )
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        self._url = f"https://127.0.0.1:{server.port}{NODES}"
        self.answered = 0
        self.failures: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def status(self) -> int:
        async with self._session.get(self._url) as response:
            await response.read()
            return response.status

    def start(self) -> "Client":
        self._task = asyncio.create_task(self._ask_on(), name="client")
        return self

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._session.close()

    async def _ask_on(self) -> None:
        while True:
            try:
                status = await self.status()
            except aiohttp.ClientError as err:
                self.failures.append(f"{type(err).__name__}: {err}")
            else:
                self.answered += 1
                if status != 200:
                    self.failures.append(str(status))
            await asyncio.sleep(_PAUSE_S)


class Load:
    """Clients of every kind. Those with certificates can be told to show another; whoever leaves has not failed."""

    def __init__(self, server: RunningServer, token: str) -> None:
        self._server = server
        bearer = {"Authorization": f"Bearer {token}"}
        self._lasting = [Client(server, bearer, None, kept_alive=kept).start() for kept in (True, False)]
        self._by_certificate: list[Client] = []
        self._left: list[Client] = []

    async def show(self, front_proxy: Pair, user: Pair) -> None:
        before = self._by_certificate
        self._by_certificate = [
            Client(self._server, headers, pair, kept_alive=kept).start()
            for headers, pair in zip(CLAIMED, (front_proxy, user), strict=True)
            for kept in (True, False)
        ]
        for client in before:
            await client.close()
        self._left += before

    async def goes_on(self) -> None:
        """Until each client was answered some more."""
        clients = [*self._lasting, *self._by_certificate]
        before = [client.answered for client in clients]
        await self._server.until(
            lambda: all(client.answered >= was + 5 for client, was in zip(clients, before, strict=True))
        )

    def failures(self) -> list[str]:
        return [f for c in (*self._lasting, *self._by_certificate, *self._left) for f in c.failures]

    async def close(self) -> None:
        for client in (*self._lasting, *self._by_certificate):
            await client.close()


@contextlib.asynccontextmanager
async def under_load(server: RunningServer, token: str) -> AsyncIterator[Load]:
    load = Load(server, token)
    try:
        yield load
    finally:
        await load.close()


async def within_two_seconds(holds: Callable[[], Awaitable[bool]]) -> None:
    began_s = time.monotonic()
    while not await holds():
        assert time.monotonic() - began_s < TAKEN_UP_S
        await asyncio.sleep(_PAUSE_S)


async def answer_to(server: RunningServer, headers: Mapping[str, str], pair: Pair) -> int:
    """0 where there is none: the handshake was refused."""
    try:
        return (await server.ask(NODES, headers, pair))[0]
    except aiohttp.ClientError:
        return 0


class ByConfigMap:
    def __init__(self, cluster: StandinCluster) -> None:
        self._cluster = cluster

    def flags(self) -> list[str]:
        return []

    def put(self, front_ca_pem: bytes, client_ca_pem: bytes) -> None:
        data = {
            "client-ca-file": client_ca_pem.decode(),
            "requestheader-client-ca-file": front_ca_pem.decode(),
            "requestheader-allowed-names": json.dumps([FRONT_PROXY_NAME]),
            "requestheader-username-headers": json.dumps(["X-Remote-User"]),
            "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
            "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
        }
        body = configmap_body("kube-system", "extension-apiserver-authentication", data, now_ns())
        self._cluster.revisions.put(CONFIGMAPS, body)


class ByFlags:
    def __init__(self, cluster: StandinCluster) -> None:
        self._front, self._client = cluster.directory / "front.crt", cluster.directory / "client.crt"
        self.put(cluster.pki.front_proxy_ca.cert_pem, cluster.pki.cluster_ca.cert_pem)

    def flags(self) -> list[str]:
        return [
            f"--requestheader-client-ca-file={self._front}",
            f"--requestheader-allowed-names={FRONT_PROXY_NAME}",
            f"--client-ca-file={self._client}",
            "--authentication-skip-lookup",
        ]

    def put(self, front_ca_pem: bytes, client_ca_pem: bytes) -> None:
        replaced(self._front, front_ca_pem)
        replaced(self._client, client_ca_pem)


@pytest.mark.parametrize("source", [ByConfigMap, ByFlags])
async def test_cas_are_added_replaced_and_removed_within_two_seconds_and_no_request_fails(
    tmp_path: Path, source: type[ByConfigMap] | type[ByFlags]
) -> None:
    async with StandinCluster(tmp_path, 1, host=False) as cluster:
        trust = source(cluster)
        old_front, old_clients = cluster.pki.front_proxy_ca, cluster.pki.cluster_ca
        new_front, new_clients = make_ca("front-proxy-ca", now_ns()), make_ca("kubernetes", now_ns())
        old = (front_proxy_of(old_front), user_of(old_clients))
        new = (front_proxy_of(new_front), user_of(new_clients))
        token = cluster.add_user("bearer", METRICS_READERS)
        async with server_beside(cluster, *trust.flags()) as server, under_load(server, token) as load:
            await load.show(*old)
            await load.goes_on()
            assert [await answer_to(server, CLAIMS, new[0]), await answer_to(server, {}, new[1])] == [0, 0]

            trust.put(old_front.cert_pem + new_front.cert_pem, old_clients.cert_pem + new_clients.cert_pem)

            async def new_ones_are_let_in() -> bool:
                answers = [await answer_to(server, *shown) for shown in zip(CLAIMED, new, strict=True)]
                return answers == [200, 200]

            await within_two_seconds(new_ones_are_let_in)
            await load.goes_on()
            lingering = [
                Client(server, headers, pair, kept_alive=True)
                for headers, pair in zip(CLAIMED, old, strict=True)
            ]
            assert [await client.status() for client in lingering] == [200, 200]
            await load.show(*new)
            await load.goes_on()

            trust.put(new_front.cert_pem, new_clients.cert_pem)

            async def old_ones_are_nobody() -> bool:
                return [await client.status() for client in lingering] == [401, 401]

            await within_two_seconds(old_ones_are_nobody)  # on the connections that they have kept
            for headers, pair in zip(CLAIMED, old, strict=True):
                assert await answer_to(server, headers, pair) == 0
            await load.goes_on()
            assert load.failures() == []
            for client in lingering:
                await client.close()


class Shown(dict[str, UserInfo]):
    """Users by token, and when each token was last shown."""

    def __init__(self, users: Mapping[str, UserInfo]) -> None:
        super().__init__(users)
        self.last_s: dict[str, float] = {}

    def get(self, key: str, default: Any = None) -> Any:
        self.last_s[key] = time.monotonic()
        return super().get(key, default)

    def only(self, successor: str, before: str) -> Callable[[], bool]:
        """Whether `before` has not been shown for a while, and `successor` has."""
        return lambda: successor in self.last_s and self.last_s[before] < time.monotonic() - _NOT_SHOWN_FOR_S


async def test_a_service_accounts_token_is_taken_up_within_two_seconds_and_no_request_fails(
    tmp_path: Path,
) -> None:
    cluster = StandinCluster(tmp_path, 1, host=False)
    shown = cluster.users = Shown(cluster.users)
    async with cluster:
        token_file = replaced(tmp_path / "token", cluster.server_token.encode())
        config = yaml.safe_load(cluster.server_kubeconfig.read_text())
        config["users"][0]["user"] = {"tokenFile": str(token_file)}
        cluster.server_kubeconfig.write_text(yaml.safe_dump(config))
        flags = (
            "--authentication-token-webhook-cache-ttl=0s",
            "--authorization-webhook-cache-authorized-ttl=0s",
        )
        token = cluster.add_user("bearer", METRICS_READERS)
        async with server_beside(cluster, *flags) as server, under_load(server, token) as load:
            await load.goes_on()
            for successor in ("second", "third"):
                before = token_file.read_text()
                shown[successor] = shown[before]
                replaced(token_file, successor.encode())
                rotated_s = time.monotonic()

                await server.until(shown.only(successor, before))
                assert shown.last_s[before] - rotated_s < TAKEN_UP_S
                del shown[before]  # revoked
                await load.goes_on()
            assert load.failures() == []
            assert not [line for line in server.log_lines if line.startswith("E")]


async def test_a_serving_certificate_replaced_on_disk_is_shown_within_two_seconds_and_no_request_fails(
    tmp_path: Path,
) -> None:
    async with StandinCluster(tmp_path, 1, host=False) as cluster:
        ca = make_ca("serving-ca", now_ns())
        first, second = (issue(ca, name, now_ns(), hosts=("127.0.0.1",), server=True) for name in ("a", "b"))
        cert, key = (
            replaced(tmp_path / name, content)
            for name, content in (("tls.crt", first.cert_pem), ("tls.key", first.key_pem))
        )
        flags = (f"--tls-cert-file={cert}", f"--tls-private-key-file={key}")
        token = cluster.add_user("bearer", METRICS_READERS)
        async with server_beside(cluster, *flags) as server, under_load(server, token) as load:
            await load.show(front_proxy_of(cluster.pki.front_proxy_ca), user_of(cluster.pki.cluster_ca))

            async def presented() -> str:
                address = ("127.0.0.1", server.port)
                return await asyncio.to_thread(ssl.get_server_certificate, address)

            await load.goes_on()
            before = await presented()
            replaced(cert, second.cert_pem)  # half of a pair is none
            await load.goes_on()
            await asyncio.sleep(1.2)
            assert await presented() == before
            replaced(key, second.key_pem)

            async def the_new_one_is_shown() -> bool:
                return await presented() != before

            await within_two_seconds(the_new_one_is_shown)
            await load.goes_on()
            assert load.failures() == []


async def test_the_kubelets_ca_is_read_again_when_it_changes(tmp_path: Path) -> None:
    async with StandinCluster(tmp_path, 1, host=False) as cluster:
        ca_file = replaced(tmp_path / "kubelet-ca.crt", make_ca("another", now_ns()).cert_pem)
        flag = f"--kubelet-certificate-authority={ca_file}"
        async with server_beside(cluster, flag, ready=False) as server:

            async def says_that_the_issuer_is_unknown() -> bool:
                return "tls_unknown_issuer" in (await server.ask("/readyz?verbose"))[1] or any(
                    "tls_unknown_issuer" in line for line in server.log_lines
                )

            await server.until(says_that_the_issuer_is_unknown)
            assert await server.items(NODES) == []
            replaced(ca_file, cluster.pki.cluster_ca.cert_pem)

            async def all_there() -> bool:
                return len(await server.items(NODES)) == 1

            await server.until(all_there)


async def test_a_client_certificate_for_kubelets_is_shown_from_the_next_connection_on(
    tmp_path: Path,
) -> None:
    ca = make_ca("kubelet-client-ca", now_ns())
    serving = issue(ca, "kubelet", now_ns(), hosts=("127.0.0.1",), server=True)
    of_server = PairFiles(
        replaced(tmp_path / "s.crt", serving.cert_pem), replaced(tmp_path / "s.key", serving.key_pem)
    )
    shown: list[str] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert")
        shown.append(certificate["subject"][0][0][1])
        writer.close()

    first, second = (issue(ca, name, now_ns(), client=True) for name in ("first", "second"))
    cert, key = (
        replaced(tmp_path / name, content)
        for name, content in (("c.crt", first.cert_pem), ("c.key", first.key_pem))
    )
    ca_file = replaced(tmp_path / "ca.crt", ca.cert_pem)
    tls = FollowedTLS(
        lambda: KubeletTLS(ca_file=str(ca_file), client_cert_file=str(cert), client_key_file=str(key))
    )
    server = await asyncio.start_server(
        greet, "127.0.0.1", 0, ssl=server_context(of_server, client_ca_pem=ca.cert_pem)
    )
    port = server.sockets[0].getsockname()[1]

    async def connect() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
        await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async with server:
        await connect()
        replaced(cert, second.cert_pem)
        tls.reload_if_changed()
        await connect()
        replaced(key, second.key_pem)
        tls.reload_if_changed()
        await connect()
        assert shown == ["first", "first", "second"]
        replaced(ca_file, make_ca("another", now_ns()).cert_pem)
        tls.reload_if_changed()
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect()

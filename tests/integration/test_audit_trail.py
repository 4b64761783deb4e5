"""What the server's log tells of those it turned away, and that nothing secret is in it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from pymetrics_server.clock import SystemClock
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.x509 import issue
from tests.integration.processes import BASE, RunningServer, server_beside, trusting_anybody

NODES = f"{BASE}/nodes"
SECRET = "s3cret-do-not-tell"

House = tuple[StandinCluster, RunningServer]


@pytest_asyncio.fixture(name="house")
async def _house(tmp_path: Path) -> AsyncIterator[House]:
    async with StandinCluster(tmp_path, 1, host=False) as cluster, server_beside(cluster, "-v=6") as server:
        yield cluster, server


def refusals(server: RunningServer) -> list[str]:
    return [line for line in server.log_lines if '"Refused a request"' in line]


async def not_http(server: RunningServer) -> None:
    """A parser's complaint may quote what it complains of."""
    for line in (f"Authorization : Bearer {SECRET}", f"Authorization: Bearer {SECRET}\0", f"{SECRET}"):
        context = trusting_anybody(None, server.directory)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        writer.write(f"GET / HTTP/1.1\r\nHost: here\r\n{line}\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()


async def test_each_refusal_is_told_once_with_the_certificate_shown_and_without_secrets(house: House) -> None:
    cluster, server = house
    ca = cluster.pki.front_proxy_ca
    stranger = issue(ca, "somebody", SystemClock().now_ns(), client=True)
    claims = {"X-Remote-User": SECRET, "X-Remote-Extra-Token": SECRET, "X-Token": SECRET}
    for _ in range(3):
        assert (await server.ask(NODES, {"Authorization": f"Bearer {SECRET}", **claims}))[0] == 401
        assert (await server.ask(NODES, claims, stranger))[0] == 401
        assert (await server.ask(NODES, {"Authorization": f"Basic {SECRET}"}))[0] == 403
    await not_http(server)
    by_token, by_certificate, nobody = refusals(server)
    assert 'code=401 reason="Unable to authenticate the request: [invalid bearer token' in by_token
    assert 'certificate="none shown"' in by_token
    assert "subject with cn=somebody is not in the allowed list" in by_certificate
    assert 'peer="127.0.0.1"' in by_certificate
    assert 'certificate="CN=somebody, issued by CN=front-proxy-ca, valid until ' in by_certificate
    assert (
        'code=403 reason="not allowed" peer="127.0.0.1" user="system:anonymous" asked="list /apis/' in nobody
    )
    told = "\n".join(server.log_lines)
    assert SECRET not in told
    assert cluster.server_token not in told


async def test_a_master_who_speaks_as_somebody_else_gets_the_others_answer(house: House) -> None:
    cluster, server = house
    master = {"Authorization": f"Bearer {cluster.add_user('root', 'system:masters')}"}
    assert (await server.ask(NODES, master))[0] == 200
    status, body = await server.ask(NODES, {**master, "Impersonate-User": "alice"})
    assert status == 403
    assert 'User "alice" cannot list' in json.loads(body)["message"]
    masters = {"Impersonate-User": "alice", "Impersonate-Group": "system:masters"}
    assert (await server.ask(NODES, {**master, **masters}))[0] == 200

    bob = {"Authorization": f"Bearer {cluster.add_user('bob')}"}
    status, body = await server.ask(BASE, {**bob, "Impersonate-User": "alice"})
    assert (status, json.loads(body)) == (
        403,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'users "alice" is forbidden: User "bob" cannot impersonate resource "users" in API group "" '
            "at the cluster scope",
            "reason": "Forbidden",
            "details": {"name": "alice", "kind": "users"},
            "code": 403,
        },
    )
    status, body = await server.ask(BASE, {**master, "Impersonate-Group": "dev"})
    assert status == 400
    assert "without impersonating a user name" in str(body)

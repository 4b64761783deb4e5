"""What stands on both sides of a measurement: a client of the server, and the server's processes as the kernel sees them."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

BASE = "/apis/metrics.k8s.io/v1beta1"


class Client:
    """One kept-alive TLS connection with a bearer token."""

    def __init__(self, port: int, token: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # loopback, a self-signed certificate
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=120)
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, accept: str = "application/json") -> tuple[int, bytes]:
        self._connection.request("GET", path, headers={**self._headers, "Accept": accept})
        response = self._connection.getresponse()
        return response.status, response.read()

    def items(self, path: str) -> list[dict[str, Any]]:
        """Of a list; none where it is refused."""
        status, body = self.get(path)
        found: list[dict[str, Any]] = json.loads(body)["items"] if status == 200 else []
        return found

    def count(self, path: str) -> int:
        """How many items a list has, by the bytes that each begins with: reading 60 MB of JSON again and again would take
        half of the machine from whom is measured."""
        status, body = self.get(path)
        return body.count(b'{"metadata":{"name":') if status == 200 else 0

    def close(self) -> None:
        self._connection.close()


@contextmanager
def asking(port: int, token: str) -> Iterator[Client]:
    client = Client(port, token)
    try:
        yield client
    finally:
        client.close()


class Tree:
    """A process and its children, by the kernel's accounting."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu_s(self) -> float:
        return sum(time.clock_gettime(_cpu_clock(p.pid)) for p in self._all())

    def rss_bytes(self) -> int:
        return sum(int(p.memory_info().rss) for p in self._all())


def _cpu_clock(pid: int) -> int:
    """Of all threads that a process has and had, in nanoseconds: /proc counts in hundredths of a second, in which
    a few lists cost nothing. Linux: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED); time.pthread_getcpuclockid has no
    sibling for processes.
    """
    return (~pid << 3) | 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""What kube-proxy does: whoever connects to a Service's address comes to one of its ready endpoints.

All on loopback: the cluster's Services have addresses there, and a pod's is found by `on_loopback`. A connection
stays where it is when its endpoint goes.
"""

import asyncio
import contextlib
import itertools
import socket
import threading

from tests.cluster.real.client import Api
from tests.cluster.real.control_plane import on_loopback

NO_PORT_443 = "a Service's port 443 cannot be taken on loopback: be root, or sysctl net.ipv4.ip_unprivileged_port_start=0"
_SERVICE = "/api/v1/namespaces/kube-system/services/metrics-server"
_SLICES = (
    "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
    "?labelSelector=kubernetes.io/service-name%3Dmetrics-server"
)
_LOOK_S = 0.1
_CHUNK = 65536

Address = tuple[str, int]


def can_take_port_443() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.64.0.1", 443))
        except PermissionError:
            return False
        return True


class Network:
    """The Service kube-system/metrics-server, while there is one; from `start` until `stop`."""

    def __init__(self, apiserver: Api) -> None:
        self._apiserver = apiserver
        self._endpoints: list[Address] = []
        self._turn = itertools.count()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="kube-proxy")
        self._open: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    async def _run(self) -> None:
        listening: tuple[Address, asyncio.Server] | None = None
        while not self._ended.is_set():
            service, endpoints = await asyncio.to_thread(self._look)
            if not endpoints:
                service = None  # whoever connects is refused
            self._endpoints = endpoints or self._endpoints
            if listening is not None and listening[0] != service:
                listening[1].close()
                listening = None
            if listening is None and service is not None:
                listening = (service, await asyncio.start_server(self._accept, *service))
            await asyncio.sleep(_LOOK_S)
        if listening is not None:
            listening[1].close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    def _look(self) -> tuple[Address | None, list[Address]]:
        service = self._apiserver.find(_SERVICE)
        if service is None:
            return None, []
        (port,) = service["spec"]["ports"]
        ready = [
            (on_loopback(endpoint["addresses"][0]), slice_port["port"])
            for found in self._apiserver.items(_SLICES)
            for slice_port in found["ports"] or ()
            if slice_port["name"] == port["name"]
            for endpoint in found["endpoints"] or ()
            if endpoint["conditions"].get("ready")
        ]
        return (service["spec"]["clusterIP"], port["port"]), ready

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError):
                await self._forward(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = self._endpoints[next(self._turn) % len(self._endpoints)]
        there_reader, there_writer = await asyncio.open_connection(*address)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, there_writer), name="to the endpoint")
                both.create_task(_copy(there_reader, writer), name="from the endpoint")
        finally:
            there_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()

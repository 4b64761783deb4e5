"""A whole cluster with the server in it, as manifests/base installs it, to be broken in one way after another.

kube-apiserver, its aggregator and the kubelets are the stand-in's, over real TLS; the server is a process of its own; the
objects are the manifests', and beside them what controllers and kubelets would have written. `mend` undoes whatever
was done to objects, rules, users and kubelets.
"""

import asyncio
import copy
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from pymetrics_server.doctor.finding import Report
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.deployed import endpointslice_body
from pymetrics_server.standin.kubeconfig import write_kubeconfig
from pymetrics_server.standin.pki import FrontProxyFiles, client_context
from pymetrics_server.standin.resources import (
    APISERVICES,
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    GIT_VERSION,
    NODES,
    PODS,
    SERVICES,
    TYPES,
    ResourceType,
    node_body,
)
from pymetrics_server.standin.reviews import DEFAULT_RULES, SERVER_ACCOUNT, Rule
from tests.doctor.diagnosing import diagnosed
from tests.doctor.machines import (
    HOUR_S,
    NODE_NAMES,
    SERVER_POD,
    SYSTEM,
    Machine,
    machine,
    pods_of,
    stamp,
    wall_ns,
)
from tests.doctor.pod_bodies import pod_of, set_ready
from tests.doctor.roles import Object, rules_of
from tests.doctor.ward import Ward
from tests.manifests.rendering import documents, in_one_file, only
from tests.programs import direct_environment, free_port

SLICE = "metrics-server-standin"

_ADDRESS = "127.0.0.1"
_READY_TIMEOUT_S = 30.0
_CHECK_TIMEOUT_S = 0.5
_POLL_S = 0.02
_VERSION = GIT_VERSION.partition("+")[0]


class Installation:
    """An async context manager. `args` go to the server behind those of the Deployment."""

    def __init__(self, directory: Path, *args: str, front_proxy: FrontProxyFiles | None = None) -> None:
        self.directory = directory
        self.args = self._first_args = args
        self.cluster = StandinCluster(
            directory,
            host=False,
            sources=[Machine(name, pods_of(name)) for name in NODE_NAMES],
            sync_interval_s=3600,  # nothing of it changes by itself
            check_timeout_s=_CHECK_TIMEOUT_S,
            front_proxy=front_proxy,
        )
        self.port = free_port()
        self.kubectl_version = _VERSION
        self.kubeconfig = self.cluster.admin_kubeconfig
        self.ward = Ward(self.cluster, directory / "ward")
        self._server: Process | None = None
        self._well: dict[tuple[str, str, str], Object] = {}
        self._rules: list[Rule] = []
        self._log_file = directory / "server.log"
        self._manifests = documents(in_one_file())

    async def __aenter__(self) -> Self:
        await self.cluster.__aenter__()
        try:
            self._install()
            await self.start_server()
            self._well = {
                (resource.plural, stored.namespace, stored.name): self.get(
                    resource, stored.name, stored.namespace
                )
                for resource in TYPES
                for stored in self.cluster.revisions.all(resource)
            }
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ward.close()
        await self.kill_server()
        await self.cluster.__aexit__(kind, error, trace)

    @property
    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def get(self, resource: ResourceType, name: str, namespace: str = "") -> Object:
        """As it was put, to be changed and put again."""
        stored = self.cluster.revisions.get(resource, namespace, name)
        assert stored is not None, f"no {resource.singular} {namespace}/{name}"
        found: Object = msgspec.json.decode(stored.body)
        del found["metadata"]["resourceVersion"]
        return found

    def put(self, resource: ResourceType, *bodies: Object) -> None:
        """As they are: what stood there before is gone. Without a time they are an hour old."""
        for body in bodies:
            metadata = body["metadata"]
            metadata.setdefault("creationTimestamp", stamp(-HOUR_S))
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            before = self.cluster.revisions.get(resource, namespace, name)
            if before is not None and not self.get(resource, name, namespace).keys() <= {
                *body,
                "kind",
                "apiVersion",
            }:
                self.cluster.revisions.delete(resource, namespace, name)
            self.cluster.revisions.put(resource, body)

    def delete(self, resource: ResourceType, name: str, namespace: str = "") -> None:
        self.cluster.revisions.delete(resource, namespace, name)

    def change(
        self, resource: ResourceType, name: str, namespace: str, edit: Callable[[Object], object]
    ) -> None:
        found = self.get(resource, name, namespace)
        edit(found)
        self.put(resource, found)

    def add_node(
        self, name: str, port: int, *, addresses: Sequence[tuple[str, str]] | None = None, ready: bool = True
    ) -> None:
        """Beside the others; its kubelet is whatever listens on that port. `addresses` are types and values."""
        body = node_body(machine(name).view(), _ADDRESS, port)
        if addresses is not None:
            body["status"]["addresses"] = [{"type": kind, "address": value} for kind, value in addresses]
        body["status"]["conditions"][0]["status"] = "True" if ready else "Unknown"
        self.put(NODES, body)

    def forbid(self, verb: str, resource: str) -> None:
        """The server's ServiceAccount may do that no more."""
        kept: list[Rule] = []
        for rule in self.cluster.policy.rules:
            if rule.subject != SERVER_ACCOUNT or verb not in rule.verbs or resource not in rule.resources:
                kept.append(rule)
                continue
            others = tuple(r for r in rule.resources if r != resource)
            verbs = tuple(v for v in rule.verbs if v != verb)
            if others:
                kept.append(msgspec.structs.replace(rule, resources=others))
            if verbs:
                kept.append(msgspec.structs.replace(rule, resources=(resource,), verbs=verbs))
        self.cluster.policy.rules[:] = kept

    def trust(self, edit: Callable[[dict[str, str]], object]) -> None:
        """Change what stands in the ConfigMap extension-apiserver-authentication."""
        self.change(
            CONFIGMAPS, "extension-apiserver-authentication", SYSTEM, lambda found: edit(found["data"])
        )

    @property
    def shows_front_proxy_certificate(self) -> bool:
        """Whether kube-apiserver proves to the server that it is it."""
        return self.cluster.aggregator._front_proxy is not None

    @shows_front_proxy_certificate.setter
    def shows_front_proxy_certificate(self, shows: bool) -> None:
        aggregator = self.cluster.aggregator
        aggregator._front_proxy = self.cluster.pki.front_proxy_client if shows else None
        aggregator._trusting.clear()

    async def served(self, what: str = "nodes") -> list[Object]:
        """Through kube-apiserver, as its administrator; empty while it is refused."""
        pki = self.cluster.pki
        connector = aiohttp.TCPConnector(ssl=client_context(pki.cluster_ca.cert_pem, pki.admin))
        url = f"{self.cluster.apiserver_url}/apis/metrics.k8s.io/v1beta1/{what}"
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
            if answer.status != 200:
                return []
            items: list[Object] = (await answer.json())["items"]
            return items

    async def available(self) -> bool:
        """Whether kube-apiserver finds both versions available, looked at just now."""
        await self.cluster.aggregator.check()
        return len(self.cluster.aggregator.available_versions()) == 2

    async def unavailable(self) -> bool:
        await self.cluster.aggregator.check()
        return not self.cluster.aggregator.available_versions()

    async def start_server(self, *, ready: bool = True) -> None:
        """Again, too; until `ready`, with which all nodes and pods are served."""
        self.cluster.logs[SYSTEM, SERVER_POD] = self._log_file
        with self._log_file.open("ab") as log:
            self._server = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pymetrics_server",
                *self._command(),
                stderr=log,
                env=direct_environment(),
            )
        if ready:
            await self.until(self._serves_all)

    async def kill_server(self) -> None:
        if self._server is not None and self._server.returncode is None:
            self._server.kill()
            await self._server.wait()
        self._server = None

    async def until(self, holds: Callable[[], Any], timeout_s: float = _READY_TIMEOUT_S) -> None:
        """Until `holds()`, which may be a coroutine function, is true."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = holds()
                    if await answer if asyncio.iscoroutine(answer) else answer:
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise AssertionError(
                f"not within {timeout_s:.0f} s; the server's log:\n{self.log[-3000:]}"
            ) from None

    async def mend(self) -> None:
        """As it was once all had started."""
        self.kubectl_version, self.kubeconfig = _VERSION, self.cluster.admin_kubeconfig
        self.cluster.policy.rules[:] = self._rules
        if not self.shows_front_proxy_certificate:
            self.shows_front_proxy_certificate = True
        for resource in TYPES:
            for stored in self.cluster.revisions.all(resource):
                if (resource.plural, stored.namespace, stored.name) not in self._well:
                    self.cluster.revisions.delete(resource, stored.namespace, stored.name)
        by_plural = {resource.plural: resource for resource in TYPES}
        for (plural, namespace, name), body in self._well.items():
            stored_now = self.cluster.revisions.get(by_plural[plural], namespace, name)
            if stored_now is None or self.get(by_plural[plural], name, namespace) != body:
                self.put(by_plural[plural], copy.deepcopy(body))
        await self.ward.close()
        self.cluster.logs[SYSTEM, SERVER_POD] = self._log_file
        if self._server is None or self.args != self._first_args:
            await self.kill_server()
            self.args = self._first_args
            await self.start_server()
        await self.until(self._serves_all)
        os.truncate(self._log_file, 0)

    async def diagnose(self, *argv: str) -> Report:
        """What the doctor says to whoever has `kubeconfig` and that version of kubectl."""
        return await diagnosed([*argv, f"--kubeconfig={self.kubeconfig}"], self.kubectl_folder())

    def kubectl_folder(self) -> Path:
        """All of PATH: a kubectl that tells its version and can do nothing else."""
        folder = self.directory / "bin"
        folder.mkdir(exist_ok=True)
        document = json.dumps({"clientVersion": {"gitVersion": self.kubectl_version}})
        (folder / "kubectl").write_text(f"#!/bin/sh\necho '{document}'\n")
        (folder / "kubectl").chmod(0o755)
        return folder

    def kubeconfig_of(self, name: str, user: dict[str, str], *, url: str = "", ca_pem: bytes = b"") -> Path:
        return write_kubeconfig(
            self.directory / f"{name}.kubeconfig",
            url or self.cluster.apiserver_url,
            ca_pem or self.cluster.pki.cluster_ca.cert_pem,
            name,
            user,
        )

    def deploy(self, *args: str) -> None:
        """The Deployment with these arguments beside the manifests'; the server is started with them next."""
        self.args = args
        deployment = copy.deepcopy(only(self._manifests, "Deployment"))
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["args"] = [_where_it_is(arg, self.port) for arg in container["args"]] + list(args)
        container["ports"][0]["containerPort"] = self.port
        deployment["status"] = {
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
        }
        self.put(DEPLOYMENTS, deployment)
        self.put(PODS, pod_of(deployment))

    def apply(self) -> None:
        """`kubectl apply -f components.yaml`. A Deployment that was changed is as in the file again."""
        service = copy.deepcopy(only(self._manifests, "Service"))
        service["spec"] |= {"type": "ClusterIP", "clusterIP": "10.96.0.43"}
        self.put(SERVICES, service)
        for version in ("v1beta1", "v1"):
            apiservice = copy.deepcopy(only(self._manifests, "APIService", f"{version}.metrics.k8s.io"))
            apiservice["spec"]["service"].setdefault("port", 443)
            self.put(APISERVICES, apiservice)
        self.deploy(*self.args)
        self.cluster.policy.rules += rules_of(self._manifests)

    async def roll_out(self) -> None:
        """What the Deployment says now; the pod is called as before."""
        await self.kill_server()
        os.truncate(self._log_file, 0)
        self.put(PODS, pod_of(self.get(DEPLOYMENTS, "metrics-server", SYSTEM)))
        await self.start_server(ready=False)

    def select_endpoints(self) -> None:
        """As the EndpointSlice controller does where the Service selects the server's pod."""
        selector = self.get(SERVICES, "metrics-server", SYSTEM)["spec"]["selector"]
        if selector.items() <= self.get(PODS, SERVER_POD, SYSTEM)["metadata"]["labels"].items():
            self.put(ENDPOINTSLICES, endpointslice_body(_ADDRESS, self.port, wall_ns(), SERVER_POD))

    async def tell_readiness(self) -> None:
        """As the kubelet and the EndpointSlice controller do after the readiness probe: as the server says itself."""
        ready = await self.is_ready()
        for resource, name, edit in (
            (PODS, SERVER_POD, lambda pod: set_ready(pod, ready)),
            (
                ENDPOINTSLICES,
                SLICE,
                lambda found: found["endpoints"][0]["conditions"].update(ready=ready, serving=ready),
            ),
            (DEPLOYMENTS, "metrics-server", lambda found: found["status"].update(readyReplicas=int(ready))),
        ):
            self.change(resource, name, SYSTEM, edit)
        await self.cluster.aggregator.check()

    async def is_ready(self) -> bool:
        connector = aiohttp.TCPConnector(ssl=client_context(None))
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get(f"https://{_ADDRESS}:{self.port}/readyz") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    def _install(self) -> None:
        """With what the controllers make of it."""
        theirs = [rule for rule in DEFAULT_RULES if rule.subject != SERVER_ACCOUNT]
        self.cluster.policy.rules[:] = theirs
        self.apply()
        self._rules = list(self.cluster.policy.rules)
        self.put(ENDPOINTSLICES, endpointslice_body(_ADDRESS, self.port, wall_ns(), SERVER_POD))

    def _command(self) -> Sequence[str]:
        deployment = self.get(DEPLOYMENTS, "metrics-server", SYSTEM)
        kubeconfig = self.cluster.server_kubeconfig
        return [
            *deployment["spec"]["template"]["spec"]["containers"][0]["args"],
            f"--cert-dir={self.directory / 'server-certs'}",
            *(f"--{which}kubeconfig={kubeconfig}" for which in ("", "authentication-", "authorization-")),
            f"--bind-address={_ADDRESS}",
        ]

    async def _serves_all(self) -> bool:
        assert self._server is not None
        assert self._server.returncode is None, self.log
        if not await self.available():
            return False
        nodes = {node["metadata"]["name"] for node in await self.served("nodes")}
        pods = {pod["metadata"]["name"] for pod in await self.served("pods")}
        return nodes == set(NODE_NAMES) and pods == {pod[1] for name in NODE_NAMES for pod in pods_of(name)}


def _where_it_is(arg: str, port: int) -> str:
    return f"--secure-port={port}" if arg.startswith("--secure-port=") else arg

"""What kube-apiserver tells: every question once, first those that name the server, then all others at once.

A question that fails costs itself. Nothing is asked that changes anything.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.doctor import permissions
from pymetrics_server.doctor.asked_about import about_hpa, about_pod
from pymetrics_server.doctor.asking import Asker
from pymetrics_server.doctor.evidence import Answer, Asked, Evidence, Grant, Subject
from pymetrics_server.doctor.kubectl import kubectl_version
from pymetrics_server.doctor.lists import HOW, WHOLE
from pymetrics_server.doctor.objects import Deployment, Pod, Service, listed
from pymetrics_server.doctor.subject import (
    LABELS,
    account_of,
    account_of_token,
    known_from,
    label_selector,
    labels_selected,
    namespace_of,
    port_of,
    server_container,
    service_of,
    unready_first,
)

_APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
_KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
_LOG_LINES = "200"


class Progress(Protocol):
    def __call__(self, done: int, total: int, what: str) -> None: ...


class Wanted(msgspec.Struct, frozen=True):
    """What was typed: NAMESPACE/NAME that is asked about, and the Service where the APIService is not to name it."""

    pod: str = ""
    hpa: str = ""
    namespace: str = ""
    service: str = ""


async def collect(
    asker: Asker,
    credentials: Credentials,
    wanted: Wanted,
    clock: Clock,
    progress: Progress,
    kubeconfig: str = "",
) -> Evidence:
    """Without the probes of nodes. `kubeconfig` is what to call it, "" in a pod with its ServiceAccount."""
    token = await credentials.bearer_token() if not kubeconfig else None
    collecting = _Collecting(asker, wanted, account_of_token(token or ""), progress)
    async with asyncio.TaskGroup() as group:
        version = group.create_task(kubectl_version(), name="kubectl version")
        group.create_task(collecting.run(), name="collect")
    return Evidence(
        taken_ns=clock.now_ns(),
        server=asker.server,
        kubeconfig=kubeconfig,
        in_pod=not kubeconfig,
        subject=collecting.subject,
        answers={asked: collecting.answers[asked] for asked in Asked if asked in collecting.answers},
        grants=collecting.grants,
        kubectl_version=version.result(),
    )


class _Collecting:
    def __init__(self, asker: Asker, wanted: Wanted, our_account: str, progress: Progress) -> None:
        self.answers: dict[Asked, Answer] = {}
        self.grants: Sequence[Grant] = ()
        self.subject = Subject(pod=wanted.pod, hpa=wanted.hpa)
        self._asker = asker
        self._wanted = wanted
        self._our_account = our_account
        self._progress = progress
        self._is_found = False  # the server, and not only what it would be called
        self._questions = len(Asked) - (0 if wanted.pod else 2) - (0 if wanted.hpa else 4)

    async def run(self) -> None:
        answer = await self._one(Asked.VERSION, "/version")
        if not answer.status:
            return  # nothing else would be answered either
        async with asyncio.TaskGroup() as group:
            for asked, path in (
                (Asked.APISERVICE_V1BETA1, f"{_APISERVICES}/v1beta1.metrics.k8s.io"),
                (Asked.APISERVICE_V1, f"{_APISERVICES}/v1.metrics.k8s.io"),
                (Asked.TRUST, f"{_KUBE_SYSTEM}/configmaps/extension-apiserver-authentication"),
            ):
                group.create_task(self._one(asked, path), name=asked.value)
        await self._name_subject()
        pod, hpa, metrics = self.subject.pod, self.subject.hpa, self._metrics()
        async with asyncio.TaskGroup() as group:
            for what, work in {
                "the cluster": self._cluster(),
                "the server's pod": self._pod_of_ours(),
                "what is served": self._served(metrics),
                "permissions": self._grants(),
                "the pod": about_pod(self._asker, pod, metrics, self.answers),
                "the HorizontalPodAutoscaler": about_hpa(self._asker, hpa, metrics, self.answers),
            }.items():
                group.create_task(work, name=what)

    def _metrics(self) -> str:
        """The API's root, of the version that there is an APIService of."""
        old, new = self.answers[Asked.APISERVICE_V1BETA1], self.answers[Asked.APISERVICE_V1]
        return f"/apis/metrics.k8s.io/{'v1' if new.ok and old.status == 404 else 'v1beta1'}"

    async def _name_subject(self) -> None:
        """The Service, its pods, and with them the account and the arguments."""
        registered = service_of([self.answers[Asked.APISERVICE_V1BETA1], self.answers[Asked.APISERVICE_V1]])
        namespace, service = registered or (
            namespace_of(self._our_account) or self.subject.namespace,
            self.subject.service,
        )
        await self._look_at(self._wanted.namespace or namespace, self._wanted.service or service)
        if self.answers[Asked.SERVICE].status == 404 and registered is None:
            await self._look_by_label()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods(), name="pods")
            path = f"/apis/apps/v1/namespaces/{self.subject.namespace}/deployments"
            group.create_task(self._many(Asked.DEPLOYMENTS, path), name="deployments")
        answers = self.answers
        found = known_from(
            self.subject, answers[Asked.SERVICE], answers[Asked.PODS], answers[Asked.DEPLOYMENTS]
        )
        self._is_found = found is not None
        if found is not None:
            self.subject = found
        elif self._our_account:  # it may read nothing of its own, and says by its token who it is
            self.subject = replace(self.subject, account=self._our_account)

    async def _look_at(self, namespace: str, service: str) -> None:
        account = account_of(namespace, service)
        self.subject = replace(self.subject, namespace=namespace, service=service, account=account)
        await self._one(Asked.SERVICE, f"/api/v1/namespaces/{namespace}/services/{service}")

    async def _look_by_label(self) -> None:
        """Where neither an APIService nor a name leads to it, in all namespaces."""
        for labels in LABELS:
            selects = label_selector(labels)
            services = listed(await self._asker.ask_list("/api/v1/services", selects), Service)
            if services:
                await self._look_at(services[0].metadata.namespace, services[0].metadata.name)
                return
            answer = await self._asker.ask_list("/apis/apps/v1/deployments", selects)
            deployments = listed(answer, Deployment)
            if deployments:
                self.subject = replace(self.subject, namespace=deployments[0].metadata.namespace)
                return

    async def _pods(self) -> None:
        """Those that the Service selects; where it selects none, or is not to be had, by label."""
        path = f"/api/v1/namespaces/{self.subject.namespace}/pods"
        selected = labels_selected(self.answers[Asked.SERVICE])
        for labels in (selected,) if selected else LABELS:
            answer = await self._many(Asked.PODS, path, label_selector(labels))
            if not answer.ok or listed(answer, Pod):
                return

    async def _cluster(self) -> None:
        subject = self.subject
        ours = f"namespaces/{subject.namespace}"
        slices = {"labelSelector": f"kubernetes.io/service-name={subject.service}"}
        apiservers = {"labelSelector": "component=kube-apiserver"}
        running = {"fieldSelector": "status.phase=Running"}
        async with asyncio.TaskGroup() as group:
            for asked, path, params in (
                (Asked.ENDPOINTSLICES, f"/apis/discovery.k8s.io/v1/{ours}/endpointslices", slices),
                (Asked.APISERVER_PODS, f"{_KUBE_SYSTEM}/pods", apiservers),
                (Asked.NODES, "/api/v1/nodes", {}),
                (Asked.CSRS, "/apis/certificates.k8s.io/v1/certificatesigningrequests", {}),
                (Asked.RUNNING_PODS, "/api/v1/pods", running),
            ):
                group.create_task(self._many(asked, path, params), name=asked.value)
            root_ca = f"/api/v1/{ours}/configmaps/kube-root-ca.crt"
            group.create_task(self._one(Asked.ROOT_CA, root_ca), name="root CA")

    async def _pod_of_ours(self) -> None:
        """Why one that is not ready is not, and its log."""
        pod = unready_first(self.answers[Asked.PODS])
        container = None if pod is None else server_container(pod.spec)
        if pod is None or container is None:
            return
        name, port = pod.metadata.name, port_of(self.subject, container)
        path = f"/api/v1/namespaces/{self.subject.namespace}/pods"
        lines = {"container": container.name, "tailLines": _LOG_LINES}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readyz(f"{path}/https:{name}:{port}/proxy/readyz"), name="readyz")
            group.create_task(self._log(f"{path}/{name}/log", lines), name="log")

    async def _readyz(self, path: str) -> None:
        """The one check tells its reason. As a rule everybody may read /readyz and nothing below it: then its list of checks,
        which names the one that fails."""
        answer = await self._asker.ask(f"{path}/metric-storage-ready", text=True)
        if answer.status in (401, 403):
            answer = await self._asker.ask(path, {"verbose": ""}, text=True)
        self._take(Asked.READYZ, answer)

    async def _served(self, metrics: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._many(Asked.SERVED_NODES, f"{metrics}/nodes"), name="served nodes")
            group.create_task(self._many(Asked.SERVED_PODS, f"{metrics}/pods"), name="served pods")

    async def _grants(self) -> None:
        account = self.subject.account
        is_us = account == self._our_account
        if is_us or self._is_found:
            self.grants = await permissions.granted(self._asker, account, is_us=is_us)
        else:
            self.grants = permissions.unknown("no pod and no Deployment tells the server's ServiceAccount")

    async def _log(self, path: str, lines: Mapping[str, str]) -> None:
        self._take(Asked.LOG, await self._asker.ask(path, lines, text=True))

    async def _one(self, asked: Asked, path: str) -> Answer:
        return self._take(asked, await self._asker.ask(path))

    async def _many(self, asked: Asked, path: str, params: Mapping[str, str] | None = None) -> Answer:
        return self._take(asked, await self._asker.ask_list(path, params, HOW.get(asked, WHOLE)))

    def _take(self, asked: Asked, answer: Answer) -> Answer:
        self.answers[asked] = answer
        self._progress(len(self.answers), self._questions, "asking kube-apiserver")
        return answer

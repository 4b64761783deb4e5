"""The composition root: builds each room once, joins them, starts and ends them. Nothing else knows two rooms.

What can be wrong with flags and files is found first, then the port is taken, and only then does anything
wait for the cluster. The port answers from the first moment: until kube-apiserver has told of the nodes,
/readyz says what is missing instead of hanging.
"""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from traceback import format_exception

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from pymetrics_server.api.app import App
from pymetrics_server.api.health import Check
from pymetrics_server.api.routes import Routes
from pymetrics_server.auth.audit import AuditTrail
from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.authorizer import Authorizer
from pymetrics_server.auth.cafiles import CaFile
from pymetrics_server.auth.expiry import Expiry
from pymetrics_server.auth.impersonation import Impersonation
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.clock import Clock, SystemClock
from pymetrics_server.cluster.configmap import ConfigMapWatch, RequestHeaderConfig
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import Credentials, load
from pymetrics_server.cluster.informer import node_informer, pod_informer
from pymetrics_server.cluster.reviews import Reviews
from pymetrics_server.errors import ConfigError
from pymetrics_server.kubelet.client import KubeletClient, KubeletSettings
from pymetrics_server.kubelet.tls import FollowedContext, KubeletTLS
from pymetrics_server.log import Logger
from pymetrics_server.meta.selectors import parse_label_selector
from pymetrics_server.options import Options, flag_texts
from pymetrics_server.scraper import Scraper
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.limits import limits_of
from pymetrics_server.serving.listener import SecureListener
from pymetrics_server.serving.peer import peer_chain_der
from pymetrics_server.store import Store
from pymetrics_server.telemetry import Telemetry
from pymetrics_server.version import GIT_VERSION

log = Logger(__name__)

_USER_AGENT = f"metrics-server/{GIT_VERSION} ({sys.platform}/python) pymetrics-server"
_HOUSEKEEPING_INTERVAL_S = 1.0
_Job = Coroutine[None, None, None]


class Server:
    """Everything, joined but not started. Raises ConfigError where flags, files or kubeconfigs cannot be used."""

    @classmethod
    async def build(cls, options: Options, clock: Clock, closing: AsyncExitStack) -> "Server":
        """What is opened on the way is closed by `closing`."""
        listing = await load(options.kubeconfig, clock=clock)
        connections = {options.kubeconfig: Connection(listing, _USER_AGENT, clock)}
        for what, path in (
            ("authentication", options.authentication_kubeconfig),
            ("authorization", options.authorization_kubeconfig),
        ):
            if path not in connections:
                connections[path] = Connection(await _delegated(what, path, clock), _USER_AGENT, clock)
        for connection in connections.values():
            closing.push_async_callback(connection.close)
        kubelet_tls = FollowedContext.of(_kubelet_tls(options, listing))
        kubelets = KubeletClient(_kubelet_settings(options), kubelet_tls, listing.bearer_token, clock)
        closing.push_async_callback(kubelets.close)
        server = cls(options, clock, _serving_certificate(options, clock), connections, kubelets, kubelet_tls)
        closing.push_async_callback(server._authenticator.close)
        closing.push_async_callback(server._authorizer.close)
        return server

    def __init__(
        self,
        options: Options,
        clock: Clock,
        serving: ServingCertificate,
        connections: Mapping[str, Connection],
        kubelets: KubeletClient,
        kubelet_tls: FollowedContext | None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._kubelet_tls = kubelet_tls
        self._stopping = asyncio.Event()
        listing = connections[options.kubeconfig]
        self._nodes = node_informer(listing)
        self._pods = pod_informer(listing)
        self._telemetry = Telemetry(
            CollectorRegistry(), options.metric_resolution_ns / 1e9, per_node=options.telemetry_per_node
        )
        self._store = Store(options.metric_resolution_ns, options.effective_metric_max_age_ns)
        selector = parse_label_selector(options.node_selector)
        self._scraper = Scraper(
            kubelets,
            self._store,
            self._telemetry,
            clock,
            options.metric_resolution_ns,
            selects=lambda node: selector.matches(node.labels),
        )
        self._nodes.subscribe(self._scraper.upsert, lambda node: self._scraper.remove(node.name))

        authenticating = connections[options.authentication_kubeconfig]
        self._client_ca = _ca_file(options.client_ca_file, "client", "client-ca-bundle")
        self._requestheader_ca = _ca_file(
            options.requestheader_client_ca_file, "request-header", "request-header"
        )
        self._trust = TrustSource(
            Trust(
                requestheader_ca_pem=_pem(self._requestheader_ca),
                client_ca_pem=_pem(self._client_ca),
                allowed_names=options.requestheader_allowed_names,
                username_headers=options.requestheader_username_headers,
                group_headers=options.requestheader_group_headers,
                extra_headers_prefix=options.requestheader_extra_headers_prefix,
                uid_headers=options.requestheader_uid_headers,
            )
        )
        self._trust_watch = (
            None
            if options.authentication_skip_lookup
            else ConfigMapWatch(authenticating, self._take_up_configmap)
        )
        self._listener = _secure_listener(serving, options)
        self._take_up(self._trust.current)
        self._expiry = Expiry(self._telemetry)
        self._authenticator = Authenticator(
            self._trust,
            Reviews(authenticating),
            clock,
            token_ttl_ns=options.authentication_token_webhook_cache_ttl_ns,
            expiry=self._expiry,
        )
        self._authorizer = Authorizer(
            Reviews(connections[options.authorization_kubeconfig]),
            clock,
            allow_ttl_ns=options.authorization_webhook_cache_authorized_ttl_ns,
            deny_ttl_ns=options.authorization_webhook_cache_unauthorized_ttl_ns,
            always_allow_paths=options.authorization_always_allow_paths,
        )
        routes = Routes(
            nodes=self._nodes.cache,
            pods=self._pods.cache,
            usage=self._store,
            telemetry=self._telemetry,
            clock=clock,
            checks=self._checks(),
            node_selector=selector,
            secure_port=options.secure_port,
            scrapes=self._scraper,
            flags=flag_texts(options),
        )
        self._app = App(
            routes=routes,
            authenticator=self._authenticator,
            authorizer=self._authorizer,
            impersonation=Impersonation(self._authorizer),
            audit_trail=AuditTrail(clock),
            peer_chain=peer_chain_der,
            telemetry=self._telemetry,
            clock=clock,
            max_requests_inflight=options.max_requests_inflight,
            request_timeout_s=options.request_timeout_ns / 1e9,
            cors_allowed_origins=options.cors_allowed_origins,
            strict_transport_security=options.strict_transport_security_directives,
        )

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; a second one ends the process at once. Raises ListenError."""
        await self._listener.start(
            self._app,
            self._options.bind_address,
            self._options.secure_port,
            share_port=self._options.permit_port_sharing,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        jobs: dict[str, _Job] = {
            "node informer": self._nodes.run(),
            "pod informer": self._pods.run(),
            "scraper": self._scraper.run(),
            "housekeeping": self._keep_house(),
            "listener": self._listener.run(),
        }
        if self._trust_watch is not None:
            jobs["extension-apiserver-authentication"] = self._trust_watch.run()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job, name=name) for name, job in jobs.items()]
            await self._stopping.wait()
            await asyncio.sleep(self._options.shutdown_delay_duration_ns / 1e9)
            await self._listener.stop(self._options.request_timeout_ns / 1e9)
            for task in tasks:
                task.cancel()

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            os._exit(1)
        log.info("Shutting down")
        self._stopping.set()

    async def _keep_house(self) -> None:
        """What nobody tells us of: files that were replaced, and how much is stored. A file that brings out a fault
        of ours costs that file, and not the server."""
        chores: dict[str, Callable[[], object]] = {
            "serving certificate": self._listener.reload_certificate_if_changed,
            "CA files": self._take_up_ca_files,
            "expiry": lambda: self._expiry.look(
                self._trust.current.requestheader_ca_pem, self._clock.now_ns()
            ),
            "in flight": self._telemetry.publish_in_flight,
            "points": lambda: self._telemetry.set_points(*self._store.servable(self._clock.monotonic_ns())),
        }
        if self._kubelet_tls is not None:
            chores["kubelets' TLS"] = self._kubelet_tls.reload_if_changed
        failing: set[str] = set()
        while True:
            for what, chore in chores.items():
                try:
                    chore()
                    failing.discard(what)
                except Exception as err:
                    if what not in failing:
                        log.error(
                            "Housekeeping failed", err, what=what, traceback="".join(format_exception(err))
                        )
                    failing.add(what)
            await self._clock.sleep(_HOUSEKEEPING_INTERVAL_S)

    def _take_up_configmap(self, found: RequestHeaderConfig) -> None:
        """Flags go before the ConfigMap, each authenticator's as a whole."""
        trust = self._trust.current
        if self._client_ca is None:
            trust = replace(trust, client_ca_pem=found.client_ca_pem)
        if self._requestheader_ca is None:
            trust = replace(
                trust,
                requestheader_ca_pem=found.requestheader_ca_pem,
                allowed_names=found.allowed_names,
                username_headers=found.username_headers,
                group_headers=found.group_headers,
                extra_headers_prefix=found.extra_headers_prefix,
                uid_headers=found.uid_headers,
            )
        self._take_up(trust)

    def _take_up_ca_files(self) -> None:
        trust = self._trust.current
        if self._client_ca is not None and self._client_ca.reload_if_changed():
            trust = replace(trust, client_ca_pem=self._client_ca.pem)
        if self._requestheader_ca is not None and self._requestheader_ca.reload_if_changed():
            trust = replace(trust, requestheader_ca_pem=self._requestheader_ca.pem)
        if trust is not self._trust.current:
            self._take_up(trust)

    def _take_up(self, trust: Trust) -> None:
        self._trust.replace(trust)
        taken_up = self._trust.current  # a bundle that cannot be read is not
        self._listener.set_trust(taken_up.requestheader_ca_pem, taken_up.client_ca_pem)

    def _checks(self) -> Mapping[str, Sequence[Check]]:
        """By the names, and in the order, of metrics-server's endpoints."""
        always = [
            Check(name, lambda: None)
            for name in (
                "ping",
                "log",
                "poststarthook/max-in-flight-filter",
                "poststarthook/storage-object-count-tracker-hook",
            )
        ]
        informers = Check("metric-informer-sync", self._unsynced)
        metadata = Check("metadata-informer-sync", lambda: None)
        timely = Check("metric-collection-timely", self._untimely)
        storage = Check("metric-storage-ready", self._nothing_to_serve)
        shutdown = Check("shutdown", lambda: "process is shutting down" if self._stopping.is_set() else None)
        return {
            "healthz": [*always, metadata],
            "livez": [*always, timely, metadata],
            "readyz": [*always, storage, informers, metadata, shutdown],
        }

    def _unsynced(self) -> str | None:
        for kind, informer in (("node", self._nodes), ("pod", self._pods)):
            if not informer.has_synced:
                why = f": {informer.last_error}" if informer.last_error else ""
                return f"cache for {kind} informer has not synced{why}"
        return None

    def _untimely(self) -> str | None:
        if self._scraper.timely(self._clock.monotonic_ns()):
            return None
        return "metric collection didn't finish on time"

    def _nothing_to_serve(self) -> str | None:
        nodes, containers = self._store.servable(self._clock.monotonic_ns())
        if nodes and containers:
            return None
        failures = self._scraper.failures()
        if not failures:
            return "no metrics to serve"
        failure, most = max(failures.items(), key=lambda item: item[1].count)
        return (
            f"no metrics to serve: {failure.label} at {most.count} of {len(self._nodes.cache)} nodes, "
            f"{failure.cause}; {failure.cure}"
        )


async def serve(options: Options) -> None:
    """Until a signal. Raises ConfigError or ListenError before anything has started."""
    async with AsyncExitStack() as closing:
        server = await Server.build(options, SystemClock(), closing)
        await server.run()


async def _delegated(what: str, path: str, clock: Clock) -> Credentials:
    prefix = f"failed to get delegated {what} kubeconfig: "
    try:
        return await load(path, clock=clock, prefix=prefix)
    except ConfigError as err:
        if path:
            raise
        raise ConfigError(f"{prefix}{prefix}{err}") from err


def _serving_certificate(options: Options, clock: Clock) -> ServingCertificate:
    if options.tls_cert_file or options.tls_private_key_file:
        return ServingCertificate.from_files(options.tls_cert_file, options.tls_private_key_file)
    return ServingCertificate.self_signed(options.cert_dir, options.bind_address, clock.now_ns())


def _secure_listener(certificate: ServingCertificate, options: Options) -> SecureListener:
    return SecureListener(
        certificate,
        sni=[
            ServingCertificate.for_names(p.cert_file, p.key_file, p.names) for p in options.tls_sni_cert_key
        ],
        min_version=options.tls_min_version,
        cipher_suites=options.tls_cipher_suites,
        limits=limits_of(options.request_timeout_ns / 1e9, _open_files()),
    )


def _open_files() -> int:
    """As many as we may have: a shell's soft limit of 1024 is there for programs that select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a container may forbid it, and macOS means less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _kubelet_tls(options: Options, credentials: Credentials) -> KubeletTLS:
    """Kubelets are shown what kube-apiserver is shown, and trusted as it is, where no flag says otherwise."""
    return KubeletTLS(
        insecure=options.kubelet_insecure_tls
        or (credentials.insecure_skip_tls_verify and not options.kubelet_certificate_authority),
        ca_file=options.kubelet_certificate_authority or credentials.ca_file or "",
        client_cert_file=options.kubelet_client_certificate or credentials.client_cert_file or "",
        client_key_file=options.kubelet_client_key or credentials.client_key_file or "",
        completely_insecure=options.deprecated_kubelet_completely_insecure,
    )


def _kubelet_settings(options: Options) -> KubeletSettings:
    return KubeletSettings(
        preferred_address_types=options.kubelet_preferred_address_types,
        port=options.kubelet_port,
        use_node_status_port=options.kubelet_use_node_status_port,
        request_timeout_ns=options.kubelet_request_timeout_ns,
        endpoint=options.kubelet_endpoint,
        completely_insecure=options.deprecated_kubelet_completely_insecure,
        user_agent=_USER_AGENT,
    )


def _ca_file(path: str, what: str, name: str) -> CaFile | None:
    return CaFile(path, what, name) if path else None


def _pem(file: CaFile | None) -> bytes:
    return b"" if file is None else file.pem

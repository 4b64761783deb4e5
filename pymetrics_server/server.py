"""The composition root: builds each room once, joins them, starts and ends them. Nothing else knows two rooms.

What can be wrong with flags and files is found first, then the port is taken, and only then does anything
wait for the cluster. The port answers from the first moment: until kube-apiserver has told of the nodes,
/readyz says what is missing instead of hanging.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from traceback import format_exception

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from pymetrics_server.api.app import App
from pymetrics_server.api.checks import Checks
from pymetrics_server.api.routes import Routes
from pymetrics_server.auth.audit import AuditTrail
from pymetrics_server.auth.authenticator import Authenticator
from pymetrics_server.auth.authorizer import Authorizer
from pymetrics_server.auth.cafiles import CaFile
from pymetrics_server.auth.expiry import Expiry
from pymetrics_server.auth.impersonation import Impersonation
from pymetrics_server.auth.trust import Trust, TrustSource
from pymetrics_server.clock import Clock, SystemClock
from pymetrics_server.cluster.clients import connect
from pymetrics_server.cluster.configmap import ConfigMapWatch, RequestHeaderConfig
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import Credentials
from pymetrics_server.cluster.informer import node_informer, pod_informer
from pymetrics_server.cluster.loaders import remove_files
from pymetrics_server.cluster.reviews import Reviews
from pymetrics_server.errors import ConfigError
from pymetrics_server.kubelet.client import KubeletClient
from pymetrics_server.kubelet.tls import FollowedTLS, KubeletTLS
from pymetrics_server.kubelet.transport import KubeletTransport, TransportSettings
from pymetrics_server.log import Logger
from pymetrics_server.meta.selectors import parse_label_selector
from pymetrics_server.meta.verification import Verification
from pymetrics_server.options import Options, flag_texts
from pymetrics_server.scraper import Scraper
from pymetrics_server.serving import watchdog
from pymetrics_server.serving.certificates import ServingCertificate
from pymetrics_server.serving.limits import limits_of, open_files
from pymetrics_server.serving.listener import SecureListener
from pymetrics_server.serving.peer import peer_chain_der
from pymetrics_server.serving.stopping import Stopping
from pymetrics_server.store import Store
from pymetrics_server.telemetry import Telemetry
from pymetrics_server.version import GIT_VERSION

log = Logger(__name__)

_USER_AGENT = f"metrics-server/{GIT_VERSION} ({sys.platform}/python) pymetrics-server"
_HOUSEKEEPING_INTERVAL_S = 1.0
_COLLECT_EVERY_NS = 3_600_000_000_000
_QUIET_S = 1.0  # kube-apiserver learns within that where to send requests instead
_LONGEST_UNQUIET_S = 5.0
_FAREWELL_S = 2.0  # for connections, once their requests are answered
_Job = Coroutine[None, None, None]


class Server:
    """Everything, joined but not started. Raises ConfigError where flags, files or kubeconfigs cannot be used."""

    @classmethod
    async def build(cls, options: Options, clock: Clock, closing: AsyncExitStack) -> "Server":
        """What is opened on the way is closed by `closing`."""
        certificate = _serving_certificate(options, clock)
        listing, connections = await connect(
            options.kubeconfig,
            options.authentication_kubeconfig,
            options.authorization_kubeconfig,
            user_agent=_USER_AGENT,
            clock=clock,
        )
        for connection in connections.values():
            closing.push_async_callback(connection.close)
        kubelet_tls = _followed(lambda: _kubelet_tls(options, listing))
        transport = KubeletTransport(_transport_settings(options), lambda: kubelet_tls.context, listing)
        closing.callback(transport.close)
        kubelets = KubeletClient(transport, options.kubelet_endpoint, clock)
        server = cls(options, clock, certificate, connections, kubelets, kubelet_tls)
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
        kubelet_tls: FollowedTLS,
    ) -> None:
        self._options = options
        self._clock = clock
        self._kubelet_tls = kubelet_tls
        self._stopping = asyncio.Event()
        self._collect_at_ns = clock.monotonic_ns() + options.metric_resolution_ns
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
        self._client_ca = _ca_file(
            options.client_ca_file,
            "unable to load client CA provider",
            "client-ca-bundle",
            "--client-ca-file",
        )
        self._requestheader_ca = _ca_file(
            options.requestheader_client_ca_file,
            "unable to create request header authentication config",
            "request-header",
            "--requestheader-client-ca-file",
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
            checks=Checks(
                informers={"node": self._nodes, "pod": self._pods},
                trust=self._trust_watch,
                scraper=self._scraper,
                store=self._store,
                nodes=self._nodes.cache,
                clock=clock,
                is_stopping=self._stopping.is_set,
            ).by_endpoint(),
            node_selector=selector,
            secure_port=options.secure_port,
            scrapes=self._scraper,
            kubelet_verify=lambda: kubelet_tls.verify,
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

    async def run(self, stopping: Stopping) -> None:
        """Until a signal. Raises ListenError."""
        loop = asyncio.get_running_loop()
        with stopping.gracefully(lambda: loop.call_soon_threadsafe(self._stopping.set)):
            await self._listener.start(
                self._app,
                self._options.bind_address,
                self._options.secure_port,
                share_port=self._options.permit_port_sharing,
            )
            jobs: dict[str, _Job] = {
                "node informer": self._nodes.run(),
                "pod informer": self._pods.run(),
                "scraper": self._scraper.run(),
                "housekeeping": self._keep_house(),
                "listener": self._listener.run(),
                "watchdog": watchdog.watch(),
            }
            if self._trust_watch is not None:
                jobs["extension-apiserver-authentication"] = self._trust_watch.run()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job, name=name) for name, job in jobs.items()]
                await self._stopping.wait()
                await self._leave()
                for task in tasks:
                    task.cancel()

    async def _leave(self) -> None:
        """Without cutting anyone off: /readyz says it first, so that nobody new is sent here."""
        delay_s = self._options.shutdown_delay_duration_ns / 1e9
        drain_s = self._options.request_timeout_ns / 1e9
        log.info("Shutting down", delay_s=delay_s)
        _tell("ShutdownInitiated")
        if self._nodes.has_synced and self._pods.has_synced:  # else nobody was ever sent here
            await asyncio.sleep(delay_s)
            if self._expiry.front_proxy_came_lately(self._clock.now_ns()):
                await self._app.draining.quiet(_QUIET_S, _LONGEST_UNQUIET_S)
        _tell("AfterShutdownDelayDuration")
        if self._options.shutdown_send_retry_after:
            self._app.draining.begin()
            _tell("NotAcceptingNewRequest")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._app.draining.wait(), drain_s)
            drain_s = _FAREWELL_S
        await self._listener.stop(drain_s)
        _tell("HTTPServerStoppedListening")

    async def _keep_house(self) -> None:
        """What nobody tells us of: files that were replaced, and how much is stored. A file that brings out a fault
        of ours costs that file, and not the server."""
        chores: dict[str, Callable[[], object]] = {
            "serving certificate": self._listener.reload_certificate_if_changed,
            "CA files": self._take_up_ca_files,
            "expiry": lambda: self._expiry.look(
                self._trust.current.requestheader_ca_pem, self._clock.now_ns()
            ),
            "garbage": self._collect_garbage,
            "in flight": self._telemetry.publish_in_flight,
            "kubelets' TLS": self._kubelet_tls.reload_if_changed,
            "verification": lambda: self._telemetry.set_verification(
                self._kubelet_tls.verify, self._scraper.node_count
            ),
            "points": lambda: self._telemetry.set_points(*self._store.servable(self._clock.monotonic_ns())),
        }
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

    def _collect_garbage(self) -> None:
        """What stays is set apart once it is there, connections above all, so that the collector looks at what came
        since: at 1,000 nodes it held the loop for a tenth of a second, several times a minute. What left is found
        hourly."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._collect_at_ns or not all(self._store.servable(now_ns)):
            return
        self._collect_at_ns = now_ns + _COLLECT_EVERY_NS
        gc.unfreeze()
        gc.collect()
        gc.freeze()

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


async def serve(options: Options, stopping: Stopping) -> None:
    """Until a signal. Raises ConfigError or ListenError before anything has started."""
    stopping.at_once = remove_files
    async with AsyncExitStack() as closing:
        server = await Server.build(options, SystemClock(), closing)
        await server.run(stopping)


def _tell(event: str) -> None:
    log.info("[graceful-termination] shutdown event", v=1, name=event)


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
        limits=limits_of(options.request_timeout_ns / 1e9, open_files()),
    )


def _followed(read: Callable[[], KubeletTLS]) -> FollowedTLS:
    try:
        return FollowedTLS(read)
    except ConfigError as err:
        failed = "unable to construct a client to connect to the kubelets: unable to construct transport"
        raise ConfigError(f"{failed}: {err}") from err


def _kubelet_tls(options: Options, credentials: Credentials) -> KubeletTLS:
    """Kubelets are shown what kube-apiserver is shown, and trusted as it is, where no flag says otherwise."""
    verify, ca_file = options.kubelet_verification, options.kubelet_certificate_authority
    if verify is Verification.ADDRESS and credentials.insecure_skip_tls_verify and not ca_file:
        verify = Verification.INSECURE
    return KubeletTLS(
        verify=verify,
        ca_file=ca_file or credentials.ca_file or "",
        client_cert_file=options.kubelet_client_certificate or credentials.client_cert_file or "",
        client_key_file=options.kubelet_client_key or credentials.client_key_file or "",
    )


def _transport_settings(options: Options) -> TransportSettings:
    return TransportSettings(
        preferred_address_types=options.kubelet_preferred_address_types,
        port=options.kubelet_port,
        use_node_status_port=options.kubelet_use_node_status_port,
        request_timeout_ns=options.kubelet_request_timeout_ns,
        completely_insecure=options.deprecated_kubelet_completely_insecure,
        verifies_node_name=options.kubelet_verification is Verification.NODE_NAME,
        user_agent=_USER_AGENT,
    )


def _ca_file(path: str, failed: str, name: str, flag: str) -> CaFile | None:
    return CaFile(path, failed, name, flag) if path else None


def _pem(file: CaFile | None) -> bytes:
    return b"" if file is None else file.pem

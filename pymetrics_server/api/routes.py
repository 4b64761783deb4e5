"""What answers each route, once it is known that the user may have it."""

import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pymetrics_server.api import discovery
from pymetrics_server.api.debugflags import set_verbosity
from pymetrics_server.api.exchange import Exchange
from pymetrics_server.api.flagz import flagz_reply
from pymetrics_server.api.health import Check, check_reply, endpoint_reply
from pymetrics_server.api.interfaces import NodeLister, PodLister, ScrapeReporter, Selector, UsageReader
from pymetrics_server.api.metrics import Metrics
from pymetrics_server.api.negotiation import DISCOVERY, JSON, LIST, OBJECT, check_route
from pymetrics_server.api.nodes import Nodes
from pymetrics_server.api.openapi.service import OpenAPI
from pymetrics_server.api.pods import Pods
from pymetrics_server.api.reply import Reply, document_reply, json_reply
from pymetrics_server.api.request import Route, Target, first
from pymetrics_server.api.statusz import NodeRow, StatuszFacts, node_rows, statusz_reply, table
from pymetrics_server.api.zpages import DELIMITERS, TEXT_PLAIN, negotiate_page
from pymetrics_server.clock import Clock
from pymetrics_server.log import verbosity
from pymetrics_server.meta.status import method_not_allowed, not_found_generic
from pymetrics_server.meta.verification import Verification
from pymetrics_server.telemetry import CONTENT_TYPE, Telemetry
from pymetrics_server.version import KUBERNETES_MAJOR, KUBERNETES_MINOR, VERSION

_COMPONENT = "metrics-server"


class Routes:
    """`checks` maps healthz, livez and readyz to their checks in the order of their lines; `node_selector`
    narrows lists of nodes; `flags` are the values that count, by name.
    """

    def __init__(
        self,
        *,
        nodes: NodeLister,
        pods: PodLister,
        usage: UsageReader,
        telemetry: Telemetry,
        clock: Clock,
        checks: Mapping[str, Sequence[Check]],
        node_selector: Selector,
        secure_port: int,
        scrapes: ScrapeReporter,
        kubelet_verify: Callable[[], Verification],
        flags: Mapping[str, str],
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._checks = checks
        self._secure_port = secure_port
        self._usage = usage
        self._scrapes = scrapes
        self._kubelet_verify = kubelet_verify
        self._flags = flags
        self._started_s = clock.now_ns() // 1_000_000_000
        self._openapi = OpenAPI(self._started_s)
        self._nodes = Metrics(Nodes(nodes, usage, node_selector), telemetry, clock)
        self._pods = Metrics(Pods(pods, usage), telemetry, clock)

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises StatusError."""
        target = exchange.target
        match target.route:
            case Route.INDEX:
                return self._index(200)
            case Route.NO_PATH:
                return self._index(404)
            case Route.NO_RESOURCE:
                raise not_found_generic()
            case Route.HEALTH:
                return self._health(target)
            case Route.METRICS:
                started = {"Process-Start-Time-Unix": str(self._started_s)}
                return Reply([self._telemetry.exposition()], 200, CONTENT_TYPE, started)
            case Route.OPENAPI_V2 | Route.OPENAPI_V3 | Route.OPENAPI_V3_DOCUMENT:
                return self._openapi_reply(exchange)
            case Route.STATUSZ | Route.FLAGZ | Route.VERBOSITY:
                return await self._for_debugging(exchange)
            case _:
                return await self._documented(exchange)

    async def _for_debugging(self, exchange: Exchange) -> Reply:
        """Raises StatusError 406."""
        target = exchange.target
        if target.route is Route.VERBOSITY:
            return set_verbosity(exchange.body, exchange.method)
        kind = "Statusz" if target.route is Route.STATUSZ else "Flagz"
        accept, user_agent = exchange.header("Accept"), exchange.header("User-Agent")
        representation = negotiate_page(kind, accept, target.query, user_agent)
        delimiter = random.choice(DELIMITERS)  # noqa: S311  no secret comes of it
        if target.route is Route.FLAGZ:
            flags = {**self._flags, "v": str(verbosity())}
            return flagz_reply(_COMPONENT, flags, representation, delimiter)
        now_ns, mono_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        rows: Sequence[NodeRow] = ()
        if representation.media_type == TEXT_PLAIN:
            rows = await node_rows(self._scrapes.report(), self._usage, mono_ns, now_ns)
        facts = StatuszFacts(
            component=_COMPONENT,
            started_s=self._started_s,
            now_s=now_ns // 1_000_000_000,
            runtime_version=discovery.version_info()["goVersion"],
            binary_version=VERSION,
            emulation_version=f"{KUBERNETES_MAJOR}.{KUBERNETES_MINOR}",
            paths=discovery.path_index(self._checks)["paths"],
            kubelet_verify=self._kubelet_verify(),
            rows=rows,
            table=await table(rows),
        )
        return statusz_reply(facts, representation, delimiter)

    async def _documented(self, exchange: Exchange) -> Reply:
        """Below /apis and /version: GET only, and negotiated. Raises StatusError."""
        target = exchange.target
        if exchange.method != "GET":
            raise method_not_allowed()
        match target.route:
            case Route.NODES | Route.PODS:
                metrics = self._nodes if target.route is Route.NODES else self._pods
                return await metrics.list(target, exchange.representation(LIST))
            case Route.NODE | Route.POD:
                metrics = self._nodes if target.route is Route.NODE else self._pods
                return metrics.get(target, exchange.representation(OBJECT))
            case Route.VERSION:
                check_route(exchange.header("Accept"), (JSON,))
                return json_reply(discovery.version_info(), pretty=True)
            case Route.GROUP_LIST:
                return self._group_list(exchange)
            case Route.GROUP:
                return document_reply(discovery.group(), exchange.representation())
            case _:
                return document_reply(discovery.resource_list(target.version), exchange.representation())

    def _group_list(self, exchange: Exchange) -> Reply:
        representation = exchange.representation(DISCOVERY)
        if not representation.transform:
            return document_reply(discovery.group_list(self._secure_port), representation)
        document, etag = discovery.aggregated(representation.version)
        headers = {"Etag": etag, "Vary": "Accept", "Cache-Control": "public"}
        if exchange.header("If-None-Match") == etag:  # `*` is not heeded by the original either
            return Reply([], 304, "", headers)
        reply = document_reply(document, representation, headers=headers)
        asked = f";g=apidiscovery.k8s.io;v={representation.version};as={representation.transform}"
        return msgspec.structs.replace(reply, content_type=representation.media_type + asked)

    def _openapi_reply(self, exchange: Exchange) -> Reply:
        target, accept = exchange.target, exchange.header("Accept")
        known = exchange.header("If-None-Match")
        match target.route:
            case Route.OPENAPI_V2:
                return self._openapi.v2(accept, known, exchange.header("Accept-Encoding"))
            case Route.OPENAPI_V3:
                return self._openapi.v3_index(known)
            case _:
                now_s = self._clock.now_ns() / 1e9
                return self._openapi.v3_document(
                    target.name, first(target.query, "hash"), accept, known, now_s
                )

    def _index(self, code: int) -> Reply:
        return json_reply(discovery.path_index(self._checks), pretty=True, code=code)

    def _health(self, target: Target) -> Reply:
        checks = self._checks.get(target.endpoint, ())
        if not target.name:
            return endpoint_reply(target.endpoint, checks, target.query)
        named = [check for check in checks if check.name == target.name]
        return check_reply(named[0]) if named else self._index(404)

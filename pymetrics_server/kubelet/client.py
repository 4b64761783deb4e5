"""One scrape of a node: which endpoint of its kubelet is asked, and what it told.

Which endpoint a node answers is remembered per node. Whatever goes wrong leaves as one KubeletError.
"""

from typing import Literal

from pymetrics_server.clock import Clock
from pymetrics_server.errors import DecodeError, FailureClass, KubeletError
from pymetrics_server.kubelet.address import path_of
from pymetrics_server.kubelet.resource import decode_resource
from pymetrics_server.kubelet.summary import decode_summary
from pymetrics_server.kubelet.transport import KubeletTransport
from pymetrics_server.log import Logger
from pymetrics_server.meta.objects import Node
from pymetrics_server.meta.usage import NodeSample

log = Logger(__name__)

Endpoint = Literal["auto", "summary", "resource"]

_SUMMARY = "/stats/summary?only_cpu_and_memory=true"
_RESOURCE = "/metrics/resource"
_FAULTS_OF_A_SUMMARY = 3
_SUMMARY_AGAIN_NS = 600 * 1_000_000_000


class KubeletClient:
    """`scrape` may run for many nodes at once: the bound on that is the caller's."""

    def __init__(self, transport: KubeletTransport, endpoint: Endpoint, clock: Clock) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._clock = clock
        self._annotated: set[str] = set()  # nodes that name a path of their own
        self._resource_until_ns: dict[str, int] = {}  # by node: monotonic time to try the summary again
        self._faults: dict[str, int] = {}  # by node: 5xx and nonsense of its summary, one after the other

    async def scrape(self, node: Node) -> NodeSample:
        """Raises KubeletError, and nothing else but cancellation."""
        (self._annotated.add if node.resource_metrics_path else self._annotated.discard)(node.name)
        deadline_s = self._transport.deadline_s()
        if self.endpoint_in_use(node.name) == "resource":
            try:
                return await self._scrape_resource(node, deadline_s)
            except KubeletError as err:
                if _worth_asking_elsewhere(err):
                    self._summary_next(node.name)
                raise
        try:
            body = await self._transport.get(node, _SUMMARY, deadline_s)
            sample = _told(decode_summary(body))
        except KubeletError as err:
            if self._endpoint != "auto" or not self._refuses(node.name, err):
                raise
            return await self._fall_back(node, deadline_s, err)
        self._faults.pop(node.name, None)
        if self._resource_until_ns.pop(node.name, None) is not None:
            log.info("Kubelet answers with its summary again", node=node.name)
        return sample

    def endpoint_in_use(self, node_name: str) -> Literal["summary", "resource"]:
        """What the next scrape of the node asks first."""
        if node_name in self._annotated:
            return "resource"
        if self._endpoint != "auto":
            return self._endpoint
        until_ns = self._resource_until_ns.get(node_name, 0)
        return "resource" if self._clock.monotonic_ns() < until_ns else "summary"

    def forget(self, node_name: str) -> None:
        """The node is gone."""
        self._annotated.discard(node_name)
        self._resource_until_ns.pop(node_name, None)
        self._faults.pop(node_name, None)
        self._transport.forget(node_name)

    def _summary_next(self, node_name: str) -> None:
        """What was refused once may have come back; that it was refused stays known until it answers."""
        if node_name in self._resource_until_ns:
            self._resource_until_ns[node_name] = 0

    async def _scrape_resource(self, node: Node, deadline_s: float) -> NodeSample:
        asked_ns = self._clock.now_ns()
        path = path_of(node) or _RESOURCE
        body = await self._transport.get(node, path, deadline_s)
        return _told(decode_resource(body, asked_ns))

    def _refuses(self, node_name: str, err: KubeletError) -> bool:
        """A kubelet that fails now and then is one that fails: only from the third time on end is it its summary."""
        if not _worth_asking_elsewhere(err):
            self._faults.pop(node_name, None)
            return False
        if 0 < err.status < 500:
            return True
        self._faults[node_name] = self._faults.get(node_name, 0) + 1
        return self._faults[node_name] >= _FAULTS_OF_A_SUMMARY

    async def _fall_back(self, node: Node, deadline_s: float, refused: KubeletError) -> NodeSample:
        name = node.name
        try:
            sample = await self._scrape_resource(node, deadline_s)
        except KubeletError as err:
            detail = f"{refused.detail}; {_RESOURCE}: {err.failure.label}"
            if refused.status == err.status == 403:
                detail += ": neither nodes/stats nor nodes/metrics may be read"
            raise KubeletError(refused.failure, detail, status=refused.status, cure=refused.cure) from err
        if name not in self._resource_until_ns:
            log.info(
                "Kubelet refuses its summary, its resource metrics are read instead",
                node=name,
                err=refused.detail,
            )
        self._resource_until_ns[name] = self._clock.monotonic_ns() + _SUMMARY_AGAIN_NS
        return sample


def _told(sample: NodeSample) -> NodeSample:
    """Raises DecodeError where nothing was: what was known is then served on, as after any other failure."""
    if sample.node is None and not sample.layout.pods:
        lacking = f": {sample.dropped[0][0]}: {sample.dropped[0][1]}" if sample.dropped else ""
        raise DecodeError(f"nothing of the node or of pods{lacking}", FailureClass.EMPTY_ANSWER)
    return sample


def _worth_asking_elsewhere(err: KubeletError) -> bool:
    """The endpoint is at fault, and not the way to it."""
    return isinstance(err, DecodeError) or err.status in (403, 404, 405) or err.status >= 500

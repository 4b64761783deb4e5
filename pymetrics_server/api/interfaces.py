"""What this room needs of the others, and nothing about who provides it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from multidict import CIMultiDictProxy

from pymetrics_server.meta.identity import Attributes, Decision, UserInfo
from pymetrics_server.meta.objects import Node, PodMeta
from pymetrics_server.meta.scrape import NodeScrape
from pymetrics_server.meta.usage import NodeUsage, PodUsage, Validity


class NodeLister(Protocol):
    def get(self, name: str) -> Node | None: ...

    def list(self) -> Sequence[Node]:
        """Sorted by name; a snapshot, which stays as it is, and is the identical one until something changes."""
        ...


class PodLister(Protocol):
    def get(self, namespace: str, name: str) -> PodMeta | None: ...

    def list(self, namespace: str = "") -> Sequence[PodMeta]:
        """Sorted by namespace, then name; "" is every namespace. A snapshot, as of NodeLister.list."""
        ...


class NodeUsageReader(Protocol):
    def node_usage(self, name: str, now_ns: int) -> NodeUsage | None:
        """`now_ns` is monotonic. The identical object comes back until the sample behind it changes."""
        ...


class UsageReader(NodeUsageReader, Protocol):
    def pod_usage(self, namespace: str, name: str, now_ns: int) -> PodUsage | None: ...

    def node_validity(self, name: str) -> Validity:
        """Of the usage that is handed out now."""
        ...

    def pod_validity(self, namespace: str, name: str) -> Validity: ...


class ScrapeReporter(Protocol):
    def report(self) -> Sequence[NodeScrape]:
        """How every node answers, in no order."""
        ...


class Authenticator(Protocol):
    async def authenticate(self, headers: CIMultiDictProxy[str], chain_der: tuple[bytes, ...]) -> UserInfo:
        """Raises UnauthorizedError where a credential was shown that proves nothing."""
        ...


class Authorizer(Protocol):
    async def authorize(self, user: UserInfo, attributes: Attributes) -> Decision:
        """Raises a PymetricsError where no decision could be had: the answer is then 500."""
        ...


class Impersonation(Protocol):
    async def acting(self, user: UserInfo, headers: CIMultiDictProxy[str]) -> UserInfo:
        """Whom the user speaks as. Raises StatusError 403, and a PymetricsError for a 500."""
        ...


class AuditTrail(Protocol):
    def refused(
        self,
        code: int,
        reason: str,
        peer: str,
        chain_der: tuple[bytes, ...],
        user: str = "",
        asked: str = "",
    ) -> None:
        """None of these tells of what is secret."""
        ...


class Selector(Protocol):
    def matches(self, labels: Mapping[str, str], /) -> bool: ...


#: The certificates that the peer presented, leaf first; () where there are none or the peer is gone.
PeerChain = Callable[[asyncio.BaseTransport | None], tuple[bytes, ...]]

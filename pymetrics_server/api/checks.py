"""What /healthz, /livez and /readyz look at, and in which words it fails.

Liveness looks at our own loop alone: a slow node, or a kube-apiserver that is away, must not restart us.
"""

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Protocol

from pymetrics_server.api.health import Check
from pymetrics_server.clock import Clock
from pymetrics_server.errors import FailureClass


class Informer(Protocol):
    @property
    def has_synced(self) -> bool: ...
    @property
    def last_error(self) -> str: ...
    @property
    def last_hint(self) -> str: ...


class Failing(Protocol):
    @property
    def count(self) -> int: ...
    @property
    def cure(self) -> str: ...


class Scraper(Protocol):
    def timely(self, now_ns: int) -> bool: ...
    def failures(self) -> Mapping[FailureClass, Failing]: ...


class Store(Protocol):
    def servable(self, now_ns: int) -> tuple[int, int]: ...


class Checks:
    """`informers` by what they are called; `trust` is whoever learns whom to believe, None where nobody does."""

    def __init__(
        self,
        *,
        informers: Mapping[str, Informer],
        trust: Informer | None,
        scraper: Scraper,
        store: Store,
        nodes: Sized,
        clock: Clock,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._informers = informers
        self._trust = trust
        self._scraper = scraper
        self._store = store
        self._nodes = nodes
        self._clock = clock
        self._is_stopping = is_stopping

    def by_endpoint(self) -> Mapping[str, Sequence[Check]]:
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
        shutdown = Check("shutdown", lambda: "process is shutting down" if self._is_stopping() else None)
        return {
            "healthz": [*always, metadata],
            "livez": [*always, timely, metadata],
            "readyz": [*always, storage, informers, metadata, shutdown],
        }

    def _unsynced(self) -> str | None:
        for kind, informer in self._informers.items():
            if not informer.has_synced:
                return f"cache for {kind} informer has not synced{_why(informer)}"
        if self._trust is not None and not self._trust.has_synced and self._trust.last_error:
            return f"who may be believed is not known{_why(self._trust)}"
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
            f"no metrics to serve: {failure.label} at {most.count} of {len(self._nodes)} nodes, "
            f"{failure.cause}; {most.cure}"
        )


def _why(informer: Informer) -> str:
    error, hint = informer.last_error, informer.last_hint
    return (f": {error}" if error else "") + (f"; {hint}" if hint else "")

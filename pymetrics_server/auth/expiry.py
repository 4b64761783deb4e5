"""How long the front proxy's certificate and its CA still hold: gauges, and one warning each 30, 7 and 1 day before.

kube-apiserver renews neither by itself, and on the day after the last one every request is refused.
"""

from typing import Protocol

from pymetrics_server.errors import UntrustedError
from pymetrics_server.log import Logger
from pymetrics_server.x509 import Proven, bundle_until_ns

log = Logger(__name__)

_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_WARNED_OF_DAYS = (1, 7, 30)  # ascending
_FORGOTTEN_NS = 3_600 * _SECOND_NS
_LATELY_NS = 60 * _SECOND_NS  # kube-apiserver looks at an APIService twice a minute
_MAX_SEEN = 64  # kube-apiservers, each with a certificate of its own
_LOOK_EVERY_NS = 60 * _SECOND_NS


class ExpirySink(Protocol):
    """Seconds; the first two since the epoch, 0 where nothing is known."""

    def set_front_proxy_expiration(self, certificate_s: float, ca_s: float) -> None: ...
    def observe_client_certificate(self, remaining_s: float) -> None: ...


class Expiry:
    def __init__(self, sink: ExpirySink) -> None:
        self._sink = sink
        self._seen_ns: dict[tuple[int, str], int] = {}  # (end, common name) -> when it last came
        self._warned: set[tuple[str, int, int]] = set()
        self._next_look_ns = 0

    def front_proxy(self, proof: Proven, now_ns: int) -> None:
        """A request came from behind it."""
        seen = (proof.leaf_until_ns, proof.subject.common_name)
        if seen not in self._seen_ns and len(self._seen_ns) >= _MAX_SEEN:
            return
        self._seen_ns[seen] = now_ns

    def front_proxy_came_lately(self, now_ns: int) -> bool:
        return any(0 <= now_ns - at < _LATELY_NS for at in self._seen_ns.values())

    def client(self, proof: Proven, now_ns: int) -> None:
        """A request came with a user's certificate."""
        self._sink.observe_client_certificate((proof.leaf_until_ns - now_ns) / _SECOND_NS)

    def look(self, requestheader_ca_pem: bytes, now_ns: int) -> None:
        """To be called every second or so; looks once a minute, and whenever time went back."""
        if 0 <= self._next_look_ns - now_ns <= _LOOK_EVERY_NS:
            return
        self._next_look_ns = now_ns + _LOOK_EVERY_NS
        self._seen_ns = {k: at for k, at in self._seen_ns.items() if abs(now_ns - at) < _FORGOTTEN_NS}
        until_ns, name = min(self._seen_ns, default=(0, ""))
        try:
            ca_until_ns = bundle_until_ns(requestheader_ca_pem)
        except UntrustedError:
            ca_until_ns = 0
        self._sink.set_front_proxy_expiration(until_ns / _SECOND_NS, ca_until_ns / _SECOND_NS)
        self._warn("certificate", until_ns, now_ns, name)
        self._warn("CA", ca_until_ns, now_ns, "requestheader-client-ca-file")

    def _warn(self, what: str, until_ns: int, now_ns: int, name: str) -> None:
        left_ns = until_ns - now_ns
        near = next((days for days in _WARNED_OF_DAYS if left_ns <= days * _DAY_NS), None)
        if not until_ns or near is None or (what, until_ns, near) in self._warned:
            return
        self._warned = {w for w in self._warned if w[0] != what} | {(what, until_ns, near)}
        log.warning(
            "kube-apiserver's front-proxy certificate or its CA ends soon: then every request is refused; renew it",
            what=what,
            name=name,
            ends_in_hours=max(0, left_ns // (3_600 * _SECOND_NS)),
        )

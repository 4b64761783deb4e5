"""The trail of who was turned away: one line for each reason and peer, then silence for a while.

What is written names the user, and of a certificate its subject, issuer and end; never a token, nor a header's value.
"""

import re
from hashlib import sha256

from pymetrics_server.clock import Clock
from pymetrics_server.errors import UntrustedError
from pymetrics_server.log import Logger
from pymetrics_server.x509 import describe

log = Logger(__name__)

_LONGEST = 400  # and whatever else is told
_MOMENT = re.compile(r"current time \S+ ")  # what makes each refusal of an expired certificate another


class AuditTrail:
    """At most `max_entries` lines within `silence_ns`: further ones are told of as one."""

    def __init__(self, clock: Clock, *, silence_ns: int = 600_000_000_000, max_entries: int = 1024) -> None:
        self._clock = clock
        self._silence_ns = silence_ns
        self._max_entries = max_entries
        self._silent_until_ns: dict[bytes, int] = {}
        self._overflow_until_ns = 0

    def __len__(self) -> int:
        return len(self._silent_until_ns)

    def refused(
        self,
        code: int,
        reason: str,
        peer: str,
        chain_der: tuple[bytes, ...],
        user: str = "",
        asked: str = "",
    ) -> None:
        """`peer` is an address, `user` "" where nobody is known, `asked` for what: the first such stands for all.
        None of them tells of what is secret.
        """
        now_ns = self._clock.monotonic_ns()
        shown = chain_der[0] if chain_der else b""
        about = "\0".join((str(code), _MOMENT.sub("", reason), peer, user))
        key = sha256(about.encode("utf-8", "replace") + b"\0" + shown).digest()
        if now_ns < self._silent_until_ns.get(key, 0) or not self._has_room(now_ns):
            return
        self._silent_until_ns[key] = now_ns + self._silence_ns
        values = {"user": user, "asked": asked[:_LONGEST]}
        log.warning(
            "Refused a request",
            code=code,
            reason=reason[:_LONGEST],
            peer=peer,
            **{name: value for name, value in values.items() if value},
            certificate=_described(shown)[:_LONGEST] if shown else "none shown",
        )

    def _has_room(self, now_ns: int) -> bool:
        if len(self._silent_until_ns) < self._max_entries:
            return True
        if now_ns < self._overflow_until_ns:
            return False
        kept = {key: until for key, until in self._silent_until_ns.items() if now_ns < until}
        self._silent_until_ns = kept
        if len(kept) < self._max_entries:
            return True
        self._overflow_until_ns = min(kept.values())
        log.warning("Too many kinds of refused requests, further ones are not told of for a while")
        return False


def _described(der: bytes) -> str:
    try:
        return describe(der)
    except UntrustedError as err:
        return str(err)

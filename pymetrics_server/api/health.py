"""Health endpoints in kube-apiserver's words: named checks, one line each, reasons kept to the log.

Kubernetes: https://kubernetes.io/docs/reference/using-api/health-checks/
"""

from collections.abc import Callable, Sequence

from pymetrics_server.api.reply import TEXT, Reply, text_reply
from pymetrics_server.api.request import Query
from pymetrics_server.log import Logger
from pymetrics_server.meta.quote import go_quote

log = Logger(__name__)


class Check:
    """`probe` returns None, or why it fails. A check may stand in several endpoints."""

    def __init__(self, name: str, probe: Callable[[], str | None]) -> None:
        self.name = name
        self._probe = probe
        self._last_reason: str | None = None

    def failure(self) -> str | None:
        reason = self._probe()
        if reason != self._last_reason:
            if reason is None:
                log.info("Probe succeeds again", probe=self.name)
            else:
                log.info("Failed probe", probe=self.name, err=reason)
            self._last_reason = reason
        return reason


def endpoint_reply(endpoint: str, checks: Sequence[Check], query: Query) -> Reply:
    """All checks of `endpoint` (healthz, livez or readyz), without those that `exclude` names."""
    excluded = set(query.get("exclude", ()))
    unmatched = excluded - {check.name for check in checks}
    lines: list[str] = []
    failed = False
    for check in checks:
        if check.name in excluded:
            lines.append(f"[+]{check.name} excluded: ok")
        elif check.failure() is None:
            lines.append(f"[+]{check.name} ok")
        else:
            failed = True
            lines.append(f"[-]{check.name} failed: reason withheld")
    if unmatched:
        names = ",".join(map(go_quote, sorted(unmatched)))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
    if failed:
        return text_reply("\n".join([*lines, f"{endpoint} check failed\n"]), 500)
    if "verbose" in query:
        return text_reply("\n".join([*lines, f"{endpoint} check passed\n"]))
    return text_reply("ok")


def check_reply(check: Check) -> Reply:
    reason = check.failure()
    if reason is None:
        return Reply([b"ok"], content_type=TEXT)
    return text_reply(f"internal server error: {reason}\n", 500)

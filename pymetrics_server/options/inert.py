"""Flags of metrics-server that are accepted, so that its arguments work as they are, and change nothing here.

Each stands under the reason why. Their values are still read, and a malformed one is refused.
"""

from pymetrics_server.options.flags import Flag, Group, Kind, Value

_ZEROS: dict[Kind, Value] = {Kind.BOOL: False, Kind.INT: 0, Kind.FLOAT: 0.0, Kind.TEXTS: (), Kind.DURATION: 0}

_NO_EFFECT_THERE_EITHER = {
    "advertise-address": Kind.IP,
    "contention-profiling": Kind.BOOL,
    "debug-socket-path": Kind.TEXT,
    "emulated-version": Kind.TEXTS,
    "emulation-forward-compatible": Kind.BOOL,
    "enable-priority-and-fairness": Kind.BOOL,
    "external-hostname": Kind.TEXT,
    "feature-gates": Kind.TEXT,
    "min-compatibility-version": Kind.TEXTS,
    "min-request-timeout": Kind.INT,
    "profiling": Kind.BOOL,
    "runtime-config-emulation-forward-compatible": Kind.BOOL,
    "shutdown-watch-termination-grace-period": Kind.DURATION,
    "storage-initialization-timeout": Kind.DURATION,
}
_ONLY_READS_ARE_SERVED = {"max-mutating-requests-inflight": Kind.INT}
_HTTP_1_1_IS_SERVED = {
    "disable-http2-serving": Kind.BOOL,
    "goaway-chance": Kind.FLOAT,
    "http2-max-streams-per-connection": Kind.INT,
}
_NO_AUDIT_LOG = {
    "audit-policy-file": Kind.TEXT,
    "audit-log-compress": Kind.BOOL,
    "audit-log-format": Kind.TEXT,
    "audit-log-maxage": Kind.INT,
    "audit-log-maxbackup": Kind.INT,
    "audit-log-maxsize": Kind.INT,
    "audit-log-path": Kind.TEXT,
    "audit-webhook-config-file": Kind.TEXT,
    "audit-webhook-initial-backoff": Kind.DURATION,
} | {
    f"audit-{backend}-{name}": kind
    for backend in ("log", "webhook")
    for name, kind in {
        "batch-buffer-size": Kind.INT,
        "batch-max-size": Kind.INT,
        "batch-max-wait": Kind.DURATION,
        "batch-throttle-burst": Kind.INT,
        "batch-throttle-enable": Kind.BOOL,
        "batch-throttle-qps": Kind.FLOAT,
        "mode": Kind.TEXT,
        "truncate-enabled": Kind.BOOL,
        "truncate-max-batch-size": Kind.INT,
        "truncate-max-event-size": Kind.INT,
        "version": Kind.TEXT,
    }.items()
}
_LOG_LINES_ARE_NOT_BUFFERED = {
    "log-flush-frequency": Kind.DURATION,
    "log-json-info-buffer-size": Kind.TEXT,
    "log-json-split-stream": Kind.BOOL,
    "log-text-info-buffer-size": Kind.TEXT,
    "log-text-split-stream": Kind.BOOL,
    "vmodule": Kind.TEXT,
}
_NOT_BUILT = {
    "livez-grace-period": Kind.DURATION,
    "permit-address-sharing": Kind.BOOL,
    "shutdown-send-retry-after": Kind.BOOL,
    "tls-curve-preferences": Kind.TEXTS,
}

_REASONS = {
    "Without effect in metrics-server, too.": _NO_EFFECT_THERE_EITHER,
    "Only reading requests are served.": _ONLY_READS_ARE_SERVED,
    "HTTP/1.1 is served.": _HTTP_1_1_IS_SERVED,
    "No audit log is written.": _NO_AUDIT_LOG,
    "Log lines go to stderr at once, at one verbosity.": _LOG_LINES_ARE_NOT_BUFFERED,
    "Not supported.": _NOT_BUILT,
}


def inert_flags() -> tuple[Flag, ...]:
    """Sorted by name; `help` says why the flag has no effect."""
    found = [
        Flag(name, kind, _ZEROS.get(kind, ""), Group.INERT, why)
        for why, flags in _REASONS.items()
        for name, kind in flags.items()
    ]
    return tuple(sorted(found, key=lambda flag: flag.name))

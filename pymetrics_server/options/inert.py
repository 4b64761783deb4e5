"""Flags of metrics-server that are accepted, so that its arguments work as they are, and change nothing here.

Each stands once, under the reason why. Their values are still read and checked, and a wrong one is refused.
"""

from pymetrics_server.options.flags import Flag, Group, Kind, Value

_SECOND_NS = 1_000_000_000

_Flags = dict[str, tuple[Kind, Value]]

_GENERIC: dict[str, _Flags] = {
    "nor has it any in metrics-server.": {
        "advertise-address": (Kind.IP, ""),
        "emulation-forward-compatible": (Kind.BOOL, False),
        "external-hostname": (Kind.TEXT, ""),
        "runtime-config-emulation-forward-compatible": (Kind.BOOL, False),
        "storage-initialization-timeout": (Kind.DURATION, 60 * _SECOND_NS),
    },
    "metrics-server registers no component with versions or features, and refuses every value; so is it here.": {
        "emulated-version": (Kind.TEXTS, ()),
        "feature-gates": (Kind.GATES, ()),
        "min-compatibility-version": (Kind.TEXTS, ()),
    },
    "there is nothing to watch.": {
        "min-request-timeout": (Kind.INT, 1800),
        "shutdown-watch-termination-grace-period": (Kind.DURATION, 0),
    },
    "what /livez would wait for is done before the port answers.": {"livez-grace-period": (Kind.DURATION, 0)},
    "only reading requests are served.": {"max-mutating-requests-inflight": (Kind.INT, 200)},
    "HTTP/1.1 is served, not HTTP/2.": {"goaway-chance": (Kind.FLOAT, 0.0)},
}
_SERVING: dict[str, _Flags] = {
    "HTTP/1.1 is served, not HTTP/2.": {
        "disable-http2-serving": (Kind.BOOL, False),
        "http2-max-streams-per-connection": (Kind.INT, 0),
    },
    "SO_REUSEADDR is always set.": {"permit-address-sharing": (Kind.BOOL, False)},
    "Python before 3.15 takes one curve, no list; OpenSSL's own list holds.": {
        "tls-curve-preferences": (Kind.INT32S, ())
    },
}
_BATCHES: _Flags = {
    "batch-buffer-size": (Kind.INT, 10_000),
    "truncate-enabled": (Kind.BOOL, False),
    "truncate-max-batch-size": (Kind.INT, 10 * 2**20),
    "truncate-max-event-size": (Kind.INT, 100 * 2**10),
    "version": (Kind.TEXT, "audit.k8s.io/v1"),
}
_AUTHENTICATION: dict[str, _Flags] = {
    "where that ConfigMap cannot be read the server is not ready, and asks again until it can.": {
        "authentication-tolerate-lookup-failure": (Kind.BOOL, False)
    }
}
_AUDIT: dict[str, _Flags] = {
    "no audit log is written.": {
        "audit-policy-file": (Kind.TEXT, ""),
        "audit-log-batch-max-size": (Kind.INT, 1),
        "audit-log-batch-max-wait": (Kind.DURATION, 0),
        "audit-log-batch-throttle-burst": (Kind.INT, 0),
        "audit-log-batch-throttle-enable": (Kind.BOOL, False),
        "audit-log-batch-throttle-qps": (Kind.FLOAT32, 0.0),
        "audit-log-compress": (Kind.BOOL, False),
        "audit-log-format": (Kind.TEXT, "json"),
        "audit-log-maxage": (Kind.INT, 366),
        "audit-log-maxbackup": (Kind.INT, 100),
        "audit-log-maxsize": (Kind.INT, 100),
        "audit-log-mode": (Kind.TEXT, "blocking"),
        "audit-log-path": (Kind.TEXT, ""),
        "audit-webhook-batch-max-size": (Kind.INT, 400),
        "audit-webhook-batch-max-wait": (Kind.DURATION, 30 * _SECOND_NS),
        "audit-webhook-batch-throttle-burst": (Kind.INT, 15),
        "audit-webhook-batch-throttle-enable": (Kind.BOOL, True),
        "audit-webhook-batch-throttle-qps": (Kind.FLOAT32, 10.0),
        "audit-webhook-config-file": (Kind.TEXT, ""),
        "audit-webhook-initial-backoff": (Kind.DURATION, 10 * _SECOND_NS),
        "audit-webhook-mode": (Kind.TEXT, "batch"),
        **{
            f"audit-{backend}-{name}": flag
            for backend in ("log", "webhook")
            for name, flag in _BATCHES.items()
        },
    }
}
_FEATURES: dict[str, _Flags] = {
    "nor has it any in metrics-server.": {
        "contention-profiling": (Kind.BOOL, False),
        "debug-socket-path": (Kind.TEXT, ""),
        "enable-priority-and-fairness": (Kind.BOOL, True),
        "profiling": (Kind.BOOL, True),
    }
}
_LOGGING: dict[str, _Flags] = {
    "log lines are never buffered.": {"log-flush-frequency": (Kind.DURATION, 5 * _SECOND_NS)},
    "of the feature LoggingAlphaOptions, which metrics-server has no way to enable; it is refused here, too.": {
        "log-json-info-buffer-size": (Kind.QUANTITY, "0"),
        "log-json-split-stream": (Kind.BOOL, False),
        "log-text-info-buffer-size": (Kind.QUANTITY, "0"),
        "log-text-split-stream": (Kind.BOOL, False),
    },
}
_GROUPS = {
    Group.GENERIC: _GENERIC,
    Group.SERVING: _SERVING,
    Group.AUTHENTICATION: _AUTHENTICATION,
    Group.AUDIT: _AUDIT,
    Group.FEATURES: _FEATURES,
    Group.LOGGING: _LOGGING,
}


def inert_flags() -> tuple[Flag, ...]:
    """Sorted by name; `help` says why the flag has no effect."""
    found = [
        Flag(name, kind, default, group, why)
        for group, reasons in _GROUPS.items()
        for why, flags in reasons.items()
        for name, (kind, default) in flags.items()
    ]
    return tuple(sorted(found, key=lambda flag: flag.name))

"""Making, inspecting and proving certificates. Bytes in, bytes out: no files, no sockets."""

from pymetrics_server.x509.inspecting import Fitness, Inspected, inspect_der, inspect_pem
from pymetrics_server.x509.issuing import (
    DEFAULT_KEY,
    KEY_KINDS,
    KeyKind,
    Pair,
    issue,
    make_ca,
    signing_pair,
)
from pymetrics_server.x509.proving import (
    Proven,
    Subject,
    bundle_der,
    bundle_until_ns,
    describe,
    prove,
    subject_of,
)

__all__ = [
    "DEFAULT_KEY",
    "KEY_KINDS",
    "Fitness",
    "Inspected",
    "KeyKind",
    "Pair",
    "Proven",
    "Subject",
    "bundle_der",
    "bundle_until_ns",
    "describe",
    "inspect_der",
    "inspect_pem",
    "issue",
    "make_ca",
    "prove",
    "signing_pair",
    "subject_of",
]

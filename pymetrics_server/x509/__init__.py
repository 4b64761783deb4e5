"""Making and proving certificates. Bytes in, bytes out: no files, no sockets."""

from pymetrics_server.x509.issuing import Pair, issue, make_ca
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
    "Pair",
    "Proven",
    "Subject",
    "bundle_der",
    "bundle_until_ns",
    "describe",
    "issue",
    "make_ca",
    "prove",
    "subject_of",
]

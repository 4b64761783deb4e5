"""What became of handshakes that failed: each reason is told once, whoever it was and however often."""

import ssl
import sys
from collections.abc import Callable

from pymetrics_server.log import Logger

log = Logger(__name__)

_MOST_REASONS = 128  # OpenSSL has so many and no more; nobody can make one up
_OF_OUR_CERTIFICATE = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")


class Refusals:
    """Once for each set of client CAs, that is."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def forget(self) -> None:
        self._said.clear()

    def add(self, err: OSError, peer: str) -> None:
        refused = isinstance(err, ssl.SSLCertVerificationError)
        reason = err.verify_message if isinstance(err, ssl.SSLCertVerificationError) else _reason(err)
        if reason in self._said or len(self._said) >= _MOST_REASONS:
            return
        self._said.add(reason)
        if refused:
            log.warning(
                "A client's certificate was refused in the TLS handshake: if it is kube-apiserver's, compare its "
                "front-proxy CA with ConfigMap kube-system/extension-apiserver-authentication",
                reason=reason,
                peer=peer,
            )
        elif "ALERT" in reason and reason.endswith(_OF_OUR_CERTIFICATE):
            log.warning(
                "A client refused our certificate in the TLS handshake: if it is kube-apiserver, compare the "
                "caBundle of the APIServices of metrics.k8s.io with the serving certificate",
                reason=reason,
                peer=peer,
            )
        elif isinstance(err, ssl.SSLError) and not isinstance(err, ssl.SSLEOFError):
            log.info("A TLS handshake failed", reason=reason, peer=peer)
        else:  # as every probe of the port looks
            log.info("A client left in the TLS handshake, or was too slow", v=2, reason=reason, peer=peer)


def bear_names_that_are_no_text() -> Callable[[], None]:
    """Until the function returned is called.

    A host name that a client made of other bytes ends its handshake, in which Python meets it before any code of
    ours; and writes a traceback about it, as often as somebody likes to send one.
    """
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs", /) -> None:
        if isinstance(unraisable.exc_value, UnicodeDecodeError) and isinstance(unraisable.object, bytes):
            return
        before(unraisable)

    def restore() -> None:
        if sys.unraisablehook is hook:
            sys.unraisablehook = before

    sys.unraisablehook = hook
    return restore


def _reason(err: OSError) -> str:
    return getattr(err, "reason", None) or type(err).__name__

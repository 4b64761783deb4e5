"""Foreign exceptions of one request, translated: what ssl and the socket raised becomes a KubeletError."""

import errno
import ssl

from pymetrics_server.errors import FailureClass, KubeletError

_MAX_DETAIL = 200

_BY_VERIFY_CODE = {
    9: FailureClass.TLS_EXPIRED,  # not yet valid
    10: FailureClass.TLS_EXPIRED,
    18: FailureClass.TLS_UNKNOWN_ISSUER,
    19: FailureClass.TLS_UNKNOWN_ISSUER,
    20: FailureClass.TLS_UNKNOWN_ISSUER,
    21: FailureClass.TLS_UNKNOWN_ISSUER,
    62: FailureClass.TLS_NAME_MISMATCH,
    64: FailureClass.TLS_NAME_MISMATCH,
}
_BY_ERRNO = {
    errno.ECONNREFUSED: FailureClass.REFUSED,
    errno.ETIMEDOUT: FailureClass.CONNECT_TIMEOUT,
    errno.ECONNRESET: FailureClass.DISCONNECTED,
    errno.ECONNABORTED: FailureClass.DISCONNECTED,
    errno.EPIPE: FailureClass.DISCONNECTED,
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOBUFS), FailureClass.LOCAL_LIMIT),
}
_BY_STATUS = {
    401: FailureClass.UNAUTHENTICATED,
    403: FailureClass.FORBIDDEN,
    404: FailureClass.NOT_FOUND,
    405: FailureClass.NOT_FOUND,
}


def of_status(status: int, reason: str, body: bytes) -> KubeletError:
    """The kubelet's own words: its body where it has one."""
    said = one_line(body.decode("utf-8", "replace"))
    seen = f'request failed, status: "{status} {reason}"' + (f": {said}" if said else "")
    failure = _BY_STATUS.get(status)
    if failure is None:
        failure = FailureClass.SERVER_ERROR if status >= 500 else FailureClass.BAD_STATUS
    return KubeletError(failure, one_line(seen), status=status)


def of_connecting(err: OSError) -> KubeletError:
    """Before anything was said."""
    return KubeletError(_BY_ERRNO.get(err.errno or 0, FailureClass.UNREACHABLE), _words(err))


def of_exchange(err: Exception) -> KubeletError:
    """From the TLS handshake on."""
    return KubeletError(_class_of(err), _words(err))


def one_line(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in " ".join(text[: _MAX_DETAIL * 4].split()))
    return line if len(line) <= _MAX_DETAIL else f"{line[:_MAX_DETAIL]}..."


def _class_of(err: Exception) -> FailureClass:
    if isinstance(err, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(err.verify_code, FailureClass.TLS_OTHER)
    if isinstance(err, ssl.SSLError) and not isinstance(err, ssl.SSLEOFError):
        internal = "ALERT_INTERNAL_ERROR" in (err.reason or str(err)).upper().replace(" ", "_")
        return FailureClass.TLS_ALERT_INTERNAL if internal else FailureClass.TLS_OTHER
    return FailureClass.DISCONNECTED


def _words(err: Exception) -> str:
    if isinstance(err, ssl.SSLCertVerificationError):
        return one_line(err.verify_message)
    if isinstance(err, ssl.SSLError):
        return one_line((err.reason or str(err)).lower().replace("_", " "))
    return one_line((isinstance(err, OSError) and err.strerror) or str(err) or type(err).__name__)

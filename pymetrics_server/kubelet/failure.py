"""Foreign exceptions of one request, translated: what aiohttp, ssl and the socket raised becomes a KubeletError."""

import errno
import ssl

import aiohttp

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


def of_exception(err: Exception) -> KubeletError:
    if isinstance(err, KubeletError):
        return err
    return KubeletError(_class_of(err), one_line(_words(err)))


def one_line(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in " ".join(text[: _MAX_DETAIL * 4].split()))
    return line if len(line) <= _MAX_DETAIL else f"{line[:_MAX_DETAIL]}..."


def _class_of(err: Exception) -> FailureClass:
    origin = _origin(err)
    if isinstance(origin, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(origin.verify_code, FailureClass.TLS_OTHER)
    if isinstance(origin, ssl.CertificateError):
        return FailureClass.TLS_NAME_MISMATCH
    if isinstance(origin, ssl.SSLError):
        internal = "ALERT_INTERNAL_ERROR" in (origin.reason or str(origin)).upper().replace(" ", "_")
        return FailureClass.TLS_ALERT_INTERNAL if internal else FailureClass.TLS_OTHER
    if isinstance(err, aiohttp.ClientConnectorDNSError | UnicodeError):  # the latter: no name that IDNA knows
        return FailureClass.DNS
    if isinstance(err, aiohttp.ConnectionTimeoutError):
        return FailureClass.CONNECT_TIMEOUT
    if isinstance(err, TimeoutError):
        return FailureClass.SLOW_RESPONSE
    if isinstance(err, aiohttp.ClientConnectorError):
        return (
            _BY_ERRNO.get(origin.errno or 0, FailureClass.UNREACHABLE)
            if isinstance(origin, OSError)
            else (FailureClass.UNREACHABLE)
        )
    if isinstance(err, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return FailureClass.DISCONNECTED
    return FailureClass.PARSE_ERROR  # what is left is an answer that is no HTTP


def _origin(err: BaseException) -> BaseException:
    """The ssl or socket error inside aiohttp's."""
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        return err.certificate_error
    if isinstance(err, aiohttp.ClientConnectorError):
        return err.os_error
    if isinstance(err, aiohttp.ClientOSError) and isinstance(err.__cause__, OSError):
        return err.__cause__
    return err


def _words(err: Exception) -> str:
    origin = _origin(err)
    if isinstance(origin, ssl.SSLCertVerificationError):
        return origin.verify_message
    if isinstance(origin, ssl.SSLError):
        return (origin.reason or str(origin)).lower().replace("_", " ")
    if isinstance(err, aiohttp.ClientResponseError):
        return f"not HTTP: {err.message}"
    if isinstance(origin, OSError) and origin.errno and not isinstance(err, aiohttp.ClientConnectorDNSError):
        return origin.strerror or str(origin)
    return str(origin) or type(err).__name__

"""What Go says of a request that failed: conditions of APIServices are written, searched for and decoded in its words."""

import errno
import ssl

import aiohttp

_DIALING = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
}
_EXPIRED = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_OTHER_NAME = (62, 64)


def go_words(err: BaseException, host_port: str, server_name: str = "") -> str:
    """Of what aiohttp raised for a request to `host_port`."""
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        return _unproven(err.certificate_error, server_name)
    if isinstance(err, aiohttp.ConnectionTimeoutError):
        return f"dial tcp {host_port}: i/o timeout"
    if isinstance(err, TimeoutError):
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    if isinstance(err, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {host_port.rpartition(':')[0]}: no such host"
    if isinstance(err, aiohttp.ClientConnectorError):
        if isinstance(err.os_error, ssl.SSLError):
            return _of_tls(err.os_error)
        if isinstance(err.os_error, ConnectionResetError):
            return "EOF"
        if (said := _DIALING.get(err.os_error.errno or 0)) is not None:
            return f"dial tcp {host_port}: connect: {said}"
    if isinstance(err, aiohttp.ServerDisconnectedError) or getattr(err, "errno", 0) == errno.ECONNRESET:
        return "EOF"
    return str(err) or type(err).__name__


def _unproven(err: BaseException, server_name: str) -> str:
    code = getattr(err, "verify_code", 0)
    if code in _EXPIRED:
        return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    if code in _OTHER_NAME:
        return f"tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match {server_name}"
    return "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def _of_tls(err: ssl.SSLError) -> str:
    reason = (err.reason or str(err)).upper()
    if "WRONG_VERSION_NUMBER" in reason:
        return "http: server gave HTTP response to HTTPS client"
    return "EOF" if "EOF" in reason else f"tls: {reason.lower().replace('_', ' ')}"

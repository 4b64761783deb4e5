"""What certificate somebody shows: read in a handshake that proves nothing, and in which nothing is shown or said."""

import asyncio
import ssl
import warnings

from pymetrics_server.doctor.evidence import SeenCertificate
from pymetrics_server.x509 import inspect_der

_SECOND_NS = 1_000_000_000
_AT_ANY_TIME_NS = 0  # what it is fit for is not asked


async def certificate_of(host: str, port: int, within_s: float) -> SeenCertificate | None:
    """None where there is none to be seen in that time, or it cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except (OSError, ValueError):  # TimeoutError and ssl.SSLError are OSErrors; ValueError: of an odd name
        return None
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return seen(der) if der else None


def seen(der: bytes) -> SeenCertificate | None:
    """None of what is no certificate."""
    try:
        with warnings.catch_warnings(action="ignore"):  # k3s and others give serial number 0
            found = inspect_der(der, _AT_ANY_TIME_NS)
    except Exception:  # a stranger's bytes: the library raises whatever its parts raise
        return None
    return SeenCertificate(
        subject=found.subject,
        issuer=found.issuer,
        names=[*found.dns_names, *found.ip_addresses],
        not_before_s=found.not_before_ns // _SECOND_NS,
        not_after_s=found.not_after_ns // _SECOND_NS,
        is_self_signed=found.self_signed,
    )

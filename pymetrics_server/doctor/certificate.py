"""What certificate somebody shows: read in a handshake that proves nothing, and in which nothing is shown or said."""

import asyncio
import ssl
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from pymetrics_server.doctor.evidence import SeenCertificate


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
            certificate = x509.load_der_x509_certificate(der)
            return SeenCertificate(
                subject=certificate.subject.rfc4514_string(),
                issuer=certificate.issuer.rfc4514_string(),
                names=_names(certificate),
                not_before_s=int(certificate.not_valid_before_utc.timestamp()),
                not_after_s=int(certificate.not_valid_after_utc.timestamp()),
                is_self_signed=_is_self_signed(certificate),
            )
    except Exception:  # a stranger's bytes: the library raises whatever its parts raise
        return None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names = found.get_values_for_type(x509.DNSName)
    return [*names, *(str(address) for address in found.get_values_for_type(x509.IPAddress))]


def _is_self_signed(certificate: x509.Certificate) -> bool:
    if certificate.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True

"""Certificates as no decent CA would make them, and chains of several links."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pymetrics_server.x509 import Pair

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def certificate(
    name: str,
    now_ns: int,
    signer: Pair | None = None,
    *,
    ca: bool | None = None,
    path_length: int | None = None,
    may_sign: bool | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (),
    organizations: Sequence[str] = (),
    uids: Sequence[str] = (),
    begins_in_h: float = -1,
    ends_in_h: float = 24,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Pair:
    """Signed by `signer`, or by itself; None leaves an extension out."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    attributes += [x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"), u) for u in uids]
    attributes += [x509.NameAttribute(NameOID.COMMON_NAME, n) for n in (name,) if n]
    subject = x509.Name(attributes)
    signing_key, issuer = key, subject
    if signer is not None:
        loaded = serialization.load_pem_private_key(signer.key_pem, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signing_key, issuer = loaded, x509.load_pem_x509_certificate(signer.cert_pem).subject
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(hours=begins_in_h))
        .not_valid_after(now + timedelta(hours=ends_in_h))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if may_sign is not None:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, may_sign, False, False, False), critical=True
        )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return Pair(
        builder.sign(signing_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


def authority(name: str, now_ns: int, signer: Pair | None = None, *, path_length: int | None = None) -> Pair:
    return certificate(name, now_ns, signer, ca=True, path_length=path_length, may_sign=True)


def der(*pairs: Pair) -> tuple[bytes, ...]:
    """The certificates, as a client presents them."""
    return tuple(
        x509.load_pem_x509_certificate(p.cert_pem).public_bytes(serialization.Encoding.DER) for p in pairs
    )

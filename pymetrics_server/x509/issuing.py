"""Making certificates: CAs, and leaves for servers, clients and kubelets.

Keys are ECDSA P-256 where nothing else is asked for: small, fast to make, and taken by every TLS peer Kubernetes has.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pymetrics_server.errors import ConfigError
from pymetrics_server.x509.proving import bundle, check_dates, check_may_issue, extension

KeyKind = Literal["rsa:2048", "rsa:4096", "ec:p256"]
KEY_KINDS: tuple[KeyKind, ...] = get_args(KeyKind)
DEFAULT_KEY: KeyKind = "ec:p256"

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_BACKDATED = timedelta(hours=1)  # clocks of a cluster differ


class Pair(msgspec.Struct, frozen=True):
    """A certificate and its key, PEM. `cert_pem` of a leaf holds the leaf alone."""

    cert_pem: bytes
    key_pem: bytes


def make_ca(common_name: str, now_ns: int, days: int = 3650, key_kind: KeyKind = DEFAULT_KEY) -> Pair:
    """A self-signed CA."""
    key = _make_key(key_kind)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    cert = (
        _builder(name, name, key.public_key(), now_ns, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(key, signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(cert, key)


def issue(
    ca: Pair,
    common_name: str,
    now_ns: int,
    *,
    organizations: Sequence[str] = (),
    hosts: Sequence[str] = (),
    client: bool = False,
    server: bool = False,
    days: int = 365,
    key_kind: KeyKind = DEFAULT_KEY,
) -> Pair:
    """A leaf signed by `ca`: `hosts` become IP or DNS names, `organizations` are Kubernetes' groups."""
    ca_cert = x509.load_pem_x509_certificate(ca.cert_pem)
    ca_key = serialization.load_pem_private_key(ca.key_pem, None)
    if not isinstance(ca_key, _PrivateKey):
        raise TypeError("the CA's key is neither an RSA nor an EC key")
    key = _make_key(key_kind)
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    builder = (
        _builder(subject, ca_cert.subject, key.public_key(), now_ns, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(key, signs_certificates=False), critical=True)
        .add_extension(_authority_key(ca_cert, ca_key), critical=False)
    )
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] * client + [ExtendedKeyUsageOID.SERVER_AUTH] * server
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(h) for h in hosts]), critical=False
        )
    return _pair(builder.sign(ca_key, hashes.SHA256()), key)


def signing_pair(cert_pem: bytes, key_pem: bytes, now_ns: int) -> Pair:
    """A CA that somebody else made: of the certificates in `cert_pem` the one whose key that is.

    Raises ConfigError where nothing that it signed would be believed, UntrustedError of what is no certificate or
    no CA that counts now.
    """
    key = _signing_key(key_pem)
    public = _spki(key)
    for cert in bundle(cert_pem):
        if _spki(cert) == public:
            check_dates(cert, now_ns)
            check_may_issue(cert, intermediates_below=0, is_anchor=True)
            return _pair(cert, key)
    raise ConfigError("the key is not that of the CA's certificate")


def _signing_key(key_pem: bytes) -> _PrivateKey:
    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except TypeError:
        raise ConfigError(
            "the CA's key is encrypted, and there is nobody to ask for its password: "
            "`openssl pkey -in KEY -out PLAIN` decrypts it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):  # whose texts speak of OpenSSL's insides
        raise ConfigError("the CA's key is no PEM private key that can be read") from None
    if not isinstance(key, _PrivateKey):
        raise ConfigError("the CA's key is neither an RSA nor an EC key")
    return key


def _make_key(kind: KeyKind) -> _PrivateKey:
    match kind:
        case "rsa:2048":
            return rsa.generate_private_key(65537, 2048)
        case "rsa:4096":
            return rsa.generate_private_key(65537, 4096)
        case "ec:p256":
            return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _PublicKey, now_ns: int, days: int
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _authority_key(ca_cert: x509.Certificate, ca_key: _PrivateKey) -> x509.AuthorityKeyIdentifier:
    """As the CA calls its key itself, by whatever hash: OpenSSL finds no issuer where the two differ."""
    own = extension(ca_cert, x509.SubjectKeyIdentifier)
    if own is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())


def _usage(key: _PrivateKey, *, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=isinstance(key, rsa.RSAPrivateKey) and not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _spki(key: _PrivateKey | x509.Certificate) -> bytes:
    """What identifies a public key; "" of one that cannot be read, and then is none of ours."""
    try:
        return key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _pair(cert: x509.Certificate, key: _PrivateKey) -> Pair:
    return Pair(
        cert.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )

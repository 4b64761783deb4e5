"""What a certificate is, what it can serve as, and if it cannot, why not and what to do. Bytes in, values out."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from pymetrics_server.errors import UntrustedError
from pymetrics_server.x509.proving import (
    UNDERSTOOD,
    Subject,
    bundle,
    check_may_issue,
    epoch_ns,
    extension,
    parse,
    rfc3339,
    subject_of,
)

Purpose = Literal["front-proxy client", "serving", "kubelet serving", "CA"]

#: crypto/rsa of Go refuses what is shorter; OpenSSL draws its line at the second where nobody has lowered it.
_SHORTEST_RSA_BITS, _SHORT_RSA_BITS = 1024, 2048

_KEY_USAGES = {  # as certificates.k8s.io calls them
    "digital_signature": "digital signature",
    "content_commitment": "content commitment",
    "key_encipherment": "key encipherment",
    "data_encipherment": "data encipherment",
    "key_agreement": "key agreement",
    "key_cert_sign": "cert sign",
    "crl_sign": "crl sign",
}
_EXTENDED_USAGES = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "client auth",
    ExtendedKeyUsageOID.SERVER_AUTH: "server auth",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
    ExtendedKeyUsageOID.CODE_SIGNING: "code signing",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "email protection",
    ExtendedKeyUsageOID.OCSP_SIGNING: "ocsp signing",
    ExtendedKeyUsageOID.TIME_STAMPING: "timestamping",
}
_AGGREGATOR = "`pymetrics-server certs aggregator`"
_SERVING = "`pymetrics-server certs serving`"
_KUBELET_SERVING = "`pymetrics-server certs kubelet-serving --node NAME=IP`"


class Fitness(msgspec.Struct, frozen=True):
    """Without reasons against it the certificate can serve as that; each reason is a sentence that names its cure."""

    purpose: Purpose
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.reasons


class Inspected(msgspec.Struct, frozen=True):
    """Of `usages` and `extended_usages`, None is where the certificate does not say: all are allowed then."""

    subject: str
    issuer: str
    common_name: str
    organizations: tuple[str, ...]
    serial: str  # hexadecimal
    sha256: str  # of its DER, hexadecimal
    is_ca: bool
    self_signed: bool
    key: str  # rsa:BITS, ec:p256, ed25519
    signature: str
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    other_names: tuple[str, ...]
    not_before_ns: int
    not_after_ns: int
    usages: tuple[str, ...] | None
    extended_usages: tuple[str, ...] | None
    fitness: tuple[Fitness, ...]

    @property
    def fits_something(self) -> bool:
        return any(f.fits for f in self.fitness)


def inspect_pem(pem: bytes, now_ns: int) -> tuple[Inspected, ...]:
    """Each certificate of a bundle; () of one without any. Raises UntrustedError where one cannot be read."""
    return tuple(_inspected(cert, now_ns) for cert in bundle(pem))


def inspect_der(der: bytes, now_ns: int) -> Inspected:
    """Raises UntrustedError."""
    return _inspected(parse(der), now_ns)


def _inspected(cert: x509.Certificate, now_ns: int) -> Inspected:
    der = cert.public_bytes(serialization.Encoding.DER)
    subject = subject_of(der)
    key = _key(cert)
    hash_algorithm = _hash(cert)
    dns_names, ip_addresses, other_names = _names(cert)
    usages, extended = _usages(cert), _extended_usages(cert)
    is_ca = _is_ca(cert)
    found = Inspected(
        subject=cert.subject.rfc4514_string(),
        issuer=cert.issuer.rfc4514_string(),
        common_name=subject.common_name,
        organizations=subject.organizations,
        serial=_serial(cert),
        sha256=cert.fingerprint(hashes.SHA256()).hex(),
        is_ca=is_ca,
        self_signed=_is_self_signed(cert),
        key=key,
        signature=hash_algorithm,
        dns_names=dns_names,
        ip_addresses=ip_addresses,
        other_names=other_names,
        not_before_ns=epoch_ns(cert.not_valid_before_utc),
        not_after_ns=epoch_ns(cert.not_valid_after_utc),
        usages=usages,
        extended_usages=extended,
        fitness=(),
    )
    always = (*_against_dates(cert, now_ns), *_against_making(found, cert))
    serving = (*always, *_against_leaf(found), *_against_server(found))
    against: dict[Purpose, Sequence[str]] = {
        "front-proxy client": (*always, *_against_leaf(found), *_against_client(found, subject)),
        "serving": (*serving, *_against_names(found, _SERVING)),
        "kubelet serving": (*serving, *_against_kubelet_names(found)),
        "CA": (*always, *_against_signing(cert)),
    }
    fitness = tuple(Fitness(purpose, tuple(reasons)) for purpose, reasons in against.items())
    return msgspec.structs.replace(found, fitness=fitness)


def _against_dates(cert: x509.Certificate, now_ns: int) -> Iterator[str]:
    """In whole seconds, both ends included, as it is proven."""
    now_ns -= now_ns % 1_000_000_000
    if now_ns < epoch_ns(cert.not_valid_before_utc):
        begin = rfc3339(cert.not_valid_before_utc)
        yield (
            f"it is not valid before {begin}: wait until then, or set the clock right of this machine or of the one "
            "that made it"
        )
    if now_ns > epoch_ns(cert.not_valid_after_utc):
        yield (
            f"it expired on {rfc3339(cert.not_valid_after_utc)}: issue it anew (with the same CA: --ca, --ca-key, "
            "--force), or set this machine's clock right"
        )


def _against_making(found: Inspected, cert: x509.Certificate) -> Iterator[str]:
    """What TLS peers refuse whatever it is for."""
    unknown = [e.oid.dotted_string for e in cert.extensions if e.critical and e.oid not in UNDERSTOOD]
    if unknown:
        yield f"its extension {unknown[0]} is critical, and TLS peers do not know it: issue it without that"
    if found.signature in ("sha1", "md5") and not found.self_signed:
        yield f"it is signed with {found.signature}, which is not believed any more: issue it anew with SHA-256"
    kind, _, bits = found.key.partition(":")
    if kind == "rsa" and int(bits) < _SHORTEST_RSA_BITS:
        yield f"its RSA key of {bits} bits is refused by Go's TLS: issue it anew with --key rsa:2048 or ec:p256"
    elif kind == "rsa" and int(bits) < _SHORT_RSA_BITS:
        yield f"its RSA key of {bits} bits is refused by OpenSSL: issue it anew with --key rsa:2048 or ec:p256"
    elif kind not in ("rsa", "ec", "ed25519"):
        yield f"its key ({found.key}) is of no kind that TLS peers take: issue it anew with --key ec:p256"


def _against_leaf(found: Inspected) -> Iterator[str]:
    if found.is_ca:
        yield (
            "it is a CA's certificate: that belongs into --requestheader-client-ca-file, a caBundle or "
            "--kubelet-certificate-authority; issue a leaf with it (--ca, --ca-key)"
        )


def _against_client(found: Inspected, subject: Subject) -> Iterator[str]:
    if _lacks(found.extended_usages, "client auth"):
        yield (
            f"its extended key usages ({_joined(found.extended_usages)}) lack client auth: "
            f"{_AGGREGATOR} makes one that has it"
        )
    if found.usages is not None and not {"digital signature", "key agreement"} & set(found.usages):
        yield f"its key usages ({_joined(found.usages)}) lack digital signature: {_AGGREGATOR} makes one that has it"
    if not subject.common_name:
        yield (
            "it has no common name, which --requestheader-allowed-names goes by: issue it with one "
            f"({_AGGREGATOR} --name NAME)"
        )


def _against_server(found: Inspected) -> Iterator[str]:
    if _lacks(found.extended_usages, "server auth"):
        yield (
            f"its extended key usages ({_joined(found.extended_usages)}) lack server auth: "
            f"{_SERVING} or {_KUBELET_SERVING} makes one that has it"
        )
    usable = {"digital signature", "key encipherment", "key agreement"}
    if found.usages is not None and not usable & set(found.usages):
        yield f"its key usages ({_joined(found.usages)}) lack digital signature: issue it with that"


def _against_names(found: Inspected, cure: str) -> Iterator[str]:
    if found.dns_names or found.ip_addresses:
        return
    if found.other_names:
        yield f"it names no host, only {_joined(found.other_names)}: {cure} names one (--host)"
    else:
        yield (
            "it names no host: it has no subject alternative name, and no peer takes the common name for one; "
            f"{cure} makes one that has"
        )


def _against_kubelet_names(found: Inspected) -> Iterator[str]:
    if found.ip_addresses:
        return
    if not found.dns_names:
        yield from _against_names(found, _KUBELET_SERVING)
        return
    yield (
        f"it names no IP address ({_joined(found.dns_names)} only), and kubelets are reached at their InternalIP: set "
        f"serverTLSBootstrap: true on the kubelet and approve its CSR, or use {_KUBELET_SERVING}, or give "
        "pymetrics-server --kubelet-tls-verify=node-name where one of them is the node's name"
    )


def _against_signing(cert: x509.Certificate) -> Iterator[str]:
    try:
        check_may_issue(cert, intermediates_below=0, is_anchor=True)
    except UntrustedError:
        yield (
            "it may not sign others: basic constraints and key usage do not make it a CA; "
            "the CA that signed it stands in its issuer"
        )


def _is_ca(cert: x509.Certificate) -> bool:
    constraints = extension(cert, x509.BasicConstraints)
    if constraints is not None:
        return constraints.ca
    return cert.version is x509.Version.v1 and _is_self_signed(cert)


def _is_self_signed(cert: x509.Certificate) -> bool:
    """By its signature, where that can be checked: whatever its names say."""
    if cert.issuer != cert.subject:
        return False
    try:
        cert.verify_directly_issued_by(cert)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):  # of SHA-1, for instance: the names have to do
        return True
    return True


def _serial(cert: x509.Certificate) -> str:
    with warnings.catch_warnings(action="ignore"):  # of one that is negative, or zero as k3s gives it
        return f"{cert.serial_number:x}"


def _key(cert: x509.Certificate) -> str:
    try:
        key = cert.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa:{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = key.curve.name
        known = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
        return f"ec:{known.get(curve, curve)}"
    return type(key).__name__.strip("_").removesuffix("PublicKey").lower()


def _hash(cert: x509.Certificate) -> str:
    try:
        algorithm = cert.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "unknown"
    return "none of its own" if algorithm is None else algorithm.name  # Ed25519 has none


def _names(cert: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """DNS names, IP addresses, and the rest."""
    names = extension(cert, x509.SubjectAlternativeName) or ()
    dns_names, ip_addresses, others = [], [], []
    for name in names:
        if isinstance(name, x509.DNSName):
            dns_names.append(name.value)
        elif isinstance(name, x509.IPAddress):
            ip_addresses.append(str(name.value))
        else:
            others.append(f"{type(name).__name__} {name.value}")
    return tuple(dns_names), tuple(ip_addresses), tuple(others)


def _usages(cert: x509.Certificate) -> tuple[str, ...] | None:
    usage = extension(cert, x509.KeyUsage)
    if usage is None:
        return None
    return tuple(words for attribute, words in _KEY_USAGES.items() if getattr(usage, attribute))


def _extended_usages(cert: x509.Certificate) -> tuple[str, ...] | None:
    usages = extension(cert, x509.ExtendedKeyUsage)
    if usages is None:
        return None
    return tuple(_EXTENDED_USAGES.get(oid, oid.dotted_string) for oid in usages)


def _lacks(usages: Sequence[str] | None, wanted: str) -> bool:
    return usages is not None and not {wanted, "any"} & set(usages)


def _joined(words: Sequence[str] | None) -> str:
    return ", ".join(words or ()) or "none"

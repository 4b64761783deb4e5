"""Proving which CA vouches for a certificate, as Go's crypto/x509 decides it.

cryptography's own verifier follows the web's rules: it insists on basicConstraints in roots and on a subject
alternative name in leaves, and has no place for version 1. Kubernetes' CAs and front-proxy certificates need
not have any of these, so the walk is made here, on the library's signature check. That the names of issuer
and subject are equal only says where to look; nothing but a signature proves.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from pymetrics_server.errors import UntrustedError

_E = TypeVar("_E", bound=x509.ExtensionType)
_MAX_CERTIFICATES = 8  # of a chain, leaf and anchor included
_MAX_SIGNATURE_CHECKS = 100  # per proof, as in crypto/x509: chains can be built to cost exponential time
_MALFORMED = (
    ValueError,
    TypeError,  # a name that is a BIT STRING
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
_UID_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")  # Kubernetes' attribute for a user's UID
UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)


class Subject(msgspec.Struct, frozen=True):
    """What Kubernetes reads of a subject; of several common names the last counts, as in crypto/x509."""

    common_name: str
    organizations: tuple[str, ...]
    uids: tuple[str, ...] = ()


class Proven(msgspec.Struct, frozen=True):
    """A leaf that a CA vouches for, and from when to when the whole chain holds (both ends included)."""

    subject: Subject
    valid_from_ns: int
    valid_until_ns: int
    leaf_until_ns: int


def prove(chain_der: Sequence[bytes], ca_pem: bytes, now_ns: int) -> Proven:
    """That chain_der[0] is a client's certificate and chains to a CA of the bundle; the rest are intermediates.

    Raises UntrustedError with the reason.
    """
    if not chain_der:
        raise UntrustedError("no certificate was presented")
    certificates = [parse(der) for der in chain_der[: _MAX_CERTIFICATES + 1]]
    walk = _Walk(certificates[1:], bundle(ca_pem), now_ns)
    chain = walk.chain_from(certificates[0])
    return Proven(
        _subject(chain[0]),
        max(epoch_ns(c.not_valid_before_utc) for c in chain),
        min(epoch_ns(c.not_valid_after_utc) for c in chain),
        epoch_ns(chain[0].not_valid_after_utc),
    )


def subject_of(der: bytes) -> Subject:
    return _subject(parse(der))


def describe(der: bytes) -> str:
    """One line for logs: subject, issuer, end."""
    cert = parse(der)
    return (
        f"{cert.subject.rfc4514_string() or '(no subject)'}, issued by "
        f"{cert.issuer.rfc4514_string() or '(no issuer)'}, valid until {rfc3339(cert.not_valid_after_utc)}"
    )


def bundle_der(ca_pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM bundle; one that cannot be read spoils it all (UntrustedError)."""
    return tuple(c.public_bytes(serialization.Encoding.DER) for c in bundle(ca_pem))


def bundle_until_ns(ca_pem: bytes) -> int:
    """When the last CA of a bundle ends; 0 where there is none. Raises UntrustedError."""
    return max((epoch_ns(c.not_valid_after_utc) for c in bundle(ca_pem)), default=0)


class _Walk:
    """One search for a chain: depth first, bounded in depth and in signature checks."""

    def __init__(
        self, intermediates: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now_ns: int
    ) -> None:
        self._intermediates = intermediates
        self._anchors = anchors
        self._now_ns = now_ns
        self._checks_left = _MAX_SIGNATURE_CHECKS
        self._refusal = ""

    def chain_from(self, leaf: x509.Certificate) -> list[x509.Certificate]:
        check_dates(leaf, self._now_ns)
        _check_extensions(leaf)
        _check_usage([leaf])
        for chain in self._complete([leaf]):
            try:
                _check_usage(chain)
                _check_names(chain)
            except UntrustedError as refusal:
                self._note(refusal)
                continue
            return chain
        raise UntrustedError(self._refusal or "x509: certificate signed by unknown authority")

    def _complete(self, chain: list[x509.Certificate]) -> Iterator[list[x509.Certificate]]:
        if chain[-1] in self._anchors:
            yield chain
            return
        if len(chain) == _MAX_CERTIFICATES:
            return
        for issuer in self._anchors:
            if self._vouches(issuer, chain, is_anchor=True):
                yield [*chain, issuer]
        for issuer in self._intermediates:
            if issuer not in chain and self._vouches(issuer, chain, is_anchor=False):
                yield from self._complete([*chain, issuer])

    def _vouches(self, issuer: x509.Certificate, chain: list[x509.Certificate], *, is_anchor: bool) -> bool:
        if issuer.subject != chain[-1].issuer or self._checks_left == 0:
            return False
        self._checks_left -= 1
        try:
            _check_signature(chain[-1], issuer)
            check_dates(issuer, self._now_ns)
            _check_extensions(issuer)
            check_may_issue(issuer, intermediates_below=len(chain) - 1, is_anchor=is_anchor)
        except UntrustedError as refusal:
            self._note(refusal)
            return False
        return True

    def _note(self, refusal: UntrustedError) -> None:
        self._refusal = self._refusal or str(refusal)


def _check_signature(cert: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        if isinstance(cert.signature_hash_algorithm, hashes.SHA1 | hashes.MD5):
            raise UntrustedError("x509: cannot verify signature: insecure algorithm")
        cert.verify_directly_issued_by(issuer)
    except InvalidSignature:
        raise UntrustedError("x509: certificate signed by unknown authority") from None
    except (UnsupportedAlgorithm, TypeError, ValueError) as err:
        raise UntrustedError(f"x509: cannot verify signature: {err}") from err


def check_dates(cert: x509.Certificate, now_ns: int) -> None:
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    begin, end = cert.not_valid_before_utc, cert.not_valid_after_utc
    if now < begin:
        relation = f"is before {rfc3339(begin)}"
    elif now > end:
        relation = f"is after {rfc3339(end)}"
    else:
        return
    raise UntrustedError(
        f"x509: certificate has expired or is not yet valid: current time {rfc3339(now)} {relation}"
    )


def _check_extensions(cert: x509.Certificate) -> None:
    if any(e.critical and e.oid not in UNDERSTOOD for e in cert.extensions):
        raise UntrustedError("x509: unhandled critical extension")


def check_may_issue(issuer: x509.Certificate, *, intermediates_below: int, is_anchor: bool) -> None:
    """A trust anchor of version 1 has no extensions to say that it is a CA; being in the bundle says it."""
    constraints = extension(issuer, x509.BasicConstraints)
    allowed = constraints.ca if constraints else is_anchor and issuer.version is x509.Version.v1
    usage = extension(issuer, x509.KeyUsage)
    if not allowed or (usage is not None and not usage.key_cert_sign):
        raise UntrustedError("x509: certificate is not authorized to sign other certificates")
    longest = None if constraints is None else constraints.path_length
    if longest is not None and intermediates_below > longest:
        raise UntrustedError("x509: too many intermediates for path length constraint")


def _check_usage(chain: Sequence[x509.Certificate]) -> None:
    """Extended key usages narrow from the anchor down; a certificate without them narrows nothing."""
    allowing = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    for cert in chain:
        usages = extension(cert, x509.ExtendedKeyUsage)
        if usages is not None and not any(u in allowing for u in usages):
            raise UntrustedError("x509: certificate specifies an incompatible key usage")


def _check_names(chain: Sequence[x509.Certificate]) -> None:
    """Constraints bear on alternative names, which client certificates seldom have: together they are refused."""
    constraints = [n for c in chain[1:] if (n := extension(c, x509.NameConstraints)) is not None]
    trees = [t for n in constraints for t in (*(n.permitted_subtrees or ()), *(n.excluded_subtrees or ()))]
    if any(isinstance(t, x509.DirectoryName) for t in trees) or (
        constraints and extension(chain[0], x509.SubjectAlternativeName) is not None
    ):
        raise UntrustedError("x509: the CA's name constraints cannot be checked for this certificate")


def extension(cert: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return cert.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _subject(cert: x509.Certificate) -> Subject:
    def values(wanted: x509.ObjectIdentifier) -> tuple[str, ...]:
        found = cert.subject.get_attributes_for_oid(wanted)
        return tuple(a.value for a in found if isinstance(a.value, str))

    return Subject(
        (values(NameOID.COMMON_NAME) or ("",))[-1], values(NameOID.ORGANIZATION_NAME), values(_UID_OID)
    )


def parse(der: bytes) -> x509.Certificate:
    (cert,) = _parsed(lambda: [x509.load_der_x509_certificate(der)], "certificate")
    return cert


@lru_cache(maxsize=8)
def bundle(ca_pem: bytes) -> tuple[x509.Certificate, ...]:
    if not ca_pem.strip():
        return ()
    return _parsed(lambda: x509.load_pem_x509_certificates(ca_pem), "CA bundle")


def _parsed(load: Callable[[], list[x509.Certificate]], what: str) -> tuple[x509.Certificate, ...]:
    """cryptography reads a certificate's parts when they are first asked for: all are asked for here."""
    try:
        # k3s and minikube give their CAs serial number 0, others names longer than X.509 allows.
        with warnings.catch_warnings(action="ignore"):
            certificates = tuple(load())
            for cert in certificates:
                _ = cert.subject, cert.issuer, cert.not_valid_before_utc, cert.not_valid_after_utc
                _ = cert.version, cert.extensions
    except _MALFORMED as err:
        raise UntrustedError(f"x509: malformed {what}: {err}") from err
    return certificates


def epoch_ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000


def rfc3339(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"

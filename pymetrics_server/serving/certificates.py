"""The serving certificate: given as files, or signed by ourselves and kept in --cert-dir.

The self-signed pair is metrics-server's: apiserver.crt holds the leaf and the CA made for it, whose key is
thrown away. It is reused as it is found, however old, and never renewed.
"""

import ipaddress
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from pymetrics_server.errors import ConfigError, system_words
from pymetrics_server.log import Logger
from pymetrics_server.serving.tls import PairError, context_of
from pymetrics_server.x509 import Pair, issue, make_ca

log = Logger(__name__)

_SELF_SIGNED_DAYS = 365
_CERTIFICATE, _KEY = b"-----BEGIN CERTIFICATE-----", b" PRIVATE KEY-----"
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)  # RFC 1123


class ServingCertificate(msgspec.Struct, frozen=True):
    """The files of the pair. `from_files` and `self_signed` hand out only what was once loaded; else ConfigError."""

    cert_file: Path
    key_file: Path
    #: What SNI may ask for it by; none: `names_in`.
    names: tuple[str, ...] = ()

    @classmethod
    def for_names(cls, cert_file: str, key_file: str, names: Sequence[str]) -> "ServingCertificate":
        """One of --tls-sni-cert-key."""
        certificate = cls(Path(cert_file), Path(key_file), tuple(names))
        return _proven(certificate, "--tls-sni-cert-key", "failed to load SNI cert and key: ")

    @classmethod
    def from_files(cls, cert_file: str, key_file: str) -> "ServingCertificate":
        if not cert_file or not key_file:
            raise ConfigError(
                "missing filename for serving cert: need both --tls-cert-file and --tls-private-key-file"
            )
        return _proven(cls(Path(cert_file), Path(key_file)), "--tls-cert-file and --tls-private-key-file")

    @classmethod
    def self_signed(cls, cert_dir: str, bind_address: str, now_ns: int) -> "ServingCertificate":
        """Made where --cert-dir holds none."""
        certificate = cls(Path(cert_dir) / "apiserver.crt", Path(cert_dir) / "apiserver.key")
        has_cert, has_key = _readable(certificate.cert_file), _readable(certificate.key_file)
        if has_key and not has_cert:
            has_cert = _finished(certificate)
        if has_cert != has_key:
            missing = certificate.key_file if has_cert else certificate.cert_file
            raise ConfigError(
                f"error creating self-signed certificates: error reading {missing}, "
                "certificate and key must be supplied as a pair: put it there, or remove its other half so that both "
                "are made anew"
            )
        if not has_cert:
            try:
                _write(certificate, _make(bind_address, now_ns))
            except OSError as err:
                done = "open" if certificate.cert_file.parent.is_dir() else "mkdir"
                raise ConfigError(
                    f"error creating self-signed certificates: {done} {cert_dir}: {system_words(err)}: "
                    f"{cert_dir} cannot be written to; mount an emptyDir there, point --cert-dir at a writable directory, "
                    "or give --tls-cert-file and --tls-private-key-file"
                ) from err
            log.info("Generated self-signed cert", cert=certificate.cert_file, key=certificate.key_file)
        return _proven(certificate, "--cert-dir")

    def read(self) -> Pair:
        """Raises OSError."""
        return Pair(self.cert_file.read_bytes(), self.key_file.read_bytes())

    def signature(self) -> tuple[tuple[int, int, int], ...]:
        """Differs once either file was changed or replaced; () where one cannot be looked at."""
        try:
            stats = [path.stat() for path in (self.cert_file, self.key_file)]
        except OSError:
            return ()
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)


def names_in(pair: Pair) -> list[str]:
    """Of the leaf: its common name where that could be a host's, and its DNS names. IP addresses are none, as in Go.
    What OpenSSL shows and cryptography cannot read has none, and is told of.
    """
    try:
        leaf = x509.load_pem_x509_certificate(pair.cert_pem)
        common_names = [str(a.value) for a in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, x509.InvalidVersion) as err:
        log.error("No client gets a certificate of --tls-sni-cert-key: its names cannot be read", err)
        return []
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return [n for n in common_names if _is_host(n)]
    return [*filter(_is_host, common_names), *alternative.get_values_for_type(x509.DNSName)]


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "*" or _SUBDOMAIN.fullmatch(name.removeprefix("*.")) is not None
    return False


def _proven(certificate: ServingCertificate, flags: str, failed: str = "") -> ServingCertificate:
    """Raises ConfigError: crypto/tls' words, then what that means of which file."""
    try:
        pair = certificate.read()
    except OSError as err:
        raise ConfigError(
            f"{failed}open {err.filename}: {system_words(err)}: {flags} must lead to files that user {os.getuid()} can read"
        ) from err
    if lacking := _lacking(certificate, pair):  # asked first: OpenSSL takes the two in any order
        raise ConfigError(f"{failed}{lacking} ({flags})")
    try:
        context_of(pair)
    except PairError as err:
        raise ConfigError(f"{failed}{_explained(certificate, str(err))} ({flags})") from err
    return certificate


def _lacking(certificate: ServingCertificate, pair: Pair) -> str:
    """Which half is not where it belongs; "" where both are."""
    cert, key = certificate.cert_file, certificate.key_file
    if _CERTIFICATE not in pair.cert_pem:
        if _KEY in pair.cert_pem:
            return (
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs "
                f"may have been switched: {cert} holds a private key and no certificate"
            )
        return f"tls: failed to find any PEM data in certificate input: {cert} holds no certificate in PEM"
    if _KEY not in pair.key_pem:
        if _CERTIFICATE in pair.key_pem:
            return f"tls: found a certificate rather than a key in the PEM for the private key: {key} holds no private key"
        return f"tls: failed to find any PEM data in key input: {key} holds no private key in PEM"
    return ""


def _explained(certificate: ServingCertificate, seen: str) -> str:
    cert, key = certificate.cert_file, certificate.key_file
    if seen == "KEY_VALUES_MISMATCH":
        return (
            f"tls: private key does not match public key: {key} is not the key of the first certificate in {cert}, "
            "which must be the server's, with its issuers behind it"
        )
    if "encrypted" in seen:
        return f"tls: failed to parse private key: {key} is encrypted; give it decrypted: `openssl pkey -in {key}`"
    return f"tls: failed to parse {cert} or {key}: {seen}"


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK) and path.is_file()


def _make(bind_address: str, now_ns: int) -> Pair:
    stamp = now_ns // 1_000_000_000
    hosts = dict.fromkeys(["localhost", "127.0.0.1", *_specific(bind_address)])
    ca = make_ca(f"localhost-ca@{stamp}", now_ns, days=_SELF_SIGNED_DAYS)
    leaf = issue(ca, f"localhost@{stamp}", now_ns, hosts=tuple(hosts), server=True, days=_SELF_SIGNED_DAYS)
    return Pair(leaf.cert_pem + ca.cert_pem, leaf.key_pem)


def _specific(bind_address: str) -> list[str]:
    try:
        return [] if ipaddress.ip_address(bind_address).is_unspecified else [bind_address]
    except ValueError:
        return []


def _write(certificate: ServingCertificate, pair: Pair) -> None:
    """Both or neither, as far as a file system goes: a half pair would keep the next start from going on. Who is
    killed between the two renames leaves the certificate beside its key's, to be `_finished`.
    """
    certificate.cert_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    written = [
        (_beside(path, content, mode), path)
        for path, content, mode in (
            (certificate.key_file, pair.key_pem, 0o600),
            (certificate.cert_file, pair.cert_pem, 0o644),
        )
    ]
    for temporary, path in written:
        temporary.replace(path)


def _finished(certificate: ServingCertificate) -> bool:
    """Whether the certificate that is missing stood beside, of a start that was cut off, and is in its place now."""
    path = certificate.cert_file
    for left in sorted(path.parent.glob(f".{path.name}.*")):
        with suppress(OSError, PairError):
            context_of(Pair(left.read_bytes(), certificate.key_file.read_bytes()))
            left.replace(path)
            return True
    return False


def _beside(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)  # whatever the umask
    return temporary

"""The serving certificate: given as files, or signed by ourselves and kept in --cert-dir.

The self-signed pair is metrics-server's: apiserver.crt holds the leaf and the CA made for it, whose key is
thrown away. It is reused as it is found, however old, and never renewed.
"""

import ipaddress
import os
from pathlib import Path

import msgspec

from pymetrics_server.errors import ConfigError
from pymetrics_server.log import Logger
from pymetrics_server.serving.tls import PairError, context_of
from pymetrics_server.x509 import Pair, issue, make_ca

log = Logger(__name__)

_SELF_SIGNED_DAYS = 365


class ServingCertificate(msgspec.Struct, frozen=True):
    """The files of the pair. `from_files` and `self_signed` hand out only what was once loaded; else ConfigError."""

    cert_file: Path
    key_file: Path

    @classmethod
    def from_files(cls, cert_file: str, key_file: str) -> "ServingCertificate":
        if not cert_file or not key_file:
            raise ConfigError("need both --tls-cert-file and --tls-private-key-file")
        return _proven(cls(Path(cert_file), Path(key_file)), "--tls-cert-file and --tls-private-key-file")

    @classmethod
    def self_signed(cls, cert_dir: str, bind_address: str, now_ns: int) -> "ServingCertificate":
        """Made where --cert-dir holds none."""
        certificate = cls(Path(cert_dir) / "apiserver.crt", Path(cert_dir) / "apiserver.key")
        has_cert, has_key = _readable(certificate.cert_file), _readable(certificate.key_file)
        if has_cert != has_key:
            missing = certificate.key_file if has_cert else certificate.cert_file
            raise ConfigError(
                f"error creating self-signed certificates: error reading {missing}, "
                "certificate and key must be supplied as a pair"
            )
        if not has_cert:
            try:
                _write(certificate, _make(bind_address, now_ns))
            except OSError as err:
                raise ConfigError(
                    f"error creating self-signed certificates: {cert_dir} cannot be written to "
                    f"({err.strerror or err}); point --cert-dir at a writable directory, "
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


def _proven(certificate: ServingCertificate, flags: str) -> ServingCertificate:
    try:
        context_of(certificate.read())
    except OSError as err:
        raise ConfigError(
            f"unable to load server certificate: open {err.filename}: {err.strerror or err} ({flags})"
        ) from err
    except PairError as err:
        raise ConfigError(
            f"unable to load server certificate: {certificate.cert_file} and {certificate.key_file} "
            f"are not a certificate and its key: {err} ({flags})"
        ) from err
    return certificate


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
    """Both or neither, as far as a file system goes: a half pair would keep the next start from going on."""
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


def _beside(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)  # whatever the umask
    return temporary

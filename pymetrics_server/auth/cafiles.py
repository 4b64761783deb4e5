"""CA bundles given as files: read at start, and again when they change on disk.

metrics-server: `k8s.io/apiserver/pkg/server/dynamiccertificates`, the CA content of a file.
"""

from pathlib import Path

from pymetrics_server.errors import ConfigError, UntrustedError, system_words
from pymetrics_server.log import Logger
from pymetrics_server.x509 import bundle_der

log = Logger(__name__)

_BEGIN = b"-----BEGIN CERTIFICATE-----"


class CaFile:
    """`pem` is the last content that was a bundle. `failed` and `name` are metrics-server's words in its errors,
    `flag` is who named it."""

    def __init__(self, path: str, failed: str, name: str, flag: str) -> None:
        """Raises ConfigError where the file cannot be used."""
        self._path = Path(path)
        self._name = f"{name}::{path}"
        self._seen = self._signature()
        try:
            self.pem = self._read()
        except (OSError, UntrustedError) as err:
            raise ConfigError(f"{failed}: {_said(err, path)} ({flag})") from err

    def reload_if_changed(self) -> bool:
        """Whether `pem` is another now. What cannot be used changes nothing, and is said once."""
        signature = self._signature()
        if signature == self._seen:
            return False
        self._seen = signature
        try:
            pem = self._read()
        except (OSError, UntrustedError) as err:
            log.error("Keeping the CAs of before: the file cannot be used", _said(err, str(self._path)))
            return False
        changed = pem != self.pem
        self.pem = pem
        return changed

    def _read(self) -> bytes:
        pem = self._path.read_bytes()
        if not pem.strip():
            raise UntrustedError(f'missing content for CA bundle "{self._name}"')
        if _BEGIN not in pem:
            raise UntrustedError(
                f'error loading CA bundle for "{self._name}": data does not contain any valid RSA or ECDSA certificates: '
                "it must hold the CA's certificate in PEM"
            )
        try:
            bundle_der(pem)
        except UntrustedError as err:
            raise UntrustedError(f'error loading CA bundle for "{self._name}": {err}') from err
        return pem

    def _signature(self) -> tuple[int, ...]:
        try:
            stat = self._path.stat()
        except OSError:
            return ()
        return (stat.st_mtime_ns, stat.st_ino, stat.st_size)


def _said(err: Exception, path: str) -> str:
    if isinstance(err, OSError):
        return f"open {path}: {system_words(err)}"
    return str(err)

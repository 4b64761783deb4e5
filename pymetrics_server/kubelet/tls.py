"""How kubelets are trusted, and what they are shown: flags and kubeconfig data become one SSLContext."""

import os
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pymetrics_server.errors import ConfigError, system_words
from pymetrics_server.log import Logger
from pymetrics_server.meta.verification import Verification

log = Logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class KubeletTLS:
    """A file wins over PEM data of the same kind; INSECURE forgets every CA; no CA at all is the system's."""

    verify: Verification = Verification.ADDRESS
    ca_file: str = ""
    ca_pem: bytes = b""
    client_cert_file: str = ""
    client_cert_pem: bytes = b""
    client_key_file: str = ""
    client_key_pem: bytes = b""


def client_context(tls: KubeletTLS) -> ssl.SSLContext | None:
    """None where kubelets are read over plain HTTP. ConfigError names the file and what is wrong with it."""
    if tls.verify is Verification.HTTP:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # nothing but answers is read
    # As Go verifies: no RFC 5280 pedantry, any trusted certificate is an anchor, the common name is no name.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False
    context.check_hostname = tls.verify.proves_the_node
    context.set_alpn_protocols(["http/1.1"])
    try:
        with tempfile.TemporaryDirectory(prefix="kubelet-tls-") as folder:  # mode 0700, gone on leaving
            _load_authorities(context, tls, Path(folder))
            _load_client_certificate(context, tls, Path(folder))
    except OSError as err:
        raise ConfigError(f"cannot write a temporary file for the kubelet's TLS: {_words(err)}") from err
    return context


def _load_authorities(context: ssl.SSLContext, tls: KubeletTLS, folder: Path) -> None:
    if tls.verify is Verification.INSECURE:
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file or tls.ca_pem:
        name, path = _source(tls.ca_file, tls.ca_pem, "certificate authority", folder)
        try:
            context.load_verify_locations(cafile=path)
        except OSError as err:
            raise ConfigError(f"cannot use the kubelets' {name}: {_words(err)}") from err
    else:
        context.load_default_certs()


def _load_client_certificate(context: ssl.SSLContext, tls: KubeletTLS, folder: Path) -> None:
    if not (tls.client_cert_file or tls.client_cert_pem or tls.client_key_file or tls.client_key_pem):
        return
    cert_name, cert = _source(tls.client_cert_file, tls.client_cert_pem, "client certificate", folder)
    key_name, key = _source(tls.client_key_file, tls.client_key_pem, "client key", folder)
    if not cert or not key:
        raise ConfigError(f"the {key_name if key else cert_name} for kubelets needs its other half")

    def no_password() -> str:
        raise ConfigError(f"cannot use the {key_name} for kubelets: it is encrypted")

    try:
        context.load_cert_chain(cert, key, password=no_password)
    except OSError as err:
        raise ConfigError(
            f"cannot use the {cert_name} with the {key_name} for kubelets: {_words(err)}"
        ) from err


def _source(file: str, pem: bytes, what: str, folder: Path) -> tuple[str, str]:
    """(what to call it, a path that OpenSSL can read; "" where there is neither). ssl takes keys from files only."""
    if file:
        try:
            Path(file).read_bytes()
        except OSError as err:
            raise ConfigError(f"open {file}: {system_words(err)}: it is to be the kubelets' {what}") from err
        return f"{what} {file}", file
    if not pem:
        return what, ""
    path = folder / what.replace(" ", "-")
    path.write_bytes(pem)
    return f"{what} given as data", str(path)


def _words(err: OSError) -> str:
    """What is wrong, without the library's source file and line."""
    if isinstance(err, ssl.SSLError):
        if err.reason == "KEY_VALUES_MISMATCH":
            return "the key is not the certificate's"
        return f"it is not usable PEM ({(err.reason or str(err)).lower().replace('_', ' ')})"
    return system_words(err)


class FollowedTLS:
    """Kubelets' TLS. `context`, and what it verifies, is another one as soon as what `read` tells, or its files, can be
    used and have changed: an exec plugin writes each certificate that it issues to a file of its own."""

    def __init__(self, read: Callable[[], KubeletTLS]) -> None:
        """Raises ConfigError."""
        self._read = read
        tls = read()
        self._seen = _signature(tls)
        self.context = client_context(tls)
        self.verify = tls.verify
        _tell_of(tls.verify)

    def reload_if_changed(self) -> None:
        """Files that do not belong together are left until one of them changes again, and said once."""
        tls = self._read()
        if (seen := _signature(tls)) == self._seen:
            return
        self._seen = seen
        try:
            self.context = client_context(tls)
        except ConfigError as err:
            log.error("Keeping the kubelets' TLS of before: the new files cannot be used", err)
        else:
            log.info("Kubelets' CA and client certificate taken up")
            if tls.verify is not self.verify:
                self.verify = tls.verify
                _tell_of(tls.verify)


def _tell_of(verify: Verification) -> None:
    if not verify.proves_the_node:
        log.warning(
            "Kubelets are believed without proof of which node they are",
            verify=verify.value,
            verified=verify.meaning,
        )


def _signature(tls: KubeletTLS) -> tuple[object, ...]:
    """Differs once a file was changed or replaced."""
    found: list[object] = [tls]
    for path in (tls.ca_file, tls.client_cert_file, tls.client_key_file):
        try:
            stat = os.stat(path) if path else None
        except OSError:
            stat = None
        found.append(stat and (stat.st_mtime_ns, stat.st_ino, stat.st_size))
    return tuple(found)

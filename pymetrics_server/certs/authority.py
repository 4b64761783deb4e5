"""The CA that signs what a command makes: made for it, or somebody's who was there before."""

import shlex
import ssl
from pathlib import Path

import msgspec

from pymetrics_server.certs.files import NewFile, pair_files
from pymetrics_server.errors import ConfigError, PymetricsError, system_words
from pymetrics_server.x509 import KeyKind, Pair, bundle_der, inspect_pem, make_ca, signing_pair

_CA_DAYS = 3650
_NS_PER_DAY = 86_400_000_000_000
_LARGEST_BYTES = 1 << 20


class Request(msgspec.Struct, frozen=True):
    """What the commands that make certificates have in common. `ca` and `ca_key` are both None or both not."""

    out: Path  # absolute
    days: int
    key_kind: KeyKind
    ca: Path | None = None  # absolute
    ca_key: Path | None = None
    force: bool = False


class Authority(msgspec.Struct, frozen=True):
    """`bundle_pem` is all that the CA's file holds of certificates, `files` what is still to be written."""

    pair: Pair
    bundle_pem: bytes
    file: Path
    files: tuple[NewFile, ...]
    warnings: tuple[str, ...] = ()


def authority(request: Request, stem: str, now_ns: int) -> Authority:
    """A new one of that name, or the one that the request names. Raises ConfigError."""
    if request.ca is None or request.ca_key is None:
        pair = make_ca(stem, now_ns, max(_CA_DAYS, request.days), request.key_kind)
        return Authority(pair, pair.cert_pem, request.out / f"{stem}.pem", pair_files(stem, pair))
    cert_pem, key_pem = read_file(request.ca), read_file(request.ca_key)
    try:
        pair = signing_pair(cert_pem, key_pem, now_ns)
        bundle = dict.fromkeys(map(ssl.DER_cert_to_PEM_cert, bundle_der(cert_pem)))
    except PymetricsError as err:
        raise ConfigError(
            f"{request.ca} and {request.ca_key} cannot sign: {err}; `pymetrics-server certs inspect {request.ca}` "
            "shows the certificate, and without --ca and --ca-key a new CA is made"
        ) from err
    (signer,) = inspect_pem(pair.cert_pem, now_ns)
    left_days = (signer.not_after_ns - now_ns) // _NS_PER_DAY
    warnings: tuple[str, ...] = ()
    if left_days < request.days:
        warnings = (
            f"the CA ends in {left_days} days, before what it signed now; after that nothing counts any more",
        )
    return Authority(pair, "".join(bundle).encode(), request.ca, (), warnings)


def read_file(path: Path) -> bytes:
    """Raises ConfigError. What is larger than any bundle is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as err:
        raise ConfigError(
            f"cannot read {path}: {system_words(err)}; `ls -l {path}` shows what is there"
        ) from err
    if len(content) > _LARGEST_BYTES:
        raise ConfigError(f"{path} is larger than any certificate or key: give a PEM file")
    return content


class Made(msgspec.Struct, frozen=True):
    """What a command writes, and then prints. `hint` is what else can be typed where files are in the way."""

    files: tuple[NewFile, ...]
    printed: str
    hint: str = ""
    warnings: tuple[str, ...] = ()


def renewal(request: Request, ca_stem: str, *command: str) -> str:
    """A pair is renewed under the CA that others trust already, as it was asked for."""
    ca, key = request.out / f"{ca_stem}.pem", request.out / f"{ca_stem}-key.pem"
    if request.ca is not None or not (ca.exists() and key.exists()):
        return ""
    words = [
        *("pymetrics-server", "certs", *command, "--out", str(request.out)),
        *("--days", str(request.days), "--key", request.key_kind),
        *("--ca", str(ca), "--ca-key", str(key), "--force"),
    ]
    return f"; `{shlex.join(words)}` renews what the CA there has signed, and keeps the CA"


def comments(*sentences: str) -> str:
    return "".join(f"# {sentence}\n" for sentence in sentences)


def host_words(hosts: tuple[str, ...]) -> list[str]:
    return [f"--host={host}" for host in hosts]

"""All of some files or none: what a command writes is there whole, or nothing of it is."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pymetrics_server.errors import ConfigError, system_words
from pymetrics_server.x509 import Pair

_CERTIFICATE_MODE, _KEY_MODE = 0o644, 0o600


class NewFile(msgspec.Struct, frozen=True):
    """`mode` holds under any umask."""

    name: str
    content: bytes
    mode: int


def pair_files(stem: str, pair: Pair) -> tuple[NewFile, NewFile]:
    return (
        NewFile(f"{stem}.pem", pair.cert_pem, _CERTIFICATE_MODE),
        NewFile(f"{stem}-key.pem", pair.key_pem, _KEY_MODE),
    )


def write_all(directory: Path, files: Sequence[NewFile], *, force: bool, hint: str = "") -> None:
    """Raises ConfigError, and then all is as it was before. `hint` is what else can be typed where files are there."""
    if not force:
        _check_absent([directory / file.name for file in files], hint)
    where = directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as leftovers, contextlib.ExitStack() as undo:
            staged = [(directory / file.name, _staged(directory, file, leftovers)) for file in files]
            for where, temporary in staged:
                if force and os.path.lexists(where):
                    _replace(temporary, where, leftovers, undo)
                else:
                    undo.callback(_take_back, temporary, where)
                    os.link(temporary, where)  # unlike a renaming it never replaces what came meanwhile
            _sync(directory)
            undo.pop_all()
    except OSError as err:
        raise ConfigError(
            f"cannot write {where}: {system_words(err)}; nothing was changed: give another folder with --out"
        ) from err


def _check_absent(targets: Sequence[Path], hint: str) -> None:
    there = [target for target in targets if os.path.lexists(target)]
    if there:
        listed = ", ".join(map(str, there))
        raise ConfigError(
            f"{listed} {'is' if len(there) == 1 else 'are'} there already, and nothing was written: "
            f"add --force to replace what is there, or give another folder with --out{hint}"
        )


def _staged(directory: Path, file: NewFile, leftovers: contextlib.ExitStack) -> str:
    """Beside its target, on disk, readable by nobody else before its mode is set."""
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=directory)
    leftovers.callback(Path(temporary).unlink, missing_ok=True)
    with open(handle, "wb") as stream:
        stream.write(file.content)
        stream.flush()
        os.fchmod(stream.fileno(), file.mode)
        os.fsync(stream.fileno())
    return temporary


def _replace(
    temporary: str, target: Path, leftovers: contextlib.ExitStack, undo: contextlib.ExitStack
) -> None:
    kept = f"{temporary}.old"
    leftovers.callback(Path(kept).unlink, missing_ok=True)
    os.link(target, kept, follow_symlinks=False)
    undo.callback(os.replace, kept, target)
    os.replace(temporary, target)


def _take_back(temporary: str, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.lstat(temporary), os.lstat(target)):
            target.unlink()


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

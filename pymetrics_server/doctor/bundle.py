"""Evidence as a file that can be sent to somebody: a tar.gz without secrets, diagnosed as a living cluster is.

Whoever reads one reads what a stranger wrote: nothing is extracted, everything is bounded.
"""

import errno
import gzip
import io
import os
import stat
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import IO

import msgspec

from pymetrics_server.doctor.evidence import Answer, Evidence
from pymetrics_server.doctor.redaction import without_secrets
from pymetrics_server.errors import ConfigError, system_words
from pymetrics_server.meta.timestamp import format_rfc3339
from pymetrics_server.version import GIT_VERSION

_FORMAT = 1
_EVIDENCE = "evidence.json"
_MiB = 1 << 20
_LARGEST_PACKED_BYTES = 256 * _MiB
_LARGEST_BYTES = 512 * _MiB
_MOST_MEMBERS = 200
_IS_THERE = "{} is there already: name another file, or give --force to replace it"
_UNREADABLE = (
    tarfile.TarError,
    msgspec.MsgspecError,
    EOFError,
    zlib.error,
    OSError,  # gzip.BadGzipFile
    ValueError,
    RecursionError,
)


class _Contents(msgspec.Struct, frozen=True):
    format: int
    pymetrics_server: str
    evidence: Evidence


class _Format(msgspec.Struct):
    format: int = 0
    pymetrics_server: str = ""


def check_free(path: str, *, force: bool) -> None:
    """Before the work is done: raises ConfigError where `save` would refuse."""
    if not force and os.path.lexists(path):
        raise ConfigError(_IS_THERE.format(path))
    folder = os.path.dirname(path) or "."
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write {path}: {folder} is no folder that can be written to")


def save(evidence: Evidence, path: str, *, force: bool = False) -> None:
    """Whole or not at all, readable by its owner alone. Raises ConfigError."""
    packed = _packed(without_secrets(evidence))
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".doctor-")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            if force:
                os.replace(temporary, path)
            else:
                _put(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except FileExistsError as err:
        raise ConfigError(_IS_THERE.format(path)) from err
    except OSError as err:
        raise ConfigError(f"cannot write {path}: {system_words(err)}") from err


def load(path: str) -> Evidence:
    """Raises ConfigError."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{path} is no bundle: it is not a file")
            if found.st_size > _LARGEST_PACKED_BYTES:
                raise ConfigError(
                    f"{path} is no bundle: it has more than {_LARGEST_PACKED_BYTES // _MiB} MiB"
                )
            try:
                return _evidence(_member(file))
            except _UNREADABLE as err:
                said = " ".join(str(err).split())[:200] or type(err).__name__
                raise ConfigError(f"{path} is no bundle of pymetrics-server doctor: {said}") from err
    except OSError as err:
        raise ConfigError(f"open {path}: {system_words(err)}") from err


def _at_once(path: str, flags: int) -> int:
    """A pipe without a writer is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _put(temporary: str, path: str) -> None:
    """Never over what is there: a link is refused where a rename is not. Some file systems have no links."""
    try:
        os.link(temporary, path)
    except OSError as err:
        if err.errno == errno.EEXIST or os.path.lexists(path):
            raise FileExistsError(path) from err
        os.replace(temporary, path)


def _packed(evidence: Evidence) -> bytes:
    files = {"README.txt": _readme(evidence)}
    contents = msgspec.json.encode(_Contents(_FORMAT, GIT_VERSION, evidence))
    files[_EVIDENCE] = contents.decode()
    for asked, answer in evidence.answers.items():
        files[f"answers/{asked}.{'json' if answer.body[:1] == '{' else 'txt'}"] = answer.body or answer.words
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(f"pymetrics-doctor/{name}")
            member.size = len(content)
            member.mode = 0o600
            member.mtime = evidence.taken_ns // 1_000_000_000
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _readme(evidence: Evidence) -> str:
    lines = [
        "What `pymetrics-server doctor` saw of a cluster.",
        "",
        f"Taken    {format_rfc3339(evidence.taken_ns)} with pymetrics-server {GIT_VERSION}",
        f"Cluster  {evidence.server}",
        f"Server   {evidence.subject.namespace}/{evidence.subject.service}, {evidence.subject.account}",
        "",
        "Diagnose it with: pymetrics-server doctor --bundle FILE.tar.gz",
        "",
        "It holds names of nodes, pods and namespaces, addresses, certificates, and containers' arguments. It holds no Secret,",
        "token or key, no annotations' values, and of environment variables only proxies', without their users. Read it before",
        "you send it.",
        "",
        "evidence.json is all of it. answers/ has what kube-apiserver said to each question:",
        "",
        *(f"  {asked:38}{_outcome(answer)}" for asked, answer in evidence.answers.items()),
        "",
    ]
    return "\n".join(lines)


def _outcome(answer: Answer) -> str:
    said = f": {answer.words}" if answer.words else ""
    return f"{answer.status or answer.failure}{said}"


class _Bounded(io.RawIOBase):
    """Whatever a small file unpacks to, no more than that is read."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile) -> None:
        self._source = source
        self._left_bytes = _LARGEST_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(min(size, _MiB) if size >= 0 else _MiB)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise ValueError(f"it unpacks to more than {_LARGEST_BYTES // _MiB} MiB")
        return data


def _member(file: IO[bytes]) -> bytes:
    bounded = _Bounded(gzip.GzipFile(fileobj=file))
    with tarfile.open(fileobj=bounded, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= _MOST_MEMBERS:
                break
            if member.isreg() and os.path.basename(member.name) == _EVIDENCE:
                held = archive.extractfile(member)
                if held is not None:
                    return held.read()
    raise ValueError(f"there is no {_EVIDENCE} in it")


def _evidence(content: bytes) -> Evidence:
    is_of = msgspec.json.decode(content, type=_Format)
    if is_of.format != _FORMAT:
        raise ValueError(
            f"its format is {is_of.format} and not {_FORMAT}; it was made by {is_of.pymetrics_server[:40] or 'another program'}"
        )
    return msgspec.json.decode(content, type=_Contents).evidence

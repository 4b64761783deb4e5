"""A container, as small as can be: run in a mount namespace of its own, it becomes the process that it is told of.

The root is read-only and holds the folders named, a loader's libraries and little of /dev; /tmp alone can be written.
The process is nobody special, has no capability and can gain none. It is a program: `unshare -m python container.py JSON`.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

_RDONLY, _NOSUID, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
_NO_NEW_PRIVS = 38
_DEVICES = ("null", "random", "urandom", "zero")
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, data: str = "") -> None:
    done = _libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, data.encode())
    if done != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def bind(source: Path, target: Path, read_only: bool = True) -> None:
    if source.is_symlink() and source.parent == Path("/"):  # /lib is usr/lib
        if not target.is_symlink():
            target.symlink_to(os.readlink(source))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount(str(source), target, flags=_BIND)
    if read_only:
        mount("", target, flags=_REMOUNT | _BIND | _RDONLY | _NOSUID)


def become(root: Path, spec: dict[str, object]) -> None:
    os.umask(0o022)
    mount("", "/", flags=_REC | _PRIVATE)
    mount("tmpfs", root, "tmpfs", data="mode=755")
    (root / "tmp").mkdir()
    mount("tmpfs", root / "tmp", "tmpfs", data="mode=1777")
    binds: dict[str, str] = spec["binds"]  # type: ignore[assignment]  # our own test wrote it
    for target, source in binds.items():
        if Path(source).exists():
            bind(Path(source), root / target.lstrip("/"))
    for device in _DEVICES:
        bind(Path("/dev", device), root / "dev" / device, read_only=False)
    bind(Path("/proc"), root / "proc")
    mount("", root, flags=_REMOUNT | _BIND | _RDONLY)
    os.chroot(root)
    os.chdir(str(spec["directory"]))
    user, group = (int(part) for part in str(spec["user"]).split(":"))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)  # and with it every capability goes
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    arguments: list[str] = spec["arguments"]  # type: ignore[assignment]  # our own test wrote it
    environment: dict[str, str] = spec["environment"]  # type: ignore[assignment]  # our own test wrote it
    os.execve(arguments[0], arguments, environment)  # noqa: S606  there is no shell in here


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    become(Path(told["root"]), told)

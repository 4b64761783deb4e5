"""Programs that a test run owns: started with a log of their own, waited for, ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")

_POLL_S = 0.2
_END_S = 15.0


def until(what: str, holds: Callable[[], T | Literal[False] | None], timeout_s: float = 60.0) -> T:
    """The first true answer of `holds`, which is asked again and again."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s, last was {found!r}"
        time.sleep(_POLL_S)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One process. Its log grows over restarts; everything it says is in there."""

    def __init__(self, name: str, arguments: Sequence[str], log_directory: Path) -> None:
        self.name = name
        self.log_file = log_directory / f"{name}.log"
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=direct_environment(),
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    def until(self, what: str, holds: Callable[[], T | Literal[False] | None], timeout_s: float = 60.0) -> T:
        """As `until`, and ends early where the process does."""

        def asked() -> T | Literal[False] | None:
            assert self.running, f"{self.name} has ended:\n" + "\n".join(self.log_lines[-20:])
            return holds()

        return until(f"{self.name}: {what}", asked, timeout_s)

    def stop(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_END_S)
        self._process = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log_lines(self) -> list[str]:
        return self.log_file.read_text(errors="replace").splitlines()


def direct_environment(**more: str) -> dict[str, str]:
    """This one without proxies and without anybody's kubeconfig: all is on loopback."""
    unwanted = ("http_proxy", "https_proxy", "all_proxy", "kubeconfig")
    return {**{k: v for k, v in os.environ.items() if k.lower() not in unwanted}, **more}

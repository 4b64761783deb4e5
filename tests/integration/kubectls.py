"""The kubectls that there are: the installed one, and an old one beside it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.programs import direct_environment

ROOT = Path(__file__).parent.parent.parent
INSTALLED = shutil.which("kubectl")
OLD = os.environ.get("KUBECTL_OLD") or shutil.which("kubectl", path=str(ROOT / ".venv/kubectl-old/usr/bin"))


class Kubectl:
    """One of them, as the administrator; what it remembers is in `home`."""

    def __init__(self, program: str, kubeconfig: Path, home: Path) -> None:
        self._start = (program, "--kubeconfig", str(kubeconfig), "--cache-dir", str(home / "cache"))
        self._environment = direct_environment(HOME=str(home))

    def __call__(self, *args: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self._start, *args], capture_output=True, text=True, timeout=60, env=self._environment
        )

    def rows(self, *args: str) -> list[list[str]]:
        """The cells of what it printed, the header first."""
        done = self(*args)
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    def minor(self) -> int:
        version = json.loads(self("version", "--client", "-o", "json").stdout)
        return int(version["clientVersion"]["minor"].rstrip("+"))

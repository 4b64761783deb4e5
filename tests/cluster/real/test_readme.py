"""README's way onto a cluster, word for word: its kubectl commands, in their order, in a shell.

What needs a registry or another program is left out; `top` is asked again until the server is up.
"""

import os
import re
import subprocess
from pathlib import Path

from tests.cluster.real.assets import find_assets
from tests.cluster.real.conftest import NODES, Cluster
from tests.programs import direct_environment, until

_ROOT = Path(__file__).parents[3]
_TIMEOUT_S = 60.0


def kubectl_commands(readme: str) -> list[str]:
    """Of the section on clusters, without what is remarked behind them."""
    section = re.search(r"^## On a cluster$(.*?)^## ", readme, re.MULTILINE | re.DOTALL)
    assert section is not None
    found = re.findall(r"^\$ (kubectl .*?)(?:\s+#.*)?$", section[1], re.MULTILINE)
    return [command.strip() for command in found]


def test_a_new_user_installs_by_the_readme(spare: Cluster, tmp_path: Path) -> None:
    commands = kubectl_commands((_ROOT / "README.md").read_text())
    assert [c for c in commands if " apply " in c]
    assert [c for c in commands if " top " in c]
    assets = find_assets()
    assert assets is not None
    path = f"{assets.kubectl.parent}{os.pathsep}{os.environ['PATH']}"
    environment = direct_environment(
        KUBECONFIG=str(spare.control_plane.admin_kubeconfig), HOME=str(tmp_path), PATH=path
    )

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            cwd=_ROOT,
            env=environment,
            timeout=_TIMEOUT_S,
        )

    for command in commands:
        if " top " not in command:
            done = run(command)
            assert (done.returncode, done.stderr) == (0, ""), command
            continue

        def answer(asked: str = command) -> str:
            done = run(asked)
            return done.stdout if done.returncode == 0 else ""

        table = until(command, answer)
        assert len(table.splitlines()) >= 1 + NODES

"""The build stage's instructions, carried out without a builder: its absolute folders lie beneath one of ours."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.image.dockerfile import BUILD, DOCKERIGNORE, ROOT, is_sent

FOLDERS = ("/src", "/tools", "/venv", "/wheels")
_STEP_S = 110


def placed(text: str, root: Path) -> str:
    """`text` with the build's own folders beneath `root`."""
    names = "|".join(folder[1:] for folder in FOLDERS)
    return re.sub(rf"(?<![\w./)])/({names})\b", rf"{root}/\1", text)


def environment(root: Path) -> dict[str, str]:
    """The stage's ENV over this process's, with this Python as `python` and pip's cache as it is."""
    ours = {
        name: placed(value, root) for name, value in BUILD.environment.items() if name != "PIP_NO_CACHE_DIR"
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, **ours, "PATH": path}


def run(command: str, root: Path, directory: Path) -> "subprocess.CompletedProcess[str]":
    env = environment(root)
    if "--no-index" in command:  # what this machine's pip is told of other folders does not count, either
        env = {k: v for k, v in env.items() if not k.startswith("PIP_")} | {"PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        ["/bin/sh", "-c", placed(command, root)],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=_STEP_S,
    )


def copy(names: list[str], directory: Path) -> None:
    """COPY from the build's context, which is the repository without what .dockerignore leaves out."""
    *sources, target = names
    goal = directory / target
    for name in sources:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, goal, ignore=_left_out, dirs_exist_ok=True)
        else:
            shutil.copy2(source, goal)


def _left_out(folder: str, names: list[str]) -> set[str]:
    inside = Path(folder).relative_to(ROOT)
    return {name for name in names if not is_sent(str(inside / name), DOCKERIGNORE)}


def carry_out(root: Path) -> None:
    """All of the build stage; raises AssertionError with what a command said."""
    directory = root
    for instruction in BUILD.instructions:
        match instruction.keyword:
            case "WORKDIR":
                directory = Path(placed(instruction.value, root))
                directory.mkdir(parents=True)
            case "COPY":
                copy(instruction.words, directory)
            case "RUN":
                done = run(instruction.value, root, directory)
                assert done.returncode == 0, f"{instruction.value}\n{done.stdout}{done.stderr}"
            case _:
                pass  # ARG and ENV are in environment()

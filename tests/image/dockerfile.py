"""A Dockerfile as its stages and instructions: no more of the format than ours uses."""

import fnmatch
import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Instruction:
    keyword: str
    value: str

    @property
    def words(self) -> list[str]:
        """Without the flags that it begins with, as `--from=build`."""
        words = self.value.split()
        while words and words[0].startswith("--"):
            del words[0]
        return words

    @property
    def from_stage(self) -> bool:
        return self.value.startswith("--from=")


@dataclass(frozen=True)
class Stage:
    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        return [i for i in self.instructions if i.keyword == keyword]

    def last(self, keyword: str) -> str:
        return self.all(keyword)[-1].value

    @property
    def environment(self) -> dict[str, str]:
        """Every ENV, with the ARGs' defaults in them; `$PATH` stays as it is written."""
        defaults = dict(word.partition("=")[::2] for i in self.all("ARG") for word in i.words)
        pairs = (word.partition("=")[::2] for i in self.all("ENV") for word in i.words)
        return {
            name: re.sub(r"\$\{(\w+)\}", lambda m: defaults.get(m[1], m[0]), value) for name, value in pairs
        }

    @property
    def entrypoint(self) -> list[str]:
        """Raises ValueError where it is a line for a shell."""
        words: list[str] = json.loads(self.last("ENTRYPOINT"))
        return words


def instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in whole.splitlines()]


def stages(text: str) -> list[Stage]:
    """In order; what stands before the first FROM belongs to none."""
    found: list[Stage] = []
    for instruction in instructions(text):
        if instruction.keyword == "FROM":
            base, _, name = instruction.value.partition(" AS ")
            found.append(Stage(base, name, ()))
        elif found:
            stage = found[-1]
            found[-1] = Stage(stage.base, stage.name, (*stage.instructions, instruction))
    return found


def is_sent(path: str, dockerignore: str) -> bool:
    """Whether a file is in the build's context: the last pattern that fits it, or a folder of its, decides."""
    parts = path.split("/")
    folders = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    sent = True
    for line in dockerignore.split():
        pattern = line.removeprefix("!")
        loose = pattern.removeprefix("**/")
        if any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, loose) for name in folders) or (
            loose != pattern and any(fnmatch.fnmatch(part, loose) for part in parts)
        ):
            sent = line.startswith("!")
    return sent


DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOCKERIGNORE = (ROOT / ".dockerignore").read_text()
STAGES = stages(DOCKERFILE)
BUILD, FINAL = STAGES

"""What fuzzing has found and is worth keeping: corpus/TARGET.txt, an input a line in base64.

`python -m tests.fuzz.kept FOLDER` adds from FOLDER/TARGET/, where `make fuzz FOUND=FOLDER` leaves each input in a file of
its own: the fewest and shortest that walk every step of ours that all of them walk.
"""

import logging
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

_FOLDER = Path(__file__).parent / "corpus"
_OURS = "pymetrics_server"
_LONGEST = 2048

Target = Callable[[bytes], None]
Step = tuple[str, int, int]  # a file, from one line to another


def kept(target: str) -> list[bytes]:
    path = _FOLDER / f"{target}.txt"
    return [b64decode(line) for line in path.read_text().splitlines()] if path.exists() else []


def fewest(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Each walks a step that no shorter one does."""
    walked: set[Step] = set()
    found: list[bytes] = []
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        steps = _steps(target, data)
        if len(data) <= _LONGEST and not steps <= walked:
            walked |= steps
            found.append(data)
    return found


def _steps(target: Target, data: bytes) -> set[Step]:
    steps: set[Step] = set()

    def look(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if event != "call" or _OURS not in file:
            return None
        at = 0

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal at
            steps.add((file, at, frame.f_lineno))
            at = frame.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(look)
    try:
        target(data)
    finally:
        sys.settrace(before)
    return steps


def main() -> None:
    from tests.fuzz.targets import TARGETS  # which reads what is kept

    logging.disable()
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        inputs = [path.read_bytes() for path in folder.iterdir()]
        found = fewest(TARGETS[folder.name], [*kept(folder.name), *inputs])
        _FOLDER.mkdir(exist_ok=True)
        (_FOLDER / f"{folder.name}.txt").write_text(
            "".join(f"{b64encode(data).decode()}\n" for data in found)
        )
        print(f"{folder.name}: {len(found)} of {len(inputs)} kept")


if __name__ == "__main__":
    main()

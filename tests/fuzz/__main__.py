"""`make fuzz`: each target for its share of the seconds, guided by coverage where atheris is installed.

Atheris has no wheels for every Python, and so is no dependency: `pip install atheris` where it installs. Without
it, seeds are mutated blindly. What fails is written to a file, and said.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

FOUND = Path(tempfile.gettempdir())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--target", default="")
    parser.add_argument("--found", type=Path, default=None, help="where what walks a new way is left")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.target:
        return (
            _guided(options.target, options.seconds, options.found)
            if _has_atheris()
            else _blind(options.target, options.seconds)
        )
    from tests.fuzz.targets import TARGETS  # atheris instruments what is imported after it

    share_s = max(options.seconds // len(TARGETS), 1)
    print(
        f"{len(TARGETS)} targets, {share_s} s each, {'guided by atheris' if _has_atheris() else 'blind'}",
        flush=True,
    )
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(share_s)]
    command += [*(["--found", str(options.found)] if options.found else []), "--target"]
    failed = [target for target in TARGETS if subprocess.run([*command, target], check=False).returncode]
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def _blind(name: str, seconds: int) -> int:
    from tests.fuzz.mutation import mutated
    from tests.fuzz.targets import SEEDS, TARGETS

    seed = time.time_ns()
    random = Random(seed)
    ends = time.monotonic() + seconds
    runs = 0
    data = b""
    try:
        while time.monotonic() < ends:
            data = mutated(random.choice(SEEDS[name]), random)
            TARGETS[name](data)
            runs += 1
    except Exception:
        path = FOUND / f"fuzz-{name}-{seed}"
        path.write_bytes(data)
        print(f"{name}: failed after {runs} runs; what it was given is in {path}", flush=True)
        raise
    print(f"{name}: {runs} runs in {seconds} s, no failure", flush=True)
    return 0


def _guided(name: str, seconds: int, found: Path | None) -> int:
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["pymetrics_server", "cryptography", "urllib"]):
        from tests.fuzz.targets import SEEDS, TARGETS
    with tempfile.TemporaryDirectory() as corpus:
        folder = found / name if found else Path(corpus)
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[name]):
            (folder / str(number)).write_bytes(seed)
        arguments = [f"-max_total_time={seconds}", "-max_len=16384", "-print_final_stats=1", "-verbosity=0"]
        atheris.Setup(
            [name, *arguments, f"-artifact_prefix={FOUND}/fuzz-{name}-", str(folder)], TARGETS[name]
        )
        print(f"{name}:", flush=True)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())

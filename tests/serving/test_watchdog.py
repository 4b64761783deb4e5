"""The watchdog, in processes of its own: what it does is end them."""

import subprocess
import sys

_PROGRAM = """
import asyncio, time
from pymetrics_server.serving import watchdog

async def main():
    watching = asyncio.create_task(watchdog.watch(stands_still_s=0.5))
    await asyncio.sleep({lives_s})
    stuck({stuck_s})
    watching.cancel()

def stuck(seconds):
    time.sleep(seconds)

asyncio.run(main())
"""


def _ended(lives_s: float, stuck_s: float) -> "subprocess.CompletedProcess[str]":
    program = _PROGRAM.format(lives_s=lives_s, stuck_s=stuck_s)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )


def test_a_loop_that_stands_still_ends_the_process_and_says_where_it_stood() -> None:
    done = _ended(lives_s=0, stuck_s=20)
    assert done.returncode == 1
    assert "in stuck" in done.stderr


def test_a_loop_that_goes_on_is_left_alone() -> None:
    done = _ended(lives_s=1.5, stuck_s=0)
    assert (done.returncode, done.stderr) == (0, "")

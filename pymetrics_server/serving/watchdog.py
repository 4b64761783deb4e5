"""A loop that stands still ends the process, with the stack that holds it on standard error.

The thread that looks is the standard library's: it needs neither the loop nor the interpreter's lock, so whatever
holds those cannot hold it. /livez says the same to who asks it; this is for where nobody asks, and tells why.
Nothing is tidied up: temporary files of the kubeconfig's data stay. A process that was stopped for longer (SIGSTOP) is
ended when it goes on.
"""

import asyncio
import faulthandler

_FED_EVERY_S = 5.0
_STANDS_STILL_S = 60.0


async def watch(stands_still_s: float = _STANDS_STILL_S) -> None:
    """For as long as it runs. The exit status of an end that it brings about is 1."""
    try:
        while True:
            faulthandler.dump_traceback_later(stands_still_s, exit=True)
            await asyncio.sleep(min(_FED_EVERY_S, stands_still_s / 4))
    finally:
        faulthandler.cancel_dump_traceback_later()

"""Which kubectl there is here."""

import asyncio
import re
import shutil
from contextlib import suppress

_TIMEOUT_S = 5.0
_VERSION = re.compile(r"v\d+\.\d+\.\d+[\w.+-]*")


async def kubectl_version(path: str | None = None) -> str:
    """Its gitVersion; "" where there is none, or it does not tell. `path` stands for the one on the PATH."""
    program = path or shutil.which("kubectl")
    if program is None:
        return ""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "version",
            "--client",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    found = _VERSION.search(said.decode("utf-8", "replace"))
    return found[0] if found else ""

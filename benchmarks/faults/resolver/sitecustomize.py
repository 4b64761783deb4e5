"""Read by the server's interpreter as it starts: while the file SILENT_RESOLVER is there, no name is answered for.

What is simulated is the resolver alone; addresses need none.
"""

import os
import socket
import time
from pathlib import Path
from typing import Any

_LOOKED_AFTER_EVERY_S = 0.1

_silent = Path(os.environ["SILENT_RESOLVER"])
_answered = socket.getaddrinfo


def _look_up(*of: Any, **hints: Any) -> Any:
    while _silent.exists() and not hints.get("flags", 0) & socket.AI_NUMERICHOST:
        time.sleep(_LOOKED_AFTER_EVERY_S)
    return _answered(*of, **hints)


socket.getaddrinfo = _look_up

"""/debug/flags/v: how much is logged, changed while the server runs."""

import re

from pymetrics_server import log
from pymetrics_server.api.reply import NOSNIFF, Reply
from pymetrics_server.meta.quote import go_quote

#: More than any number has; the rest of a body need not be read.
LONGEST_BODY_BYTES = 1024

_HIGHEST = 2**32 - 1
_TEXT = "text/plain"


def set_verbosity(body: bytes, method: str) -> Reply:
    """`body` is the level in decimal digits and nothing else."""
    if method != "PUT":
        return _said("unsupported http method", 406)
    text = body.decode("utf-8", "surrogateescape")
    if not re.fullmatch("[0-9]+", text):
        return _said(f"strconv.ParseUint: parsing {go_quote(text)}: invalid syntax", 400)
    if len(text.lstrip("0")) > len(str(_HIGHEST)) or int(text) > _HIGHEST:
        return _said(f"strconv.ParseUint: parsing {go_quote(text)}: value out of range", 400)
    log.set_verbosity(int(text))
    return _said(f"successfully set klog.logging.verbosity to {text}", 200)


def _said(text: str, code: int) -> Reply:
    return Reply([f"{text}\n".encode("utf-8", "replace")], code, _TEXT, NOSNIFF)

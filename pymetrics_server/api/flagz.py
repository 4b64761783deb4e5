"""/flagz: every flag and the value that counts."""

from collections.abc import Mapping

from pymetrics_server.api.negotiation import Representation
from pymetrics_server.api.reply import TEXT, Reply
from pymetrics_server.api.zpages import TEXT_PLAIN, object_reply, page_head


def flagz_reply(
    component: str, flags: Mapping[str, str], representation: Representation, delimiter: str
) -> Reply:
    """`flags` by name, without dashes; `delimiter` is one of zpages.DELIMITERS."""
    if representation.media_type != TEXT_PLAIN:
        return object_reply(component, {"flags": dict(sorted(flags.items()))}, representation)
    lines = [f"{name}{delimiter}{value}\n" for name, value in sorted(flags.items())]
    return Reply([(page_head(component, "flagz") + "".join(lines)).encode("utf-8", "replace")], 200, TEXT)

"""What is known of one request while it is answered."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from pymetrics_server.api.negotiation import PLAIN, Offer, Representation, for_error, negotiate
from pymetrics_server.api.reply import Reply, status_reply
from pymetrics_server.api.request import Target
from pymetrics_server.meta.status import StatusError


class Headers(Protocol):
    """Names in any case."""

    def get(self, key: str, default: str, /) -> str: ...


class Exchange(msgspec.Struct):
    method: str
    target: Target
    headers: Headers
    body: bytes = b""
    admitted: bool = False  # counts among the requests in flight
    warning: str = ""  # of HTTP, for the client's eyes

    def header(self, name: str) -> str:
        """Its first value, "" where it is absent."""
        return self.headers.get(name, "")

    def representation(self, offer: Offer = PLAIN) -> Representation:
        """Raises StatusError 406."""
        return negotiate(self.header("Accept"), self.target.query, self.header("User-Agent"), offer)

    def failed(self, status: StatusError, headers: Mapping[str, str] | None = None) -> Reply:
        representation = for_error(self.header("Accept"), self.target.query, self.header("User-Agent"))
        return status_reply(status, representation, headers)

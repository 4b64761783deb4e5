"""What kube-aggregator writes into an APIService's condition, decoded. Plain functions.

Its availability controller asks the Service's address five times and keeps the words of the last failure. Older ones
verify no certificate there: what fails for a user's request alone is told in the 503 that kube-apiserver answers.
"""

import re

import msgspec

from pymetrics_server.doctor.ailment import Ailment

_URL = re.compile(r"https?://(?P<host>\[[^\]]+\]|[^/:\s\"]+)")
_AROUND = re.compile(
    r"^(?:(?:failing or missing response|no response) from \S+: |error trying to reach service: )"
    r"|\b(?:Get|GET) \"?https?://[^\s\"]+\"?: "
)
_STATUS = re.compile(r"bad status from \S+: (\d+)")
_OF_STATUS = {"401": Ailment.APISERVICE_UNAUTHORIZED, "403": Ailment.APISERVICE_FORBIDDEN}
#: The first that is found counts.
_SIGNS = (
    (re.compile(r"proxyconnect|proxy authentication required", re.I), Ailment.APISERVICE_PROXY),
    (re.compile(r"remote error: tls: [a-z ]*(?:certificate|authority)"), Ailment.APISERVICE_UNAUTHORIZED),
    (re.compile(r"x509: "), Ailment.APISERVICE_UNTRUSTED),
    (re.compile(r"connection refused"), Ailment.APISERVICE_REFUSED),
    (
        re.compile(
            r"i/o timeout|context deadline exceeded|Client\.Timeout|timed out|handshake timeout|request canceled"
            r"|no route to host|host is down|is unreachable",
            re.I,
        ),
        Ailment.APISERVICE_TIMEOUT,
    ),
    (
        re.compile(
            r"\bEOF\b|connection reset|broken pipe|HTTP response to HTTPS client"
            r"|first record does not look like a TLS handshake|malformed HTTP"
        ),
        Ailment.APISERVICE_EOF,
    ),
)


class Decoded(msgspec.Struct, frozen=True):
    """`words` without the addresses that stand around them; `host` that was asked, "" where it is not told; `answered`:
    the server itself answered, with a status."""

    ailment: Ailment
    words: str
    host: str = ""
    answered: bool = False


def decoded(message: str) -> Decoded:
    url = _URL.search(message)
    host = url["host"].strip("[]") if url else ""
    if status := _STATUS.search(message):
        ailment = _OF_STATUS.get(status[1], Ailment.APISERVICE_UNAVAILABLE)
        return Decoded(ailment, f"it answers with status {status[1]}", host, answered=True)
    words = _AROUND.sub("", message).strip() or message.strip()
    ailment = next((found for sign, found in _SIGNS if sign.search(message)), Ailment.APISERVICE_UNAVAILABLE)
    return Decoded(ailment, words, host)

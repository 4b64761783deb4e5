"""What the headers of an answer tell browsers: whose pages may read it (CORS), and to insist on HTTPS (HSTS).

Kubernetes: https://kubernetes.io/docs/concepts/cluster-administration/kube-apiserver-cors/ names the flags.
"""

import re
from collections.abc import Mapping, Sequence

from pymetrics_server.api.reply import Reply

#: Asked before anybody has proven who they are, and Python's expressions can take long over a long text:
#: a scheme, the longest host name and a port need less.
_LONGEST_ORIGIN = 300

_ALLOWED = {
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
    "Access-Control-Allow-Headers": (
        "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, "
        "If-Modified-Since"
    ),
    "Access-Control-Expose-Headers": "Date",
    "Access-Control-Allow-Credentials": "true",
}


def compile_origins(patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """`patterns` are valid already."""
    return tuple(re.compile(pattern, re.ASCII) for pattern in patterns)


def cors_headers(origin: str, patterns: Sequence[re.Pattern[str]]) -> Mapping[str, str] | None:
    """For every answer to a page of `origin`, refusals included; None where no pattern matches somewhere in it."""
    if not origin or len(origin) > _LONGEST_ORIGIN or not any(pattern.search(origin) for pattern in patterns):
        return None
    return {"Access-Control-Allow-Origin": origin, **_ALLOWED}


def preflight_reply() -> Reply:
    """To an OPTIONS request of such a page, before anything else is asked of it."""
    return Reply([], 204, "")


def hsts_headers(directives: Sequence[str]) -> Mapping[str, str]:
    return {"Strict-Transport-Security": "; ".join(directives)} if directives else {}

"""What one client, and all of them together, may cost before anybody knows who they are.

net/http has a bound for a request's head and three timeouts; the number of connections is bounded here alone.
"""

import resource
from contextlib import suppress

import msgspec

_MOST_CONNECTIONS = 2048
_MOST_CONNECTIONS_PER_PEER = 1024
_SHORTEST_UNREAD_TIMEOUT_S = 1.0


class Limits(msgspec.Struct, frozen=True):
    """The defaults are net/http's and metrics-server's where those have any."""

    #: Line and headers of one request, and of its body what nobody reads.
    request_bytes: int = 1 << 20
    #: Of all requests that are not whole yet; in memory each byte takes two.
    parts_bytes: int = 32 << 20
    #: The first line of a request: each of a selector's values costs time.
    target_bytes: int = 1 << 16
    #: One header.
    line_bytes: int = 1 << 18
    headers: int = 4096  # a user's groups and extras come as headers
    handshake_timeout_s: float = 10.0
    #: From the handshake, or from a later request's first byte, to the end of its headers.
    head_timeout_s: float = 32.0
    idle_timeout_s: float = 90.0
    #: How long a client may leave what it asked for unread: --request-timeout.
    unread_timeout_s: float = 60.0
    #: How long the rest of a body is read after the answer, so that a client still sending gets to hear it.
    linger_s: float = 5.0
    #: Far above what there is: the aggregator has as many connections as requests under way and 25 idle ones.
    connections: int = _MOST_CONNECTIONS
    #: Not much below: everything on one node, kube-apiserver among it, may share an address.
    connections_per_peer: int = _MOST_CONNECTIONS_PER_PEER


def limits_of(request_timeout_s: float, open_files: int) -> Limits:
    """`open_files` is the process's own limit, below 0 none; half of it is left to kubelets and kube-apiserver."""
    connections = _MOST_CONNECTIONS if open_files < 0 else min(_MOST_CONNECTIONS, max(64, open_files // 2))
    return Limits(
        unread_timeout_s=max(request_timeout_s, _SHORTEST_UNREAD_TIMEOUT_S),
        connections=connections,
        connections_per_peer=min(_MOST_CONNECTIONS_PER_PEER, connections * 3 // 4),
    )


def open_files() -> int:
    """As many as we may have: a shell's soft limit of 1024 is there for programs that select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a container may forbid it, and macOS means less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

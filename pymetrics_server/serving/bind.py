"""The listening socket: both families behind a wildcard, and an error that says which flags move it."""

import errno
import ipaddress
import os
import socket

from pymetrics_server.errors import ListenError

_BACKLOG = 512


def bind(host: str, port: int, *, share_port: bool) -> socket.socket:
    """A wildcard of either family listens on both, as Go's does: the default must serve IPv6-only clusters.

    Non-blocking. Raises ListenError.
    """
    try:
        if _is_wildcard(host) and socket.has_dualstack_ipv6():
            try:
                return _listening("::", port, socket.AF_INET6, dualstack=True, share_port=share_port)
            except OSError as err:
                if err.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return _listening(host, port, family, dualstack=False, share_port=share_port)
    except (OSError, OverflowError) as err:
        address = shown_address(host, port)
        number = err.errno if isinstance(err, OSError) else None
        reason = os.strerror(number).lower() if number and number > 0 else str(err)
        raise ListenError(
            f"failed to create listener: failed to listen on {address}: listen tcp {address}: bind: {reason} "
            "(--secure-port and --bind-address say where to listen)"
        ) from err


def shown_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plain_ip(host: str) -> str:
    """An IPv4 address as such, although it was met on a socket of both families."""
    return host.removeprefix("::ffff:") if "." in host else host


def _listening(
    host: str, port: int, family: socket.AddressFamily, *, dualstack: bool, share_port: bool
) -> socket.socket:
    listening = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=share_port, dualstack_ipv6=dualstack
    )
    listening.setblocking(False)
    return listening


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""

"""The listening socket: both families behind a wildcard, and an error that says who is in the way and what moves it."""

import errno
import ipaddress
import os
import socket

from pymetrics_server.errors import ListenError

_BACKLOG = 512
_FIRST_FREE_PORT = 1024
_KUBELET_PORT = 10250


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
            f"failed to create listener: failed to listen on {address}: listen tcp {address}: bind: {reason}: "
            f"{_cure(number, host, port)}"
        ) from err


def _cure(number: int | None, host: str, port: int) -> str:
    if number == errno.EADDRINUSE:
        return f"{_holder(host, port)}; choose another port with --secure-port"
    if number in (errno.EACCES, errno.EPERM) and port < _FIRST_FREE_PORT:
        return (
            f"ports below {_FIRST_FREE_PORT} need the capability NET_BIND_SERVICE; "
            "grant it (securityContext.capabilities.add), or choose a higher port with --secure-port"
        )
    if number == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address; give one of its own, or 0.0.0.0, with --bind-address"
    return "--secure-port and --bind-address say where to listen"


def _holder(host: str, port: int) -> str:
    """Who listens there, as far as this process can see."""
    import psutil  # of no use to a server that starts

    try:
        found = psutil.net_connections("tcp")
    except (psutil.Error, OSError, RuntimeError):
        found = []
    pids = {
        c.pid
        for c in found
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and _overlap(c.laddr.ip, host)
    }
    for pid in sorted(pid for pid in pids if pid):
        try:
            name = psutil.Process(pid).name()
        except psutil.Error:
            continue  # ended, or not ours to look at
        shown = "".join(c if c.isprintable() else "?" for c in name)
        return f"{shown} (pid {pid}) listens there"
    likely = ", with hostNetwork most likely the kubelet," if port == _KUBELET_PORT else ""
    return f"a process of another user or outside of this container{likely} listens there"


def _overlap(one: str, other: str) -> bool:
    return _is_wildcard(one) or _is_wildcard(other) or plain_ip(one) == plain_ip(other)


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

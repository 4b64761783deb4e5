"""Which group of this host a process belongs to, and names that Kubernetes takes. Text in, text out: no I/O."""

import hashlib
import re
from collections.abc import Mapping

_LONGEST_LABEL = 63
_REFUSED = re.compile(r"[^a-z0-9-]+")
_AN_ID = re.compile(r"(?:[a-z]+-)*([0-9a-f]{16,})")
#: Hierarchies that tell services apart, the best first; "" is cgroup v2.
_TELLING = ("name=systemd", "", "cpuacct", "memory", "pids")


def dns_label(text: str) -> str:
    """`text` as an RFC 1123 label. What is cut off leaves a hash of the whole, so that long names stay apart."""
    label = _REFUSED.sub("-", text.lower()).strip("-") or "unnamed"
    if len(label) <= _LONGEST_LABEL:
        return label
    return suffixed(label, text)


def suffixed(label: str, text: str) -> str:
    """`label` with a short hash of `text` behind it, still an RFC 1123 label."""
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{label[: _LONGEST_LABEL - 9].rstrip('-')}-{digest}"


def parse_cgroup(text: str) -> dict[str, str]:
    """/proc/PID/cgroup as controller -> path; "" is the unified hierarchy of cgroup v2."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        number, colon, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and number.isdecimal():
            for controller in controllers.split(","):
                paths[controller] = path.removesuffix(" (deleted)")
    return paths


def separating_path(own: Mapping[str, str], init: Mapping[str, str]) -> str:
    """The cgroup that tells a process apart from the first one of its machine or container; "" where none does."""
    for controller in _TELLING:
        path = own.get(controller, "/")
        if path not in ("/", init.get(controller, "/")):
            return path
    return ""


def systemd_unit(path: str) -> str:
    """The innermost .service or .scope of a cgroup path, "" where systemd made none of it."""
    for part in reversed(path.split("/")):
        if part.endswith((".service", ".scope")):
            return part
    return ""


def of_system(path: str) -> bool:
    """Whether the unit belongs to the system rather than to a user's login."""
    return "/user.slice/" not in f"{path}/"


def service_name(unit: str) -> str:
    """`getty@tty1.service` -> `getty`; "" for a scope, which is named after whatever was put into it."""
    return unit.removesuffix(".service").partition("@")[0] if unit.endswith(".service") else ""


def group_name(path: str, program: str) -> str:
    """A readable name for a cgroup: its last part, or `program` with the id's head where that part is an id."""
    last = path.rstrip("/").rpartition("/")[2].removesuffix(".scope")
    if found := _AN_ID.fullmatch(last):
        return dns_label(f"{program}-{found[1][:12]}")
    return dns_label(path.rstrip("/").rpartition("/")[2])

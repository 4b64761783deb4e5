"""requirements.lock and requirements-build.lock, as they stand."""

import re
import tomllib
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.image.dockerfile import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = ("requirements.lock", "requirements-build.lock")


@dataclass(frozen=True)
class Pin:
    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]

    @property
    def is_for_this_python(self) -> bool:
        return self.marker is None or self.marker.evaluate()


def pins(lock: str) -> dict[str, Pin]:
    """By canonical name. Raises ValueError at a line that pins nothing."""
    text = (ROOT / lock).read_text()
    found: dict[str, Pin] = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"(?m)\A(#.*\n)+", "", text)):
        head = re.match(r"([\w.-]+)==([^ ;]+)(?: ; (.+?))? \\\n", entry)
        if head is None:
            raise ValueError(f"{lock}: not a pin with hashes: {entry}")
        wanted_by = entry.partition("# via")[2].replace("#", " ")
        pin = Pin(
            canonicalize_name(head[1]),
            Version(head[2]),
            Marker(head[3]) if head[3] else None,
            tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)),
            tuple(re.findall(r"[\w.-]+(?: \([\w.]+\))?", wanted_by)),
        )
        found[pin.name] = pin
    return found

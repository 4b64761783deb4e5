"""Which cluster: the kubeconfig that kubectl would take, with the context that was asked for, or the pod's own account.

Several files, or another context than the current one, are written together as one file for as long as it takes to load
it: the loader knows of one file and its current context.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pymetrics_server.clock import Clock
from pymetrics_server.cluster.credentials import SERVICE_ACCOUNT_DIR, Credentials, load
from pymetrics_server.cluster.kubeconfig import read_kubeconfig
from pymetrics_server.errors import ConfigError

_LISTS = ("clusters", "contexts", "users")
_FILES = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}


async def credentials_of(
    kubeconfig: str,
    context: str,
    clock: Clock,
    *,
    environ: Mapping[str, str] = os.environ,
    service_account_dir: str = SERVICE_ACCOUNT_DIR,
) -> tuple[Credentials, str]:
    """And what to call the kubeconfig, "" for the pod's ServiceAccount. Raises ConfigError with what to type next."""
    paths = [kubeconfig] if kubeconfig else _as_kubectl(environ)
    if not paths:
        return await _in_pod(context, clock, environ, service_account_dir), ""
    name = os.pathsep.join(paths)
    if len(paths) == 1 and not context:
        return await load(paths[0], clock=clock, prefix=""), name
    merged = _merged(paths)
    if context:
        merged["current-context"] = context
    with tempfile.TemporaryDirectory(prefix="pymetrics-doctor-") as folder:  # mode 0700
        path = _written(folder, merged)
        try:
            return await load(path, clock=clock, prefix=""), name
        except ConfigError as err:
            raise ConfigError(str(err).replace(path, name)) from err


def _written(folder: str, config: Mapping[str, Any]) -> str:
    path = Path(folder, "kubeconfig")
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(path)


def _as_kubectl(environ: Mapping[str, str]) -> Sequence[str]:
    """Of several in KUBECONFIG those that exist; where only one is named it need not, and is then complained of."""
    named = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    if named:
        return [path for path in named if os.path.exists(path)] or named[:1]
    home = environ.get("HOME", "")
    usual = os.path.join(home, ".kube", "config")
    return [usual] if home and os.path.exists(usual) else []


async def _in_pod(
    context: str, clock: Clock, environ: Mapping[str, str], service_account_dir: str
) -> Credentials:
    if context or not environ.get("KUBERNETES_SERVICE_HOST"):
        raise ConfigError(
            "there is no cluster to look at: KUBECONFIG names no kubeconfig, there is none at ~/.kube/config, and this is "
            "no pod; name one: pymetrics-server doctor --kubeconfig FILE"
        )
    return await load("", clock=clock, prefix="", environ=environ, service_account_dir=service_account_dir)


def _merged(paths: Sequence[str]) -> dict[str, Any]:
    """As kubectl does it: of two of one name the first counts, and so does the first current-context."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
    found: dict[str, dict[object, Any]] = {kind: {} for kind in _LISTS}
    for path in paths:
        config = read_kubeconfig(path)
        merged["current-context"] = merged.get("current-context") or config.get("current-context")
        for kind in _LISTS:
            entries = config.get(kind)
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict):
                    _make_absolute(kind, entry, path)
                    found[kind].setdefault(str(entry.get("name")), entry)
    return merged | {kind: list(entries.values()) for kind, entries in found.items()}


def _make_absolute(kind: str, entry: dict[str, Any], path: str) -> None:
    """Paths in a kubeconfig are relative to it."""
    if kind not in _FILES:
        return
    section_name, keys = _FILES[kind]
    section = entry.get(section_name)
    if not isinstance(section, dict):
        return
    folder = os.path.dirname(os.path.abspath(path))
    for key in keys:
        if isinstance(section.get(key), str) and section[key]:
            section[key] = os.path.join(folder, section[key])
    plugin = section.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command", "")):
        plugin["command"] = os.path.join(folder, str(plugin["command"]))

"""A kubeconfig's current context: which cluster and which user, or one sentence about what is wrong with it."""

import ssl
from typing import Any

import yaml

from pymetrics_server.errors import ConfigError


def current_context(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cluster and the user of the current context, without empty values."""
    try:
        with open(path, encoding="utf-8") as file:
            config = yaml.safe_load(file)
    except FileNotFoundError as err:
        raise ConfigError(f"stat {path}: no such file or directory") from err
    except OSError as err:
        raise ConfigError(f"open {path}: {said(err)}") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f'error loading config file "{path}": {said(err)}') from err
    if not isinstance(config, dict):
        raise ConfigError(f'error loading config file "{path}": it is not a kubeconfig')
    current = config.get("current-context")
    if not current:
        raise ConfigError(f"{path}: no current-context is set")
    context = _named(path, config, "context", current)
    if not context.get("cluster"):
        raise ConfigError(f'{path}: context "{current}" names no cluster')
    cluster = _named(path, config, "cluster", context["cluster"])
    if not cluster.get("server"):
        raise ConfigError(f'{path}: no server found for cluster "{context["cluster"]}"')
    user = _named(path, config, "user", context["user"]) if context.get("user") else {}
    return cluster, user


def _named(path: str, config: dict[str, Any], kind: str, name: object) -> dict[str, Any]:
    entries = config.get(f"{kind}s")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            section = entry.get(kind)
            values = section.items() if isinstance(section, dict) else ()
            return {k: v for k, v in values if v not in (None, "")}
    raise ConfigError(f'{path}: {kind} "{name}" does not exist')


def check_readable(path: str, prefix: str = "") -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as err:
        raise ConfigError(f"{prefix}open {path}: {said(err)}") from err


def said(err: Exception) -> str:
    """One line, in Go's case where it is the operating system's."""
    if isinstance(err, OSError) and err.strerror and not isinstance(err, ssl.SSLError):
        return err.strerror.lower()
    return " ".join(str(err).split()) or type(err).__name__

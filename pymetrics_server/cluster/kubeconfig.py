"""A kubeconfig's current context: which cluster and which user, or one sentence about what is wrong with it."""

import base64
import ssl
from typing import Any

import yaml

from pymetrics_server.errors import ConfigError

_CLUSTER_DATA = ("certificate-authority-data",)
_USER_DATA = ("client-certificate-data", "client-key-data")
_SSL_WORDS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "unable to parse bytes as PEM block, there is no certificate in it",
    "KEY_VALUES_MISMATCH": "private key does not match public key",
}


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
        raise ConfigError(
            f"invalid configuration: {path}: no current-context is set; set one with `kubectl config use-context`"
            f" ({_there_are(config, 'context')})"
        )
    context = _named(path, config, "context", current, "current-context")
    if not context.get("cluster"):
        raise ConfigError(f'invalid configuration: {path}: context "{current}" names no cluster')
    named_by = f'context "{current}"'
    cluster = _named(path, config, "cluster", context["cluster"], named_by)
    if not cluster.get("server"):
        raise ConfigError(
            f'invalid configuration: {path}: no server found for cluster "{context["cluster"]}"'
        )
    user = _named(path, config, "user", context["user"], named_by) if context.get("user") else {}
    for section, keys in ((cluster, _CLUSTER_DATA), (user, _USER_DATA)):
        for key in keys:
            _check_base64(path, key, section.get(key))
    return cluster, user


def _named(path: str, config: dict[str, Any], kind: str, name: object, named_by: str) -> dict[str, Any]:
    for entry in _entries(config, kind):
        if entry.get("name") == name:
            section = entry.get(kind)
            values = section.items() if isinstance(section, dict) else ()
            return {k: v for k, v in values if v not in (None, "")}
    raise ConfigError(
        f'invalid configuration: {path}: {kind} "{name}" does not exist, and {named_by} names it'
        f" ({_there_are(config, kind)})"
    )


def _entries(config: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    entries = config.get(f"{kind}s")
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _there_are(config: dict[str, Any], kind: str) -> str:
    names = ", ".join(f'"{entry.get("name")}"' for entry in _entries(config, kind))
    return f"{kind}s there are: {names or 'none'}"


def _check_base64(path: str, key: str, value: object) -> None:
    """The library would pass over what is no base64, and fail over what is left of it."""
    if value is None:
        return
    try:
        base64.b64decode("".join(str(value).split()), validate=True)
    except ValueError as err:
        raise ConfigError(
            f'error loading config file "{path}": illegal base64 data: {key} is not the base64 of a PEM file ({said(err)})'
        ) from err


def check_readable(path: str, prefix: str = "") -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as err:
        raise ConfigError(f"{prefix}open {path}: {said(err)}") from err


def said(err: Exception) -> str:
    """One line, in Go's case where it is the operating system's, without OpenSSL's source lines."""
    if isinstance(err, ssl.SSLError):
        return _SSL_WORDS.get(err.reason or "", (err.reason or "it is no PEM").lower().replace("_", " "))
    if isinstance(err, OSError) and err.strerror:
        return err.strerror.lower()
    return " ".join(str(err).split()) or type(err).__name__

"""A kubeconfig's current context: which cluster and which user, or one sentence about what is wrong with it."""

import base64
import ssl
from typing import Any

import yaml

from pymetrics_server.errors import ConfigError, system_words

_DATA = ("certificate-authority-data", "client-certificate-data", "client-key-data")
_WHAT = {str: "a string", bool: "true or false", dict: "a mapping", list: "a list"}
#: Of what is used here. YAML makes a number of 123, and a string of "false", which would be true.
_TYPES: dict[str, dict[str, type]] = {
    "context": {"cluster": str, "user": str},
    "cluster": {
        "server": str,
        "certificate-authority": str,
        "certificate-authority-data": str,
        "insecure-skip-tls-verify": bool,
        "tls-server-name": str,
        "proxy-url": str,
    },
    "user": {
        "client-certificate": str,
        "client-certificate-data": str,
        "client-key": str,
        "client-key-data": str,
        "token": str,
        "tokenFile": str,
        "username": str,
        "password": str,
        "exec": dict,
        "auth-provider": dict,
    },
    "exec": {"apiVersion": str, "command": str, "args": list, "env": list},
}
_SSL_WORDS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "unable to parse bytes as PEM block, there is no certificate in it",
    "KEY_VALUES_MISMATCH": "private key does not match public key",
}


def read_kubeconfig(path: str) -> dict[str, Any]:
    """What the file holds, as it stands there. ConfigError where it cannot be read, or is none."""
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
    return config


def current_context(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cluster and the user of the current context, without empty values."""
    config = read_kubeconfig(path)
    current = config.get("current-context")
    _check_type(path, "current-context", current, str)
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
    for section in (cluster, user):
        for key in _DATA:
            _check_base64(path, key, section.get(key))
    _check_types(path, "exec", user.get("exec", {}), "exec: ")
    check_token(f'error loading config file "{path}": token', user.get("token", ""))
    return cluster, user


def _named(path: str, config: dict[str, Any], kind: str, name: object, named_by: str) -> dict[str, Any]:
    for entry in _entries(config, kind):
        if entry.get("name") == name:
            section = entry.get(kind) or {}
            _check_type(path, f'{kind} of "{name}"', section, dict)
            _check_types(path, kind, section, f'{kind} "{name}": ')
            return {k: v for k, v in section.items() if v not in (None, "")}
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


def _check_types(path: str, kind: str, section: dict[str, Any], of: str) -> None:
    for key, expected in _TYPES[kind].items():
        _check_type(path, f"{of}{key}", section.get(key), expected)


def _check_type(path: str, key: str, value: object, expected: type) -> None:
    """The value is not told: it may be a secret."""
    if value is not None and not isinstance(value, expected):
        raise ConfigError(f'error loading config file "{path}": {key} must be {_WHAT[expected]}')


def check_token(what: str, token: str) -> None:
    """No header can carry it otherwise. The token is not told."""
    if any(c < " " or c == "\x7f" for c in token):
        raise ConfigError(f"{what} holds a line break or another control character")


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
        return system_words(err)
    return " ".join(str(err).split()) or type(err).__name__

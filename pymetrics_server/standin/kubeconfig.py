"""Kubeconfigs of the stand-in cluster: who asks it, and how its certificate is proven."""

import base64
from pathlib import Path
from typing import Any

import yaml

from pymetrics_server.standin.pki import PairFiles


def admin_user(pair: PairFiles) -> dict[str, str]:
    """Shows a client certificate; held within, so that the kubeconfig can be moved."""
    return {
        "client-certificate-data": _base64(pair.cert.read_bytes()),
        "client-key-data": _base64(pair.key.read_bytes()),
    }


def token_user(token: str) -> dict[str, str]:
    return {"token": token}


def write_kubeconfig(path: Path, server_url: str, ca_pem: bytes, name: str, user: dict[str, str]) -> Path:
    """Readable by its owner alone."""
    cluster = "standin"
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server_url, "certificate-authority-data": _base64(ca_pem)},
            }
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": name}}],
        "current-context": cluster,
    }
    path.touch(mode=0o600, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()

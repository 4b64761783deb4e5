"""Where a real cluster is to be had: binaries to start one, or somebody's kubeconfig. Nothing is ever downloaded."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

NEITHER = (
    "set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl, or TEST_KUBECONFIG to the kubeconfig "
    "of a cluster where the server is deployed"
)
NOT_OURS = "TEST_KUBECONFIG names somebody's cluster: it is only read from"
NO_CONTROLLERS = "set KUBE_CONTROLLER_MANAGER to a kube-controller-manager, or put one beside kube-apiserver"


class Assets(msgspec.Struct, frozen=True):
    """Without a kube-controller-manager most of the suite runs."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    kube_controller_manager: Path | None


def find_assets(environment: Mapping[str, str] = os.environ) -> Assets | None:
    """By envtest's convention; raises FileNotFoundError where the folder is named and lacks a program."""
    if not (named := environment.get("KUBEBUILDER_ASSETS")):
        return None
    folder = Path(named)
    controllers = Path(environment.get("KUBE_CONTROLLER_MANAGER") or folder / "kube-controller-manager")
    return Assets(
        etcd=_program(folder / "etcd"),
        kube_apiserver=_program(folder / "kube-apiserver"),
        kubectl=_program(folder / "kubectl"),
        kube_controller_manager=controllers if controllers.exists() else None,
    )


def find_kubeconfig(environment: Mapping[str, str] = os.environ) -> tuple[Path, Path] | None:
    """(kubeconfig, kubectl), where no binaries are named."""
    if not (named := environment.get("TEST_KUBECONFIG")) or environment.get("KUBEBUILDER_ASSETS"):
        return None
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise FileNotFoundError("TEST_KUBECONFIG is set, and there is no kubectl on PATH")
    return Path(named), Path(kubectl)


def _program(path: Path) -> Path:
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"KUBEBUILDER_ASSETS is set, and {path} is no program")
    return path

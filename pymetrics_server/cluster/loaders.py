"""kubernetes_asyncio's configuration loaders, without the generated models they stand beside.

Importing kubernetes_asyncio.config imports the whole package: 0.5 s and 37 MiB, as much as the rest of this
process. The loaders need two names of it, for annotations and defaults that are never used here. So they are
imported below a bare package of the same name, which is taken away again: whoever imports
kubernetes_asyncio afterwards gets the whole of it.
"""

import importlib
import importlib.util
import logging
import sys
from types import ModuleType

_PACKAGE = "kubernetes_asyncio"
_loaded: dict[str, ModuleType] = {}


class Settings:
    """What the loaders fill in; stands for kubernetes_asyncio's client.Configuration."""

    def __init__(self) -> None:
        self.host = ""
        self.ssl_ca_cert: str | None = None
        self.cert_file: str | None = None
        self.key_file: str | None = None
        self.verify_ssl = True
        self.tls_server_name: str | None = None
        self.proxy: str | None = None
        self.api_key: dict[str, str] = {}  # BearerToken: the whole value of the Authorization header
        self.shown: dict[str, str] = {}  # by path: what to call a file that only holds what a kubeconfig says


def loader_module(name: str) -> ModuleType:
    """kubernetes_asyncio.config.<name>."""
    if name not in _loaded:
        logging.getLogger(_PACKAGE).addHandler(logging.NullHandler())  # what it logs, it also raises
        full_name = f"{_PACKAGE}.config.{name}"
        if _PACKAGE in sys.modules:
            _loaded[name] = importlib.import_module(full_name)
        else:
            _loaded[name] = _import_alone(full_name)
    return _loaded[name]


def remove_files() -> None:
    """What the loaders wrote down of what kubeconfigs hold themselves. At an orderly end of the process they do it."""
    getattr(_loaded.get("kube_config"), "_cleanup_temp_files", lambda: None)()


def _import_alone(full_name: str) -> ModuleType:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    package = ModuleType(_PACKAGE)
    package.__path__ = list(found.submodule_search_locations)
    client = ModuleType(f"{_PACKAGE}.client")
    client.__dict__.update(ApiClient=object, Configuration=Settings)
    sys.modules[package.__name__] = package
    sys.modules[client.__name__] = client
    try:
        return importlib.import_module(full_name)
    except Exception:  # a release that needs more of itself, and says so in whatever way
        _forget()
        return importlib.import_module(full_name)
    finally:
        if sys.modules.get(_PACKAGE) is package:
            _forget()


def _forget() -> None:
    for name in [n for n in sys.modules if n == _PACKAGE or n.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]

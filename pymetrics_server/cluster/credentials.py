"""Where kube-apiserver is and how to prove ourselves to it, from a kubeconfig or the pod's ServiceAccount.

An http:// server gets no credentials at all, as with client-go.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymetrics_server.clock import Clock, SystemClock
from pymetrics_server.cluster.kubeconfig import check_readable, check_token, current_context, said
from pymetrics_server.cluster.loaders import Settings, loader_module
from pymetrics_server.errors import ConfigError
from pymetrics_server.log import Logger

log = Logger(__name__)

SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN = "BearerToken"  # noqa: S105  a name in kubernetes_asyncio
_REFRESH_S = 60.0
_LOOK_S = 1.0  # at a token's file; client-go looks once a minute, and is refused where a token is revoked
_EXPIRY_MARGIN_S = 10.0
_RENEWAL_TIMEOUT_S = 60.0  # every request waits for it
_FAILED_PLUGIN = re.compile(r"^exec: process returned (-?\d+)")
_NO_ACCOUNT = (
    "no ServiceAccount is mounted that this process can read; see automountServiceAccountToken of the pod and of its "
    "ServiceAccount, and fsGroup, or give kubeconfigs"
)

#: Renews what `Settings` holds; returns in how many seconds to do it again.
Renewal = Callable[[], Awaitable[float]]


class Credentials:
    """File attributes are paths or None; all may be read at any time and change when an exec plugin issues anew.

    `again_s` is how soon a renewal that failed is tried again.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        renewal: Renewal | None = None,
        again_s: float = _EXPIRY_MARGIN_S,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._renewal = renewal
        self._again_s = again_s
        self._due_ns = 0  # monotonic
        self._lock = asyncio.Lock()
        self._context: ssl.SSLContext | None = None
        self._context_of: tuple[object, ...] = ()
        self._failing = False

    @property
    def server(self) -> str:
        """https://host:port, without a trailing slash."""
        return self._settings.host

    @property
    def ca_file(self) -> str | None:
        """None: the system's CAs."""
        return self._settings.ssl_ca_cert

    @property
    def client_cert_file(self) -> str | None:
        return self._settings.cert_file

    @property
    def client_key_file(self) -> str | None:
        return self._settings.key_file

    @property
    def insecure_skip_tls_verify(self) -> bool:
        return not self._settings.verify_ssl

    @property
    def tls_server_name(self) -> str | None:
        return self._settings.tls_server_name

    @property
    def proxy_url(self) -> str | None:
        return self._settings.proxy

    async def authorization(self) -> str | None:
        """The Authorization header's value, fresh; None where none is to be sent."""
        if self._renewal is not None and self._clock.monotonic_ns() >= self._due_ns:
            async with self._lock:
                if self._clock.monotonic_ns() >= self._due_ns:
                    await self._renew(self._renewal)
        return self._settings.api_key.get(_TOKEN)

    async def bearer_token(self) -> str | None:
        value = await self.authorization() or ""
        scheme, _, token = value.partition(" ")
        return token if scheme == "Bearer" else None

    async def renew(self, refused: str | None) -> bool:
        """After a 401 to `refused`: get anew what can be; whether there is now something else to show."""
        async with self._lock:
            if self._renewal is not None and self._settings.api_key.get(_TOKEN) == refused:
                await self._renew(self._renewal)
        return self._settings.api_key.get(_TOKEN) != refused

    async def start(self) -> None:
        """The first renewal, which may fail aloud."""
        if self._renewal is not None:
            self.valid_for(await self._renewal())

    def valid_for(self, wait_s: float) -> None:
        """Renew when that has passed."""
        self._due_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)

    def ssl_context(self) -> ssl.SSLContext | None:
        """None for http://. The same object until a file changes, so that connections are kept."""
        if not self.server.startswith("https"):
            return None
        settings = self._settings
        files = [f for f in (settings.ssl_ca_cert, settings.cert_file, settings.key_file) if f]
        try:
            now_of: tuple[object, ...] = tuple(
                (f, s.st_mtime_ns, s.st_size) for f in files for s in [os.stat(f)]
            )
            if self._context is None or now_of != self._context_of:
                self._context = _client_context(settings)
                self._context_of = now_of
        except (OSError, ConfigError) as err:  # in the middle of being replaced: what was read still holds
            if self._context is None:
                raise _unreadable(err) from err
        return self._context

    async def _renew(self, renewal: Renewal) -> None:
        try:
            async with asyncio.timeout(_RENEWAL_TIMEOUT_S):
                wait_s = await renewal()
        except Exception as err:  # whatever a plugin or its loader throws; the old credentials may still do
            wait_s = self._again_s
            if not self._failing:
                log.error(
                    "Cannot renew credentials, going on with the last ones", said(err), server=self.server
                )
            self._failing = True
        else:
            self._failing = False
        self.valid_for(wait_s)


async def load(
    kubeconfig_path: str,
    *,
    clock: Clock | None = None,
    prefix: str = "unable to construct lister client config: ",
    environ: Mapping[str, str] = os.environ,
    service_account_dir: str = SERVICE_ACCOUNT_DIR,
) -> Credentials:
    """From a kubeconfig's current context, or from the pod's ServiceAccount where the path is "".

    Raises ConfigError, whose text begins with `prefix`.
    """
    the_clock = clock or SystemClock()
    try:
        if not kubeconfig_path:
            return await _in_cluster(the_clock, environ, service_account_dir)
        credentials = await _from_kubeconfig(kubeconfig_path, the_clock)
        credentials.ssl_context()
    except ConfigError as err:
        raise ConfigError(f"{prefix}{err}") from err
    return credentials


async def _in_cluster(clock: Clock, environ: Mapping[str, str], directory: str) -> Credentials:
    if not environ.get("KUBERNETES_SERVICE_HOST") or not environ.get("KUBERNETES_SERVICE_PORT"):
        raise ConfigError(
            "unable to load in-cluster configuration, "
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined: they are in every pod; elsewhere "
            "give --kubeconfig, --authentication-kubeconfig and --authorization-kubeconfig"
        )
    token_file = os.path.join(directory, "token")
    ca_file = os.path.join(directory, "ca.crt")
    for file in (token_file, ca_file):
        try:
            check_readable(file)
        except ConfigError as err:
            raise ConfigError(f"{err}: {_NO_ACCOUNT}") from err
    module = loader_module("incluster_config")
    settings = Settings()
    try:
        module.InClusterConfigLoader(
            token_filename=token_file, cert_filename=ca_file, try_refresh_token=False, environ=environ
        ).load_and_set(settings)
    except Exception as err:  # the loader's own exception type is not importable cheaply
        raise ConfigError(f"unable to load in-cluster configuration from {directory}: {said(err)}") from err
    credentials = Credentials(settings, clock, _token_file_renewal(token_file, settings), _LOOK_S)
    await credentials.start()
    credentials.ssl_context()
    return credentials


async def _from_kubeconfig(path: str, clock: Clock) -> Credentials:
    cluster, user = current_context(path)
    settings = Settings()
    server = str(cluster["server"]).rstrip("/")
    if not server.startswith("https://"):
        settings.host = server if "://" in server else f"http://{server}"
        return Credentials(settings, clock)
    base = os.path.dirname(path) or "."
    for section, key in (
        (cluster, "certificate-authority"),
        (user, "client-certificate"),
        (user, "client-key"),
        (user, "tokenFile"),
    ):
        if key in section and f"{key}-data" not in section:
            check_readable(os.path.join(base, str(section[key])), f"{path}: {key}: ")
    token_file = os.path.join(base, user.pop("tokenFile")) if "tokenFile" in user else ""
    if token_file:
        user.pop("token", None)  # as client-go has it: the file goes first
    plugin = user.get("exec")
    if isinstance(plugin, dict) and os.sep in (command := str(plugin.get("command", ""))):
        user["exec"] = plugin | {
            "command": os.path.join(base, command)
        }  # relative to the kubeconfig, as in client-go
    only = {
        "current-context": "context",
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "user"}}],
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
    }
    try:
        loader = loader_module("kube_config").KubeConfigLoader(only, config_base_path=base)
        await loader.load_and_set(settings)
        _check_issued(settings)
    except Exception as err:  # ConfigException, and what base64, json or a plugin throw
        raise ConfigError(f"{path}: {_plugin_said(user, err)}") from err
    settings.shown |= {
        file: f"{key}-data of {path}"
        for section, key, file in (
            (cluster, "certificate-authority", settings.ssl_ca_cert),
            (user, "client-certificate", settings.cert_file),
            (user, "client-key", settings.key_file),
        )
        if file and f"{key}-data" in section
    }
    renewal = None
    if token_file:
        renewal = _token_file_renewal(token_file, settings)
    elif "exec" in user or "auth-provider" in user:
        renewal = _loader_renewal(loader, settings, clock, user)
    credentials = Credentials(settings, clock, renewal, _LOOK_S if token_file else _EXPIRY_MARGIN_S)
    if token_file:
        await credentials.start()
    elif renewal is not None:
        credentials.valid_for(_valid_s(loader, clock))
    return credentials


def _token_file_renewal(path: str, settings: Settings) -> Renewal:
    async def read() -> float:
        try:
            with open(path, encoding="utf-8") as file:  # noqa: ASYNC230 (a kilobyte of tmpfs)
                token = file.read().strip()
        except UnicodeDecodeError:  # whose text would show a part of it
            raise ConfigError(f"token file {path} holds what is no UTF-8") from None
        if not token:
            raise ConfigError(f"read empty token from file {path}")
        check_token(f"token file {path}", token)
        settings.api_key[_TOKEN] = f"Bearer {token}"
        return _LOOK_S

    return read


def _loader_renewal(loader: Any, settings: Settings, clock: Clock, user: Mapping[str, Any]) -> Renewal:
    async def ask() -> float:
        # The loader runs a plugin again only where it knows of no expiry; when, is decided here.
        vars(loader).pop("exec_plugin_expiry", None)
        before = dict(settings.api_key)
        try:
            await loader.load_and_set(settings)
            _check_issued(settings)
        except Exception as err:
            settings.api_key = before
            raise ConfigError(_plugin_said(user, err)) from err
        return _valid_s(loader, clock)

    return ask


def _check_issued(settings: Settings) -> None:
    check_token("the token that was issued", settings.api_key.get(_TOKEN, ""))


def _plugin_said(user: Mapping[str, Any], err: Exception) -> str:
    """Go's words where an exec plugin is what failed, with its name."""
    command = user.get("exec", {}).get("command", "")
    text = said(err)
    if not command:
        return text
    if isinstance(err, FileNotFoundError) and not os.path.exists(command):
        return f"exec: executable {command} not found"
    if isinstance(err, OSError):
        return f"exec: executable {command}: {text}"
    return _FAILED_PLUGIN.sub(
        lambda found: f"exec: executable {command} failed with exit code {found[1]}", text
    )


def _valid_s(loader: Any, clock: Clock) -> float:
    """How long what the loader has just got will do; a plugin that names no end is asked again on a 401 only."""
    expiry = getattr(loader, "exec_plugin_expiry", None)
    if expiry is not None:
        return max(_EXPIRY_MARGIN_S, float(expiry.timestamp()) - clock.now_ns() / 1e9 - _EXPIRY_MARGIN_S)
    return _REFRESH_S if loader.provider else float(10**9)


def _client_context(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go accepts CAs that it refuses
    context.set_alpn_protocols(["http/1.1"])
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ssl_ca_cert:
        shown = settings.shown.get(settings.ssl_ca_cert, settings.ssl_ca_cert)
        with _naming(f"unable to load root certificates: {shown}"):
            context.load_verify_locations(settings.ssl_ca_cert)
    else:
        context.load_default_certs()
    if settings.cert_file:
        files = [f for f in (settings.cert_file, settings.key_file) if f]
        shown = " and ".join(settings.shown.get(f, f) for f in files)
        with _naming(f"unable to load the client certificate of {shown}"):
            context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    return context


@contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as err:  # ssl.SSLError is an OSError
        raise ConfigError(f"{what}: {said(err)}") from err


def _no_password() -> str:
    raise ValueError("the key is encrypted, and there is nobody to ask for its password")


def _unreadable(err: Exception) -> ConfigError:
    return err if isinstance(err, ConfigError) else ConfigError(said(err))

"""Where certificates are to be looked at: a file, whoever listens on an address, a ConfigMap. Nothing is verified."""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from pymetrics_server.certs.authority import read_file
from pymetrics_server.clock import Clock
from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import load
from pymetrics_server.cluster.grants import AUTHENTICATION_READER, Need, hint
from pymetrics_server.errors import ApiserverError, ConfigError, FailureClass, UntrustedError, system_words
from pymetrics_server.serving.peer import peer_chain_der
from pymetrics_server.version import VERSION
from pymetrics_server.x509 import Inspected, bundle_der, inspect_der, inspect_pem

_HANDSHAKE_TIMEOUT_S = 10.0
_CONFIGMAP = "configmap:"
_AUTHENTICATION = "kube-system/extension-apiserver-authentication"
_CLIENT_CA, _PROXY_CA = "client-ca-file", "requestheader-client-ca-file"
_ALLOWED_NAMES = "requestheader-allowed-names"
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d{1,5})")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_BEGIN = b"-----BEGIN CERTIFICATE-----"


class Section(msgspec.Struct, frozen=True):
    """One bundle or chain; `problems` are sentences that name their cure."""

    source: str
    certificates: tuple[Inspected, ...] = ()
    settings: Mapping[str, str] = {}
    problems: tuple[str, ...] = ()


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


def look(target: str, kubeconfig: str, clock: Clock) -> tuple[Section, ...]:
    """Raises ConfigError where there is nothing to be seen."""
    if target.startswith(_CONFIGMAP):
        namespace, _, name = target.removeprefix(_CONFIGMAP).partition("/")
        if not (_OBJECT_NAME.fullmatch(namespace) and _OBJECT_NAME.fullmatch(name)):
            raise ConfigError(f"{target} is no {_CONFIGMAP}NAMESPACE/NAME: try {_CONFIGMAP}{_AUTHENTICATION}")
        return asyncio.run(_configmap(namespace, name, _kubeconfig(kubeconfig), clock))
    if os.path.lexists(target):
        return (_file(Path(target), clock.now_ns()),)
    address = _ADDRESS.fullmatch(target)
    if address is None or not 0 < int(address["port"]) < 65536:
        raise ConfigError(
            f"there is no file {target}, and it is no HOST:PORT either, such as 10.0.0.1:10250 or [::1]:6443; "
            f"a ConfigMap is named as {_CONFIGMAP}{_AUTHENTICATION}"
        )
    chain = asyncio.run(_handshake(address["v6"] or address["host"], int(address["port"]), target))
    now_ns = clock.now_ns()
    try:
        return (Section(target, tuple(inspect_der(der, now_ns) for der in chain)),)
    except UntrustedError as err:
        raise ConfigError(f"{target}: {err}; what it shows can be kept with `{_s_client(target)}`") from err


def _file(path: Path, now_ns: int) -> Section:
    content = read_file(path)
    if _BEGIN not in content:
        raise ConfigError(f"{path} holds no certificate in PEM; {_instead(path, content)}")
    try:
        return Section(str(path), inspect_pem(content, now_ns))
    except UntrustedError as err:
        raise ConfigError(f"{path}: {err}; `openssl x509 -in {path} -text` may tell more") from err


def _instead(path: Path, content: bytes) -> str:
    if b"PRIVATE KEY-----" in content:
        return "it is a key: give its certificate's file"
    if content.startswith(b"\x30\x82"):
        return f"it may be DER: `openssl x509 -inform der -in {path} -out {path}.pem` makes PEM of it"
    if b"certificate-authority-data" in content or b"client-certificate-data" in content:
        return (
            "it is a kubeconfig: `kubectl config view --raw -o "
            "jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d` takes its CA out"
        )
    return f"`head {path}` shows what it is"


async def _handshake(host: str, port: int, target: str) -> tuple[bytes, ...]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # what is wrong with it is what is asked for
    try:
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except (OSError, ValueError) as err:  # a host that cannot be one is a ValueError
        raise ConfigError(f"{target} shows no certificate: {_not_seen(err, host, target)}") from err
    chain = peer_chain_der(writer.transport)
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return chain


def _not_seen(err: Exception, host: str, target: str) -> str:
    """Why, and what to type next."""
    if isinstance(err, socket.gaierror | UnicodeError):
        return f"the name does not resolve; `getent hosts {host}` asks again"
    if isinstance(err, TimeoutError):
        return (
            f"nothing answers within {_HANDSHAKE_TIMEOUT_S:.0f} s, which a firewall does; "
            "try from a machine or a pod nearer to it"
        )
    if isinstance(err, ConnectionRefusedError):
        return "connection refused; `ss -ltn` on that machine shows what listens"
    if isinstance(err, ssl.SSLError):
        reason = err.reason or str(err)
        if "ALERT_INTERNAL_ERROR" in reason:
            failure = FailureClass.TLS_ALERT_INTERNAL
            return f"TLS internal error, and if it is a kubelet, {failure.cause}; {failure.cure}"
        return f"{reason.lower().replace('_', ' ')}; `{_s_client(target)}` shows how far it comes, if that port speaks TLS"
    said = system_words(err) if isinstance(err, OSError) else str(err)
    return f"{said or 'the connection broke'}; `{_s_client(target)}` shows how far it comes"


def _s_client(target: str) -> str:
    return f"openssl s_client -showcerts -connect {target}"


def _kubeconfig(given: str) -> str:
    """As kubectl looks for it, but for lists of several; "" is the pod's own ServiceAccount."""
    named = given or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    usual = os.path.expanduser("~/.kube/config")
    if named or os.path.exists(usual):
        return named or usual
    if not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise ConfigError("no kubeconfig is there: give --kubeconfig FILE, or set KUBECONFIG")
    return ""


async def _configmap(namespace: str, name: str, kubeconfig: str, clock: Clock) -> tuple[Section, ...]:
    try:
        credentials = await load(kubeconfig, clock=clock, prefix="")
    except ConfigError as err:
        raise ConfigError(f"{err}; give another with --kubeconfig FILE") from err
    connection = Connection(credentials, f"pymetrics-server-certs/{VERSION}", clock)
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
    try:
        body = await connection.get_bytes(path, {}, "application/json")
    except ApiserverError as err:
        raise ConfigError(f"{err}; {_reading_cure(err, namespace, name)}") from err
    finally:
        await connection.close()
    try:
        data = msgspec.json.decode(body, type=_ConfigMap).data or {}
    except (msgspec.MsgspecError, UnicodeDecodeError) as err:
        raise ConfigError(
            f"{connection.server} did not answer with a ConfigMap: {err}; see `kubectl -n {namespace} get configmap {name} -o yaml`"
        ) from err
    return sections(namespace, name, data, clock.now_ns())


def _reading_cure(err: ApiserverError, namespace: str, name: str) -> str:
    if err.status == 404:
        return f"`kubectl -n {namespace} get configmaps` lists those that are there"
    if err.status in (401, 403):
        if f"{namespace}/{name}" == _AUTHENTICATION:
            return hint(err, "get", Need("configmaps", AUTHENTICATION_READER, name))
        return f"`kubectl -n {namespace} auth can-i get configmap/{name}` tells whether it is granted; try another --kubeconfig"
    return "`kubectl cluster-info` with the same kubeconfig tells whether the cluster can be reached"


def sections(namespace: str, name: str, data: Mapping[str, str], now_ns: int) -> tuple[Section, ...]:
    """One for each key that holds certificates, one for what goes with them. Raises ConfigError where no key does."""
    found = []
    for key, value in sorted(data.items()):
        if _BEGIN.decode() in value:
            try:
                found.append(Section(key, inspect_pem(value.encode(), now_ns)))
            except UntrustedError as err:
                problem = f"it cannot be read: {err}; kube-apiserver's flag of that name must name a PEM file"
                found.append(Section(key, problems=(problem,)))
    is_authentication = f"{namespace}/{name}" == _AUTHENTICATION
    if not found and not is_authentication:
        raise ConfigError(
            f"ConfigMap {namespace}/{name} holds no certificate; see `kubectl -n {namespace} get configmap {name} -o yaml`"
        )
    rest = {
        key: value
        for key, value in sorted(data.items())
        if key.startswith("requestheader-") and key != _PROXY_CA
    }
    problems = tuple(_authentication_problems(data)) if is_authentication else ()
    if rest or problems:
        found.append(Section(f"{namespace}/{name}", settings=rest, problems=problems))
    return tuple(found)


def _authentication_problems(data: Mapping[str, str]) -> Iterator[str]:
    if not data.get(_PROXY_CA, "").strip():
        yield (
            f"it has no {_PROXY_CA}: API servers answer 401 to what kube-apiserver forwards. Start kube-apiserver with "
            "the files and flags that `pymetrics-server certs aggregator` makes"
        )
        return
    try:
        names = msgspec.json.decode(data.get(_ALLOWED_NAMES) or "[]", type=tuple[str, ...])
    except msgspec.MsgspecError as err:
        yield (
            f"{_ALLOWED_NAMES} is no list of names ({err}), and is not heeded: "
            "kube-apiserver writes it anew when it is started with --requestheader-allowed-names"
        )
        return
    if not names and _shared(data):
        yield (
            f"a CA stands in {_CLIENT_CA} and in {_PROXY_CA}, and {_ALLOWED_NAMES} is empty: whoever holds a client "
            "certificate of it can speak for anybody. Give the front proxy a CA of its own (`pymetrics-server certs "
            "aggregator`), and until then --requestheader-allowed-names"
        )


def _shared(data: Mapping[str, str]) -> bool:
    try:
        clients, proxies = (set(bundle_der(data.get(key, "").encode())) for key in (_CLIENT_CA, _PROXY_CA))
    except UntrustedError:  # is told of its own section
        return False
    return bool(clients & proxies)

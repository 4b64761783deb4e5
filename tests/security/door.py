"""The server as a process beside a kube-apiserver turned by hand, and clients that write each byte themselves."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from aiohttp import web

from pymetrics_server.x509 import Pair
from tests.fakes.apiserver import FakeApiserver, Seen
from tests.security.people import CLIENTS, FRONT, PROXY_NAME, RIGHT

TRUST_PATH = "/api/v1/namespaces/kube-system/configmaps"
TRUST_NAME = "extension-apiserver-authentication"
TOKENS = {"good": {"username": "tina", "groups": ["tokens"]}}
_REVIEWED = re.compile(r"^/(?:apis/authorization|apis/authentication)")


def trust(front_ca: bytes = FRONT.cert_pem, client_ca: bytes = CLIENTS.cert_pem) -> dict[str, str]:
    """The data of kube-apiserver's ConfigMap, in its default words."""
    return {
        "client-ca-file": client_ca.decode(),
        "requestheader-client-ca-file": front_ca.decode(),
        "requestheader-allowed-names": json.dumps([PROXY_NAME]),
        "requestheader-username-headers": json.dumps(["X-Remote-User"]),
        "requestheader-uid-headers": json.dumps(["X-Remote-Uid"]),
        "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
        "requestheader-extra-headers-prefix": json.dumps(["X-Remote-Extra-"]),
    }


class Apiserver(FakeApiserver):
    """Denies everybody everything; a token or a user whose name says so is reviewed slowly, wrongly or not at all."""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode() if request.method == "POST" else ""
        asked = json.loads(text)["spec"] if text else {}
        about = str(asked.get("token", asked.get("user", "")))
        if about.startswith("slow"):
            await asyncio.sleep(60)
        if (bad := BAD_ANSWERS.get(about)) is not None:
            status, body = bad
            return web.Response(status=status, body=body, content_type="application/json")
        return await super()._serve(request)


#: By token, or by user: what kube-apiserver answers of it.
BAD_ANSWERS: dict[str, tuple[int, bytes]] = {
    "500": (500, b"boom"),
    "403": (403, b'{"kind":"Status","message":"no"}'),
    "empty": (201, b""),
    "html": (200, b"<html>Sign in</html>"),
    "null": (201, b"null"),
    "list": (201, b"[]"),
    "no-status": (201, b'{"kind":"TokenReview"}'),
    "null-status": (201, b'{"status":null}'),
    "text-for-true": (201, b'{"status":{"authenticated":"true","allowed":"true"}}'),
    "one-for-true": (201, b'{"status":{"authenticated":1,"allowed":1}}'),
    "nobody": (201, b'{"status":{"authenticated":true}}'),
    "unauthenticated-master": (
        201,
        b'{"status":{"authenticated":false,"user":{"username":"a","groups":["system:masters"]}}}',
    ),
    "both": (201, b'{"status":{"allowed":true,"denied":true}}'),
    "neither": (201, b'{"status":{}}'),
    "cut-off": (201, b'{"status":{"authenticated":true,"allowed":true'),
    "not-utf8": (201, b'{"status":{"allowed":true,"authenticated":true,"error":"\xff","reason":"\xff"}}'),
}


class Answer(NamedTuple):
    code: int
    headers: Mapping[str, str]
    body: bytes


class RefusedError(Exception):
    """No answer came: the handshake or the connection ended first."""


class Door:
    """Both processes, and who is seen behind each request."""

    def __init__(self, directory: Path, data: Mapping[str, str] | None) -> None:
        self._directory = directory
        self._contexts: dict[tuple[str, tuple[Pair, ...]], ssl.SSLContext] = {}
        self.apiserver = Apiserver()
        self.apiserver.token_users = dict(TOKENS)
        self.apiserver.access = lambda spec: {"allowed": False}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kube-apiserver")
        self._thread.start()
        self._run(self.apiserver.start())
        if data is not None:
            self.set_trust(data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = (directory / "server.log").open("wb")
        self._process = subprocess.Popen(self._command(), stderr=self._log)
        self.until(self._accepts)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()
        self._run(self.apiserver.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def log_text(self) -> str:
        return (self._directory / "server.log").read_text()

    def set_trust(self, data: Mapping[str, str]) -> None:
        found = {"metadata": {"name": TRUST_NAME, "namespace": "kube-system"}, "data": dict(data)}

        async def put() -> None:
            self.apiserver.put(TRUST_PATH, found)

        self._run(put())

    def until(self, holds: Callable[[], bool], timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert self._process.poll() is None, self.log_text
            assert time.monotonic() < deadline, self.log_text
            time.sleep(0.02)

    def until_proxy_is_believed(self, chain: Sequence[Pair] = (RIGHT,)) -> None:
        def believed() -> bool:
            with contextlib.suppress(RefusedError):
                return self.ask("/apis", b"X-Remote-User: early\r\n", chain=chain).code == 403
            return False

        self.until(believed)

    def seen_user(self, path: str) -> Mapping[str, Any] | None:
        """The spec of the one SubjectAccessReview about this path, without the path; None where none was asked."""
        specs = [
            spec
            for spec in self._reviews("SubjectAccessReview")
            if spec.get("nonResourceAttributes", {}).get("path") == path
        ]
        assert len(specs) <= 1
        return {k: v for k, v in specs[0].items() if k != "nonResourceAttributes"} if specs else None

    def reviewed_paths(self) -> set[str]:
        return {
            str(s["nonResourceAttributes"]["path"])
            for s in self._reviews("SubjectAccessReview")
            if "nonResourceAttributes" in s
        }

    def access_reviews(self) -> list[Mapping[str, Any]]:
        return self._reviews("SubjectAccessReview")

    def forget(self) -> None:
        self.apiserver.requests.clear()

    def _reviews(self, kind: str) -> list[Mapping[str, Any]]:
        bodies = [r.body for r in list(self.apiserver.requests) if _is_review(r)]
        found = [msgspec.json.decode(body) for body in bodies]
        return [review["spec"] for review in found if review["kind"] == kind]

    def ask(self, path: str, headers: bytes = b"", *, chain: Sequence[Pair] = (), tls: str = "1.3") -> Answer:
        """On a connection of its own. Raises RefusedError."""
        with self.connected(self.context(tls, chain)) as connection:
            return connection.ask(path, headers)

    @contextlib.contextmanager
    def connected(
        self, context: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> Iterator["Connection"]:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as raw:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with context.wrap_socket(raw, session=session) as wrapped:
                    yield Connection(wrapped)
        except (ssl.SSLError, ConnectionError) as err:
            raise RefusedError(str(err)) from err

    def context(self, tls: str, chain: Sequence[Pair] = ()) -> ssl.SSLContext:
        """A client that speaks this version of TLS and shows this chain."""
        key = (tls, tuple(chain))
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
            context.minimum_version = context.maximum_version = version
            if chain:
                with tempfile.NamedTemporaryFile(dir=self._directory) as file:
                    file.write(b"".join(p.cert_pem for p in chain) + chain[0].key_pem)
                    file.flush()
                    context.load_cert_chain(file.name)
            self._contexts[key] = context
        return self._contexts[key]

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except ConnectionError:
            return False
        return True

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    def _command(self) -> list[str]:
        ca_file, kubeconfig = self._directory / "ca.crt", self._directory / "kubeconfig"
        ca_file.write_bytes(self.apiserver.ca.cert_pem)
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": self.apiserver.url, "certificate-authority": str(ca_file)},
                }
            ],
            "users": [{"name": "u", "user": {"token": "of-the-server"}}],
        }
        kubeconfig.write_text(yaml.safe_dump(config))
        return [
            sys.executable,
            "-m",
            "pymetrics_server",
            *(f"--{which}kubeconfig={kubeconfig}" for which in ("", "authentication-", "authorization-")),
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._directory / 'certs'}",
        ]


class Connection:
    def __init__(self, wrapped: ssl.SSLSocket) -> None:
        self.tls = wrapped

    def ask(self, path: str, headers: bytes = b"") -> Answer:
        return self.send(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")

    def send(self, request: bytes) -> Answer:
        """Raises RefusedError where the connection ends before an answer."""
        try:
            self.tls.sendall(request)
            received = b""
            while b"\r\n\r\n" not in received:
                received += self._received()
            head, _, body = received.partition(b"\r\n\r\n")
            headers = {
                n.decode().lower(): v.decode()
                for n, _, v in (x.partition(b": ") for x in head.split(b"\r\n")[1:])
            }
            size = int(headers.get("content-length", "0"))
            while len(body) < size:
                body += self._received()
        except (ssl.SSLError, ConnectionError) as err:
            raise RefusedError(str(err)) from err
        return Answer(int(head.split(b" ", 2)[1]), headers, body)

    def everything(self, request: bytes, timeout_s: float = 10) -> bytes:
        """All that comes until the server ends the connection, or says nothing more."""
        self.tls.settimeout(timeout_s)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            self.tls.sendall(request)
        received = b""
        with contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError, RefusedError):
            while True:
                received += self._received()
        return received

    def _received(self) -> bytes:
        found = self.tls.recv(1 << 16)
        if not found:
            raise RefusedError("the connection ended")
        return found


def _is_review(request: Seen) -> bool:
    return request.method == "POST" and _REVIEWED.match(request.path) is not None

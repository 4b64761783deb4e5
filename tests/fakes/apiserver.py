"""A small kube-apiserver over real TLS: paged lists, watches with history, reviews, scripted failures."""

import asyncio
import ssl
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
from aiohttp import web

from pymetrics_server import x509
from pymetrics_server.clock import SystemClock

Object = dict[str, Any]


class Seen(msgspec.Struct):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer_cn: str

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"


class FakeApiserver:
    """`put` and `remove` change the store and tell the watchers; the rest makes it misbehave."""

    def __init__(self, *, tls: bool = True) -> None:
        now_ns = SystemClock().now_ns()
        self.ca = x509.make_ca("fake-apiserver-ca", now_ns)
        self.requests: list[Seen] = []
        self.tokens: set[str] | None = None  # what Authorization may carry; None: anything goes
        self.refusals: dict[str, deque[tuple[int, str]]] = {}  # by path, one per request, first of all
        self.expire_continue_tokens = False
        self.compacted_before = 0
        self.token_users: dict[str, Object] = {}
        self.access: Callable[[Object], Object] = lambda spec: {"allowed": True}
        self._pair = x509.issue(self.ca, "kube-apiserver", now_ns, hosts=["127.0.0.1"], server=True)
        self._tls = tls
        self._port = 0
        self._version = 100
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: dict[str, list[tuple[int, str, Object]]] = {}
        self._watches: dict[str, list[asyncio.Queue[bytes | None]]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def lists(self, path: str) -> list[Seen]:
        return [r for r in self.requests if r.path == path and r.method == "GET" and not r.is_watch]

    def watches(self, path: str) -> list[Seen]:
        return [r for r in self.requests if r.path == path and r.is_watch]

    def watchers(self, path: str) -> int:
        return len(self._watches.get(path, []))

    def client_pair(self, common_name: str, *organizations: str) -> x509.Pair:
        return x509.issue(
            self.ca, common_name, SystemClock().now_ns(), organizations=organizations, client=True
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """On the same port as before."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._context())
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for path in list(self._watches):
            self.end_watches(path)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def put(self, path: str, obj: Object) -> Object:
        """Adds or replaces; the object gets its resourceVersion."""
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        objects = self._objects.setdefault(path, {})
        kind = "MODIFIED" if _key(obj) in objects else "ADDED"
        objects[_key(obj)] = obj
        self._tell(path, kind, obj)
        return obj

    def remove(self, path: str, name: str, namespace: str = "", *, silently: bool = False) -> None:
        self._version += 1
        obj = self._objects[path].pop((namespace, name))
        obj["metadata"]["resourceVersion"] = str(self._version)
        if not silently:
            self._tell(path, "DELETED", obj)

    def bookmark(self, path: str) -> int:
        self._version += 1
        obj = {"kind": "Bookmark", "metadata": {"resourceVersion": str(self._version)}}
        self.send(path, _line("BOOKMARK", obj))
        return self._version

    def error_event(self, path: str, code: int, message: str) -> None:
        self.send(path, _line("ERROR", _status(code, message)))

    def send(self, path: str, data: bytes) -> None:
        """Bytes as they are, to all who watch."""
        for queue in self._watches.get(path, []):
            queue.put_nowait(data)

    def end_watches(self, path: str) -> None:
        for queue in self._watches.pop(path, []):
            queue.put_nowait(None)

    def refuse(self, path: str, status: int, message: str, times: int = 1) -> None:
        self.refusals.setdefault(path, deque()).extend([(status, message)] * times)

    def _tell(self, path: str, kind: str, obj: Object) -> None:
        self._history.setdefault(path, []).append((self._version, kind, obj))
        self.send(path, _line(kind, obj))

    def _context(self) -> ssl.SSLContext | None:
        if not self._tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.ca.cert_pem.decode())
        with tempfile.TemporaryDirectory() as directory:
            cert, key = Path(directory, "cert"), Path(directory, "key")
            cert.write_bytes(self._pair.cert_pem)
            key.write_bytes(self._pair.key_pem)
            context.load_cert_chain(cert, key)
        return context

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        certificate = request.get_extra_info("peercert") or {}
        names = [v for rdn in certificate.get("subject", ()) for k, v in rdn if k == "commonName"]
        seen = Seen(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers=dict(request.headers),
            body=await request.read(),
            peer_cn=names[0] if names else "",
        )
        self.requests.append(seen)
        if self.tokens is not None and seen.headers.get("Authorization", "") not in self.tokens:
            return _refused(401, "Unauthorized")
        if queue := self.refusals.get(seen.path):
            status, message = queue.popleft()
            return _refused(status, message)
        if seen.method == "POST":
            return self._review(seen)
        return await self._watch(request, seen) if seen.is_watch else self._list(seen)

    def _review(self, seen: Seen) -> web.Response:
        review = msgspec.json.decode(seen.body)
        if review["kind"] == "TokenReview":
            user = self.token_users.get(review["spec"]["token"])
            review["status"] = {"authenticated": True, "user": user} if user else {"user": {}}
        else:
            review["status"] = self.access(review["spec"])
        return _json(review, 201)

    def _list(self, seen: Seen) -> web.Response:
        start, version = 0, self._version
        if token := seen.query.get("continue"):
            if self.expire_continue_tokens:
                return _refused(410, "The provided continue parameter is too old")
            start, version = (int(part) for part in token.split("-"))
        objects = [o for o in self._objects.get(seen.path, {}).values() if _selected(o, seen)]
        end = start + int(seen.query.get("limit", "0")) or len(objects)
        metadata = {"resourceVersion": str(version)}
        if end < len(objects):
            metadata["continue"] = f"{end}-{version}"
        return _json({"kind": "List", "metadata": metadata, "items": objects[start:end]})

    async def _watch(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        since = int(seen.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if since < self.compacted_before:
            queue.put_nowait(_line("ERROR", _status(410, f"too old resource version: {since}")))
            queue.put_nowait(None)
        for version, kind, obj in self._history.get(seen.path, []):
            if version > since:
                queue.put_nowait(_line(kind, obj))
        watches = self._watches.setdefault(seen.path, [])
        watches.append(queue)
        try:
            await response.prepare(request)
            while (data := await queue.get()) is not None:
                await response.write(data)
        finally:
            if queue in watches:
                watches.remove(queue)
        return response


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _selected(obj: Object, seen: Seen) -> bool:
    field, _, value = seen.query.get("fieldSelector", "").partition("=")
    return field != "metadata.name" or bool(obj["metadata"]["name"] == value)


def _line(kind: str, obj: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def _refused(code: int, message: str) -> web.Response:
    return _json(_status(code, message), code)


def _json(value: Object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")

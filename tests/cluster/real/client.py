"""Asking kube-apiserver: the real kubectl, and single HTTPS requests where headers matter."""

import contextlib
import http.client
import json
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.programs import direct_environment

Object = dict[str, Any]

_TIMEOUT_S = 30.0
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class Kubectl:
    """`home` keeps its discovery cache; a kubectl of its own for each user."""

    def __init__(self, program: Path, kubeconfig: Path, home: Path) -> None:
        self.kubeconfig = kubeconfig
        self._start = (str(program), "--kubeconfig", str(kubeconfig), "--cache-dir", str(home / "cache"))
        self._environment = direct_environment(HOME=str(home))

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._start, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env=self._environment,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What it prints, once it succeeds."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def raw(self, path: str) -> Object:
        document: Object = json.loads(self("get", "--raw", path))
        return document

    def items(self, path: str) -> list[Object]:
        found: list[Object] = self.raw(path)["items"]
        return found

    def rows(self, *arguments: str) -> list[list[str]]:
        """A table's cells without its header; none where it fails."""
        done = self.run(*arguments)
        return [line.split() for line in done.stdout.splitlines()[1:]] if done.returncode == 0 else []


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def document(self) -> Object:
        found: Object = json.loads(self.content)
        return found


class Api:
    """One server on loopback; each request on a connection of its own."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        headers: Mapping[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=self._timeout_s
        )
        sent = {"Accept": "application/json", "Content-Type": "application/json", **self._headers}
        content = None if body is None else json.dumps(body)
        with contextlib.closing(connection):
            connection.request(method, path, content, {**sent, **(headers or {})})
            with connection.getresponse() as response:
                return Answer(
                    response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
                )

    def answers(self, path: str) -> bool:
        """With 200; a server that is not there does not."""
        try:
            return self.ask(path).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> Object:
        answer = self.ask(path)
        assert answer.status == 200, answer
        return answer.document

    def create(self, path: str, body: object) -> Object:
        answer = self.ask(path, "POST", body)
        assert answer.status in (200, 201), answer
        return answer.document

    def find(self, path: str) -> Object | None:
        """None where there is none."""
        answer = self.ask(path)
        assert answer.status in (200, 404), answer
        return answer.document if answer.status == 200 else None

    def items(self, path: str) -> list[Object]:
        found: list[Object] = self.get(path)["items"]
        return found

    def patch(self, path: str, body: object) -> Object:
        answer = self.ask(path, "PATCH", body, MERGE_PATCH)
        assert answer.status == 200, answer
        return answer.document

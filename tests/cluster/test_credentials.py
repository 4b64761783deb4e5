import asyncio
import base64
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from pymetrics_server.cluster.connection import Connection
from pymetrics_server.cluster.credentials import Credentials, load
from pymetrics_server.errors import ApiserverError, ConfigError
from tests.cluster.conftest import WriteKubeconfig
from tests.cluster.waiting import ImpatientClock
from tests.fakes.apiserver import FakeApiserver

PATH = "/api/v1/nodes"


def inline(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def content(path: str | None) -> bytes:
    return Path(path or "").read_bytes()


async def ask(credentials: Credentials, clock: ImpatientClock) -> bytes:
    connection = Connection(credentials, "pymetrics-server/test", clock)
    try:
        return await connection.get_bytes(PATH, {}, "application/json")
    finally:
        await connection.close()


async def test_a_client_certificate_given_inline_proves_us(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig
) -> None:
    pair = server.client_pair("metrics", "system:masters")
    path = write_kubeconfig(
        server.url + "/",
        {"client-certificate-data": inline(pair.cert_pem), "client-key-data": inline(pair.key_pem)},
        {"certificate-authority-data": inline(server.ca.cert_pem)},
    )
    credentials = await load(path, clock=clock)
    await ask(credentials, clock)
    assert server.requests[0].peer_cn == "metrics"
    assert "Authorization" not in server.requests[0].headers
    assert server.requests[0].headers["User-Agent"] == "pymetrics-server/test"
    assert credentials.server == server.url
    assert content(credentials.ca_file) == server.ca.cert_pem
    assert content(credentials.client_cert_file) == pair.cert_pem
    assert not credentials.insecure_skip_tls_verify


async def test_files_are_found_beside_the_kubeconfig_and_taken_up_when_they_change(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig, tmp_path: Path
) -> None:
    def write(common_name: str) -> None:
        pair = server.client_pair(common_name)
        (tmp_path / "crt").write_bytes(pair.cert_pem + b"\n" * len(common_name))
        (tmp_path / "key").write_bytes(pair.key_pem)

    write("first")
    (tmp_path / "ca.crt").write_bytes(server.ca.cert_pem)
    path = write_kubeconfig(
        server.url,
        {"client-certificate": "crt", "client-key": "key", "token": ""},
        {"certificate-authority": "ca.crt"},
    )
    credentials = await load(path, clock=clock)
    context = credentials.ssl_context()
    assert context is credentials.ssl_context()
    assert context is not None
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    connection = Connection(credentials, "test", clock)
    await connection.get_bytes(PATH, {}, "")
    write("second one")
    await connection.get_bytes(PATH, {}, "")
    (tmp_path / "key").write_bytes(b"half")
    await connection.get_bytes(PATH, {}, "")  # with what still works
    await connection.close()
    assert [r.peer_cn for r in server.requests] == ["first", "second one", "second one"]


async def test_a_token_file_that_was_rotated_is_taken_up_within_two_seconds(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("one\n")
    user = {"tokenFile": "token", "token": "not this one"}
    path = write_kubeconfig(server.url, user, {"insecure-skip-tls-verify": True})
    credentials = await load(path, clock=clock)
    assert credentials.insecure_skip_tls_verify
    assert await credentials.bearer_token() == "one"
    (tmp_path / "token").write_text("two\n")
    clock.ahead_s += 2
    assert await credentials.bearer_token() == "two"
    (tmp_path / "token").unlink()
    clock.ahead_s += 2
    assert await credentials.bearer_token() == "two"
    (tmp_path / "token").write_text("three\n")
    clock.ahead_s += 2
    assert await credentials.bearer_token() == "three"


async def test_a_token_file_with_a_line_break_inside_is_refused_at_first_and_passed_over_later(
    clock: ImpatientClock,
    write_kubeconfig: WriteKubeconfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "token"
    path = write_kubeconfig("https://127.0.0.1:1", {"tokenFile": "token"}, {"insecure-skip-tls-verify": True})
    for content in (b"se\ncret", b"se\x00cret", b"se\x7fcret", b"secret\xff"):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=f"token file {file} holds ") as raised:
            await load(path, clock=clock)
        assert "cret" not in str(raised.value)
    file.write_text("good\n")
    credentials = await load(path, clock=clock)
    file.write_text("se\r\ncret")
    for _ in range(3):
        clock.ahead_s += 2
        assert await credentials.bearer_token() == "good"
    (record,) = [r for r in caplog.records if "Cannot renew" in r.getMessage()]
    assert f"token file {file} holds a line break" in str(vars(record))
    assert "cret" not in str(vars(record))


async def test_a_refused_token_is_read_again_at_once(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("old")
    path = write_kubeconfig(server.url, {"tokenFile": "token"}, {"insecure-skip-tls-verify": True})
    credentials = await load(path, clock=clock)
    (tmp_path / "token").write_text("new")
    server.tokens = {"Bearer new"}
    await ask(credentials, clock)
    assert [r.headers["Authorization"] for r in server.requests] == ["Bearer old", "Bearer new"]
    server.tokens = {"Bearer newest"}
    with pytest.raises(ApiserverError, match="Unauthorized") as refused:
        await ask(credentials, clock)
    assert refused.value.status == 401
    assert len(server.requests) == 3  # the same token is not shown twice


async def test_the_service_account_of_the_pod_is_used_in_a_cluster(
    server: FakeApiserver, clock: ImpatientClock, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("in-cluster")
    (tmp_path / "ca.crt").write_bytes(server.ca.cert_pem)
    host, port = server.url.removeprefix("https://").split(":")
    credentials = await load(
        "",
        clock=clock,
        environ={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        service_account_dir=str(tmp_path),
    )
    await ask(credentials, clock)
    assert server.requests[0].headers["Authorization"] == "Bearer in-cluster"
    (tmp_path / "token").write_text("rotated")
    clock.ahead_s += 2
    assert await credentials.bearer_token() == "rotated"


async def test_outside_of_a_cluster_the_in_cluster_configuration_says_so(tmp_path: Path) -> None:
    said = (
        "unable to load in-cluster configuration, "
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"
    )
    with pytest.raises(ConfigError, match=said):
        await load("", environ={})
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(ConfigError, match=r"token: no such file or directory: no ServiceAccount is mounted"):
        await load("", environ=environ, service_account_dir=str(tmp_path))


def plugin(tmp_path: Path, body: str) -> dict[str, object]:
    """An exec plugin that counts its runs in the file `runs` and prints `body` as its status."""
    script = tmp_path / "plugin"
    script.write_text(
        f"#!{sys.executable}\nimport json, os\nopen({str(tmp_path / 'runs')!r}, 'a').write('.')\n"
        f"runs = os.path.getsize({str(tmp_path / 'runs')!r})\n{body}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
        " 'status': status}))\n"
    )
    script.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin",
            "args": ["a"],
            "env": [{"name": "A", "value": "b"}],
        }
    }


async def test_an_exec_plugin_is_run_again_when_its_token_ends_or_is_refused(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig, tmp_path: Path
) -> None:
    user = plugin(
        tmp_path,
        "import datetime as d\n"
        "ends = d.datetime.now(d.timezone.utc) + d.timedelta(minutes=15)\n"
        "status = {'token': f'run-{runs}', 'expirationTimestamp': ends.strftime('%Y-%m-%dT%H:%M:%SZ')}",
    )
    path = write_kubeconfig(server.url, user, {"insecure-skip-tls-verify": True})
    credentials = await load(path, clock=clock)
    clock.ahead_s += 800
    assert await credentials.bearer_token() == "run-1"
    clock.ahead_s += 100
    assert await credentials.bearer_token() == "run-2"
    server.tokens = {"Bearer run-3"}
    await ask(credentials, clock)
    assert (tmp_path / "runs").read_text() == "..."


async def test_an_exec_plugin_may_answer_with_a_client_certificate(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig, tmp_path: Path
) -> None:
    pair = server.client_pair("from-plugin")
    status = {"clientCertificateData": pair.cert_pem.decode(), "clientKeyData": pair.key_pem.decode()}
    user = plugin(tmp_path, f"status = {status!r}")
    path = write_kubeconfig(server.url, user, {"certificate-authority-data": inline(server.ca.cert_pem)})
    await ask(await load(path, clock=clock), clock)
    assert server.requests[0].peer_cn == "from-plugin"


async def test_a_plugin_that_fails_is_named(write_kubeconfig: WriteKubeconfig, tmp_path: Path) -> None:
    user = plugin(tmp_path, "raise SystemExit('not logged in')")
    path = write_kubeconfig("https://127.0.0.1:1", user, {"insecure-skip-tls-verify": True})
    said = rf"kubeconfig: exec: executable {tmp_path}/\./plugin failed with exit code 1\. not logged in"
    with pytest.raises(ConfigError, match=said):
        await load(path)


@pytest.mark.parametrize("command", ["no-such-plugin", "./no-such-plugin"])
async def test_a_plugin_that_is_not_there_is_no_missing_kubeconfig(
    write_kubeconfig: WriteKubeconfig, tmp_path: Path, command: str
) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command}}
    path = write_kubeconfig("https://127.0.0.1:1", user, {"insecure-skip-tls-verify": True})
    with pytest.raises(ConfigError, match=r"exec: executable .*no-such-plugin not found$"):
        await load(path)


async def test_a_plugin_that_may_not_be_run_is_told_apart_from_one_that_is_not_there(
    write_kubeconfig: WriteKubeconfig, tmp_path: Path
) -> None:
    user = plugin(tmp_path, "")
    (tmp_path / "plugin").chmod(0o644)
    path = write_kubeconfig("https://127.0.0.1:1", user, {"insecure-skip-tls-verify": True})
    with pytest.raises(ConfigError, match=r"exec: executable .*plugin: permission denied$"):
        await load(path)


async def test_a_token_that_a_plugin_issues_with_a_line_break_is_refused_and_the_last_one_kept(
    clock: ImpatientClock,
    write_kubeconfig: WriteKubeconfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = plugin(
        tmp_path,
        "import datetime as d\n"
        "ends = d.datetime.now(d.timezone.utc) + d.timedelta(minutes=15)\n"
        "token = 'good' if runs == 1 else 'se\\ncret'\n"
        "status = {'token': token, 'expirationTimestamp': ends.strftime('%Y-%m-%dT%H:%M:%SZ')}",
    )
    path = write_kubeconfig("https://127.0.0.1:1", user, {"insecure-skip-tls-verify": True})
    credentials = await load(path, clock=clock)
    for _ in range(2):
        clock.ahead_s += 1000
        assert await credentials.bearer_token() == "good"
    (record,) = [r for r in caplog.records if "Cannot renew" in r.getMessage()]
    assert "line break" in str(vars(record))
    assert "cret" not in str(vars(record))
    with pytest.raises(ConfigError, match="the token that was issued holds a line break") as raised:
        await load(path, clock=clock)
    assert "cret" not in str(raised.value)


async def test_basic_authentication_is_sent_but_is_no_bearer_token(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig
) -> None:
    user = {"username": "u", "password": "p"}
    credentials = await load(
        write_kubeconfig(server.url, user, {"insecure-skip-tls-verify": True}), clock=clock
    )
    await ask(credentials, clock)
    assert server.requests[0].headers["Authorization"] == "Basic dTpw"
    assert await credentials.bearer_token() is None


async def test_an_http_server_is_shown_no_credentials(
    clock: ImpatientClock, write_kubeconfig: WriteKubeconfig
) -> None:
    async with FakeApiserver(tls=False) as server:
        user = {"token": "secret", "exec": {"command": "/nonexistent"}, "client-certificate": "/nonexistent"}
        credentials = await load(write_kubeconfig(server.url, user, {}), clock=clock)
        await ask(credentials, clock)
        assert "Authorization" not in server.requests[0].headers
        assert await credentials.bearer_token() is None
        assert credentials.ssl_context() is None
        assert credentials.client_cert_file is None


async def test_the_proxy_of_a_kubeconfig_is_gone_through(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig
) -> None:
    asked: list[bytes] = []

    async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        host, port = asked[-1].split()[1].decode().split(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as both:
            both.create_task(copied(reader, there[1]), name="to the server")
            both.create_task(copied(there[0], writer), name="from the server")

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        cluster = {
            "certificate-authority-data": inline(server.ca.cert_pem),
            "proxy-url": f"http://127.0.0.1:{port}",
        }
        await ask(await load(write_kubeconfig(server.url, {"token": "t"}, cluster), clock=clock), clock)
    assert asked[0].startswith(f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1".encode())
    assert b"Bearer" not in asked[0]
    assert server.requests[0].headers["Authorization"] == "Bearer t"


async def test_the_certificate_may_be_checked_for_another_name(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig
) -> None:
    cluster = {"certificate-authority-data": inline(server.ca.cert_pem), "tls-server-name": "other.example"}
    credentials = await load(write_kubeconfig(server.url, {}, cluster), clock=clock)
    assert credentials.tls_server_name == "other.example"
    with pytest.raises(ApiserverError, match=r"not trusted: .*other\.example"):
        await ask(credentials, clock)


async def test_a_server_of_an_unknown_issuer_is_not_spoken_to(
    server: FakeApiserver, clock: ImpatientClock, write_kubeconfig: WriteKubeconfig
) -> None:
    async with FakeApiserver() as other:
        cluster = {"certificate-authority-data": inline(other.ca.cert_pem)}
        credentials = await load(write_kubeconfig(server.url, {"token": "t"}, cluster), clock=clock)
        with pytest.raises(ApiserverError, match="its certificate is not trusted"):
            await ask(credentials, clock)
    assert server.requests == []


async def test_a_missing_kubeconfig_is_told_in_the_words_of_the_original() -> None:
    with pytest.raises(ConfigError) as raised:
        await load("/nope")
    assert (
        str(raised.value) == "unable to construct lister client config: stat /nope: no such file or directory"
    )
    with pytest.raises(ConfigError, match=r"^other: stat /nope"):
        await load("/nope", prefix="other: ")


CONTEXT = "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
CLUSTER = "clusters: [{name: c, cluster: {server: 'https://h', %s}}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "error loading config file"),
        ("just text", "it is not a kubeconfig"),
        ("{}", "no current-context is set"),
        ("current-context: x", 'context "x" does not exist'),
        ("current-context: x\ncontexts: [{name: x, context: {}}]", 'context "x" names no cluster'),
        (CONTEXT, 'cluster "c" does not exist'),
        (CONTEXT + "clusters: [{name: c, cluster: {}}]", 'no server found for cluster "c"'),
        (CONTEXT + CLUSTER % "", 'user "u" does not exist'),
        (
            CONTEXT + CLUSTER % "certificate-authority: gone" + "users: [{name: u}]",
            "certificate-authority: open {dir}/gone: no such file or directory",
        ),
        (
            CONTEXT + CLUSTER % "certificate-authority-data: QQ==" + "users: [{name: u}]",
            "unable to load root certificates: certificate-authority-data of {dir}/config: unable to parse",
        ),
        (
            CONTEXT + CLUSTER % "certificate-authority-data: '%%%'" + "users: [{name: u}]",
            "illegal base64 data: certificate-authority-data",
        ),
        (
            CONTEXT + CLUSTER % "" + "users: [{name: u, user: {client-certificate: bad, client-key: bad}}]",
            "unable to load the client certificate of {dir}/bad",
        ),
        (
            CONTEXT + CLUSTER % "" + "users: [{name: u, user: {tokenFile: empty}}]",
            "read empty token from file {dir}/empty",
        ),
    ],
)
async def test_a_broken_kubeconfig_is_explained_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    (tmp_path / "bad").write_text("no certificate")
    (tmp_path / "empty").write_text("")
    with pytest.raises(ConfigError) as raised:
        await load(str(path))
    assert said.replace("{dir}", str(tmp_path)) in str(raised.value)
    assert "\n" not in str(raised.value)


_NO_STRINGS = ("123", "[secret]", "{secret: x}", "2020-01-01", "true")
_MISTYPED = [
    *(("cluster", "insecure-skip-tls-verify", v, "true or false") for v in ("'false'", "'true'", "0", "[]")),
    *(
        (kind, key, value, "a string")
        for kind, keys in {
            "cluster": (
                "server",
                "certificate-authority",
                "certificate-authority-data",
                "tls-server-name",
                "proxy-url",
            ),
            "user": (
                "token",
                "tokenFile",
                "client-certificate",
                "client-certificate-data",
                "client-key",
                "client-key-data",
                "username",
                "password",
            ),
        }.items()
        for key in keys
        for value in _NO_STRINGS
    ),
    *(("user", key, value, "a mapping") for key in ("exec", "auth-provider") for value in ("secret", "[secret]")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "key", "value", "must_be"), _MISTYPED)
async def test_a_value_of_the_wrong_type_is_named_and_never_believed_or_shown(
    tmp_path: Path, kind: str, key: str, value: str, must_be: str
) -> None:
    """A string is true, "false" as well."""
    given = {"cluster": "server: 'https://127.0.0.1:1', ", "user": ""}
    if key == "server":
        given["cluster"] = ""
    given[kind] += f"{key}: {value}"
    path = tmp_path / "config"
    path.write_text(
        f"{CONTEXT}clusters: [{{name: c, cluster: {{{given['cluster']}}}}}]\nusers: [{{name: u, user: {{{given['user']}}}}}]\n"
    )
    with pytest.raises(ConfigError) as raised:
        await load(str(path), prefix="")
    assert str(raised.value) == (
        f'error loading config file "{path}": {kind} "{kind[0]}": {key} must be {must_be}'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("current-context: 1", "current-context must be a string"),
        ("current-context: x\ncontexts: [{name: x, context: c}]", 'context of "x" must be a mapping'),
        (
            "current-context: x\ncontexts: [{name: x, context: {cluster: 1}}]",
            'context "x": cluster must be a string',
        ),
        (CONTEXT + "clusters: [{name: c, cluster: [a]}]", 'cluster of "c" must be a mapping'),
        (CONTEXT + CLUSTER % "" + "users: [{name: u, user: [a]}]", 'user of "u" must be a mapping'),
        (CONTEXT + CLUSTER % "" + "users: [{name: u, user: {exec: {command: 1}}}]", "exec: command must be a string"),
        (CONTEXT + CLUSTER % "" + "users: [{name: u, user: {exec: {command: c, args: a}}}]", "exec: args must be a list"),
        (
            CONTEXT + CLUSTER % "" + "users: [{name: u, user: {token: \"a\\nb\"}}]",
            "token holds a line break or another control character",
        ),
    ],
)  # fmt: skip
async def test_a_kubeconfig_of_another_shape_is_refused_as_it_is_read(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        await load(str(path), prefix="")
    assert str(raised.value) == f'error loading config file "{path}": {said}'


def test_the_loaders_come_without_the_generated_models() -> None:
    program = (
        "import asyncio, sys\n"
        "from pymetrics_server.cluster.loaders import loader_module\n"
        "loader_module('kube_config'), loader_module('incluster_config')\n"
        "assert not [m for m in sys.modules if m.startswith('kubernetes_asyncio')]\n"
        "import kubernetes_asyncio.client\n"
        "print(kubernetes_asyncio.client.CoreV1Api.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("CoreV1Api\n", 0), done.stderr


LATER_RELEASES = {
    "a name": "from kubernetes_asyncio.client import ApiClient, RestClient",
    "a module": "import kubernetes_asyncio.client.models",
    "an attribute": "import kubernetes_asyncio.client as client\nclient.RestClient",
}


@pytest.mark.parametrize("needs", LATER_RELEASES)
def test_a_release_whose_loaders_need_more_of_it_is_imported_whole(tmp_path: Path, needs: str) -> None:
    package = tmp_path / "kubernetes_asyncio"
    for folder in (package, package / "config", package / "client"):
        folder.mkdir()
        (folder / "__init__.py").touch()
    (package / "client" / "__init__.py").write_text("class ApiClient: ...\nclass RestClient: ...\n")
    (package / "client" / "models.py").touch()
    for name in ("kube_config", "incluster_config"):
        (package / "config" / f"{name}.py").write_text(LATER_RELEASES[needs])
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pymetrics_server.cluster.loaders import loader_module\n"
        "print(loader_module('kube_config').__file__, loader_module('incluster_config').__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    expected = f"{package / 'config' / 'kube_config.py'} kubernetes_asyncio.config.incluster_config\n"
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymetrics_server.clock import SystemClock
from pymetrics_server.doctor.kubeconfigs import credentials_of
from pymetrics_server.errors import ConfigError
from pymetrics_server.x509 import make_ca


def config(path: Path, *names: str, current: str = "") -> str:
    """A cluster, a user and a context of each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "current-context": current,
        "clusters": [{"name": each, "cluster": {"server": f"https://{each}:6443"}} for each in names],
        "users": [{"name": each, "user": {"token": f"token-{each}"}} for each in names],
        "contexts": [{"name": each, "context": {"cluster": each, "user": each}} for each in names],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def change(path: str, number: int, **cluster: str) -> None:
    document = yaml.safe_load(Path(path).read_text())
    document["clusters"][number]["cluster"] |= cluster
    Path(path).write_text(yaml.safe_dump(document))


async def chosen(
    kubeconfig: str = "", context: str = "", environ: dict[str, str] | None = None, **pod: str
) -> tuple[str, str | None, str]:
    """(server, token, what the kubeconfig is called)"""
    credentials, name = await credentials_of(kubeconfig, context, SystemClock(), environ=environ or {}, **pod)
    return credentials.server, await credentials.bearer_token(), name


async def test_the_flag_goes_before_everything(tmp_path: Path) -> None:
    mine, other = config(tmp_path / "a", "one", current="one"), config(tmp_path / "b", "two", current="two")
    assert await chosen(mine, environ={"KUBECONFIG": other}) == ("https://one:6443", "token-one", mine)


async def test_without_a_flag_it_is_what_kubectl_takes(tmp_path: Path) -> None:
    usual = config(tmp_path / ".kube" / "config", "one", current="one")
    assert await chosen(environ={"HOME": str(tmp_path)}) == ("https://one:6443", "token-one", usual)
    named = config(tmp_path / "b", "two", current="two")
    environ = {"HOME": str(tmp_path), "KUBECONFIG": named}
    assert await chosen(environ=environ) == ("https://two:6443", "token-two", named)


async def test_another_context_than_the_current_one(tmp_path: Path) -> None:
    path = config(tmp_path / "a", "one", "two", current="one")
    assert await chosen(path, "two") == ("https://two:6443", "token-two", path)


async def test_of_several_files_the_first_that_has_something_counts(tmp_path: Path) -> None:
    first = config(tmp_path / "a" / "config", "one")
    second = config(tmp_path / "b" / "config", "one", "two", current="two")
    (tmp_path / "b" / "ca.crt").write_bytes(make_ca("ca", SystemClock().now_ns()).cert_pem)
    change(second, 0, server="https://other:6443")
    change(second, 1, **{"certificate-authority": "ca.crt"})
    environ = {"KUBECONFIG": os.pathsep.join([first, str(tmp_path / "nothing"), second])}
    name = os.pathsep.join([first, second])
    assert await chosen(environ=environ) == ("https://two:6443", "token-two", name)
    assert await chosen("", "one", environ) == ("https://one:6443", "token-one", name)


async def test_a_context_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    path = config(tmp_path / "a", "one", current="one")
    with pytest.raises(ConfigError) as refusal:
        await chosen(path, "nope")
    assert 'context "nope" does not exist' in str(refusal.value)
    assert 'contexts there are: "one"' in str(refusal.value)
    assert path in str(refusal.value)
    assert "pymetrics-doctor-" not in str(refusal.value)


async def test_a_kubeconfig_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    path = str(tmp_path / "nothing")
    for kubeconfig, context, environ in ((path, "", {}), (path, "x", {}), ("", "", {"KUBECONFIG": path})):
        with pytest.raises(ConfigError, match=f"stat {path}: no such file or directory"):
            await chosen(kubeconfig, context, environ)


@pytest.mark.parametrize("content", ["", "[]", "a: b: c", "\x00", "clusters: 7\ncontexts: [1, {name: x}]"])
async def test_what_is_no_kubeconfig_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "odd"
    path.write_text(content)
    with pytest.raises(ConfigError) as refusal:
        await chosen(str(path), "x")
    assert "\n" not in str(refusal.value)


async def test_without_any_cluster_the_next_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pymetrics-server doctor --kubeconfig FILE"):
        await chosen(environ={"HOME": str(tmp_path)})


async def test_in_a_pod_its_own_account_is_taken_and_no_kubeconfig_is_named(tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "x"}).encode()).decode()
    (tmp_path / "token").write_text(f"e30.{claims}.sig")
    (tmp_path / "ca.crt").write_bytes(make_ca("ca", SystemClock().now_ns()).cert_pem)
    environ = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    found = await chosen(environ=environ, service_account_dir=str(tmp_path))
    assert found == ("https://10.96.0.1:443", f"e30.{claims}.sig", "")

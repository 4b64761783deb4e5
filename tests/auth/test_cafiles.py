"""CA bundles given by flag: proven at start, followed as they change, kept where they break."""

import os
from pathlib import Path

import pytest

from pymetrics_server.auth.cafiles import CaFile
from pymetrics_server.errors import ConfigError
from tests.fakes.certificates import authority

ONE, TWO = (authority(name, 1_790_000_000_000_000_000).cert_pem for name in ("one", "two"))


def ca_file(path: Path) -> CaFile:
    return CaFile(str(path), "unable to load client CA provider", "client-ca-bundle", "--client-ca-file")


def replaced(path: Path, content: bytes) -> None:
    """As a mounted Secret changes: another file comes to stand under the name."""
    beside = path.with_name("new")
    beside.write_bytes(content)
    beside.replace(path)


def test_a_bundle_that_is_replaced_is_taken_up_once(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    path.write_bytes(ONE)
    file = ca_file(path)
    assert not file.reload_if_changed()
    replaced(path, TWO)
    assert file.reload_if_changed()
    assert not file.reload_if_changed()
    assert file.pem == TWO


def test_the_same_content_in_a_new_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    path.write_bytes(ONE)
    file = ca_file(path)
    replaced(path, ONE)
    assert not file.reload_if_changed()


@pytest.mark.parametrize("content", [b"", b"\n", b"half a certificate", ONE[: len(ONE) // 2], None])
def test_what_is_no_bundle_leaves_the_one_of_before_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = tmp_path / "ca.crt"
    path.write_bytes(ONE)
    file = ca_file(path)
    if content is None:
        os.unlink(path)
    else:
        replaced(path, content)
    for _ in range(3):
        assert not file.reload_if_changed()
    assert file.pem == ONE
    assert caplog.text.count("Keeping the CAs of before") == 1
    replaced(path, TWO)
    assert file.reload_if_changed()
    assert file.pem == TWO


def test_a_server_whose_ca_cannot_be_read_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    with pytest.raises(ConfigError) as missing:
        ca_file(path)
    assert str(missing.value) == (
        f"unable to load client CA provider: open {path}: no such file or directory (--client-ca-file)"
    )
    path.write_bytes(b"")
    with pytest.raises(ConfigError) as empty:
        ca_file(path)
    what = f'"client-ca-bundle::{path}"'
    assert str(empty.value).startswith(
        f"unable to load client CA provider: missing content for CA bundle {what}"
    )
    path.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match=f"error loading CA bundle for {what}: data does not contain any"):
        ca_file(path)

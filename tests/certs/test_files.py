"""All of the files or none, with their modes."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymetrics_server.certs.files import NewFile, write_all
from pymetrics_server.errors import ConfigError

FILES = (NewFile("a.pem", b"A", 0o644), NewFile("a-key.pem", b"K", 0o600), NewFile("z.pem", b"Z", 0o644))


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


@pytest.fixture(name="umask", params=[0o000, 0o022, 0o077, 0o777])
def _umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_keys_are_their_owners_alone_under_any_umask(umask: int, tmp_path: Path) -> None:
    write_all(tmp_path, FILES, force=False)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.pem": 0o644, "a-key.pem": 0o600, "z.pem": 0o644}


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    write_all(tmp_path / "b" / "c", FILES, force=False)
    assert contents(tmp_path / "b" / "c") == {"a.pem": "A", "a-key.pem": "K", "z.pem": "Z"}


def test_whatever_is_there_is_left_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / "z.pem").write_text("theirs")
    with pytest.raises(
        ConfigError, match=r"/z\.pem is there already, and nothing was written: add --force.*; or so"
    ):
        write_all(tmp_path, FILES, force=False, hint="; or so")
    assert contents(tmp_path) == {"z.pem": "theirs"}
    (tmp_path / "a.pem").symlink_to("/nowhere")
    with pytest.raises(ConfigError, match=r"/a\.pem, .*/z\.pem are there already"):
        write_all(tmp_path, FILES, force=False)


def test_what_comes_at_the_same_moment_is_not_replaced_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of us, for instance: the file appears after it was looked for."""
    made: list[Path] = []
    link = os.link

    def link_late(source: str, target: Path, **more: bool) -> None:
        if not made and target.name == "z.pem":
            target.write_text("theirs")
            made.append(target)
        link(source, target, **more)

    monkeypatch.setattr(os, "link", link_late)
    with pytest.raises(ConfigError, match=r"cannot write .*z\.pem: file exists; nothing was changed"):
        write_all(tmp_path, FILES, force=False)
    assert contents(tmp_path) == {"z.pem": "theirs"}


def test_force_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for name in ("a.pem", "z.pem"):
        (tmp_path / name).write_text("before")
        (tmp_path / name).chmod(0o666)
    write_all(tmp_path, FILES, force=True)
    assert contents(tmp_path) == {"a.pem": "A", "a-key.pem": "K", "z.pem": "Z"}
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o644


def test_force_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    (tmp_path / "a.pem").symlink_to(elsewhere)
    write_all(tmp_path, FILES, force=True)
    assert elsewhere.read_text() == "theirs"
    assert (tmp_path / "a.pem").read_text() == "A"
    assert not (tmp_path / "a.pem").is_symlink()


@pytest.mark.parametrize(
    "interruption", [OSError(28, "No space left on device"), SystemExit(0), KeyboardInterrupt()]
)
@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("force", [False, True])
def test_where_it_ends_midway_all_is_as_it_was(
    force: bool, steps: int, interruption: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or Ctrl-C, at each of the steps that put a file in its place."""
    if force:
        (tmp_path / "a.pem").write_text("before")
        (tmp_path / "z.pem").write_text("before")
    before = contents(tmp_path)
    left = [steps]

    def failing(step: object) -> object:
        def run(*arguments: object, **more: object) -> object:
            left[0] -= 1
            if left[0] == -1:
                raise interruption
            assert callable(step)
            return step(*arguments, **more)

        return run

    for name in ("fsync", "link"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    with pytest.raises((ConfigError, SystemExit, KeyboardInterrupt)):
        write_all(tmp_path, FILES, force=force)
    assert contents(tmp_path) == before


def test_where_replacing_fails_what_was_replaced_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in FILES:
        (tmp_path / file.name).write_text("before")
    before = contents(tmp_path)
    replace, count = os.replace, [0]

    def failing(source: str, target: Path) -> None:
        count[0] += 1
        if count[0] == 3:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(ConfigError, match="input/output error; nothing was changed"):
        write_all(tmp_path, FILES, force=True)
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*/file.*: give another folder with --out"):
        write_all(tmp_path / "file", FILES, force=False)
    (tmp_path / "a.pem").mkdir()
    with pytest.raises(ConfigError, match=r"cannot write .*/a\.pem"):
        write_all(tmp_path, FILES, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pem", "file"]

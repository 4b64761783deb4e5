import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymetrics_server.doctor import bundle
from pymetrics_server.doctor.evidence import Answer, Asked, Evidence
from pymetrics_server.doctor.redaction import without_secrets
from pymetrics_server.errors import ConfigError
from tests.doctor.seen import items, pod, probe, put, seen

SECRET = "hunter2hunter2"


def saved(folder: Path, evidence: Evidence | None = None) -> Path:
    path = folder / "bundle.tar.gz"
    bundle.save(evidence or seen(), str(path), force=True)
    return path


def packed(folder: Path, *members: tuple[str, bytes]) -> str:
    path = folder / "made.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    evidence = without_secrets(seen(probes=[probe("node-1", failure="refused", cpu_ns=None)], grants=[]))
    again = bundle.load(str(saved(tmp_path, evidence)))
    assert msgspec.json.encode(again) == msgspec.json.encode(evidence)


def test_a_bundle_is_readable_to_people_and_by_its_owner_alone(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        names = {os.path.relpath(name, "pymetrics-doctor") for name in archive.getnames()}
        readme = archive.extractfile("pymetrics-doctor/README.txt")
        assert readme is not None
        text = readme.read().decode()
    assert {"README.txt", "evidence.json", "answers/nodes.json", "answers/log.txt"} <= names
    assert "https://10.0.0.100:6443" in text
    assert "doctor --bundle" in text


def test_no_secret_is_in_a_bundle_whatever_was_seen(tmp_path: Path) -> None:
    env = [
        {"name": "TOKEN", "value": SECRET},
        {"name": "HTTPS_PROXY", "value": f"http://jane:{SECRET}@proxy:3128"},
    ]
    given_env = put(pod(), "spec.containers.0.env", env)
    applied = put(
        given_env, "metadata.annotations", {"kubectl.kubernetes.io/last-applied-configuration": SECRET}
    )
    log = f"GET / Authorization: Bearer {SECRET}\n"
    refused = Answer("/x", 500, f"bearer {SECRET}", words=f"bearer {SECRET}")
    changes = {Asked.PODS: items(applied), Asked.LOG: log, Asked.READYZ: refused}
    evidence = seen(changes, probes=[probe("node-1", detail=f"at https://jane:{SECRET}@x")])
    subject = msgspec.structs.replace(evidence.subject, server_args=["--token", SECRET])
    path = saved(tmp_path, msgspec.structs.replace(evidence, subject=subject))
    content = gzip.decompress(path.read_bytes())
    assert SECRET.encode() not in content
    assert b"proxy:3128" in content
    assert b"TOKEN" in content


def test_what_is_there_stays_unless_it_is_told_to_go(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is there already: name another file, or give --force"):
        bundle.check_free(str(path), force=False)
    with pytest.raises(ConfigError, match="is there already: name another file, or give --force"):
        bundle.save(seen(), str(path))
    assert path.read_text() == "mine"
    bundle.save(seen(), str(path), force=True)
    assert bundle.load(str(path)).server == seen().server
    assert [each.name for each in tmp_path.iterdir()] == ["there"]


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path: Path) -> None:
    path = str(tmp_path / "no" / "bundle")
    with pytest.raises(ConfigError, match="is no folder that can be written to"):
        bundle.check_free(path, force=False)
    with pytest.raises(ConfigError, match="no such file or directory"):
        bundle.save(seen(), path)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "there is no evidence.json in it"),
        ([("x/readme", b"hello")], "there is no evidence.json in it"),
        ([("evidence.json", b"{")], "truncated"),
        (
            [("evidence.json", b'{"format":2,"pymetrics_server":"v9"}')],
            "its format is 2 and not 1; it was made by v9",
        ),
        ([("evidence.json", b'{"format":1}')], "missing required field"),
        ([("evidence.json", b"[" * 100_000)], "is no bundle"),
        ([("evidence.json", b'{"format":1,"x":"\xff"}')], "is no bundle"),
        ([(f"{i}", b"") for i in range(300)] + [("evidence.json", b"{}")], "there is no evidence.json in it"),
    ],
)
def test_what_is_no_bundle_is_one_sentence(
    tmp_path: Path, members: list[tuple[str, bytes]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        bundle.load(packed(tmp_path, *members))


@pytest.mark.parametrize(
    "content",
    [b"", b"no tar at all", gzip.compress(b"", mtime=0), gzip.compress(b"x" * 100_000, mtime=0)],
    ids=["empty", "text", "gzip", "gzip-long"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is no bundle"):
        bundle.load(str(path))


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or directory"):
        bundle.load(str(tmp_path / "nothing"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="it is not a file"):
        bundle.load(str(path))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        bundle.load(str(tmp_path))


def test_a_small_file_that_unpacks_without_an_end_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_LARGEST_BYTES", 1 << 20)
    path = packed(tmp_path, ("filler", bytes(4 << 20)), ("evidence.json", b"{}"))
    assert Path(path).stat().st_size < 10_000
    with pytest.raises(ConfigError, match="it unpacks to more than 1 MiB"):
        bundle.load(path)


def test_links_and_devices_in_a_bundle_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "links.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("evidence.json")
            member.type = kind
            member.linkname = "/etc/passwd"
            archive.addfile(member)
    with pytest.raises(ConfigError, match=r"there is no evidence\.json in it"):
        bundle.load(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_a_bundle_that_was_damaged_is_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    """Damaged before it was packed, too: gzip's own check would find most of what was damaged behind it."""
    content = bytearray(gzip.decompress(saved(tmp_path).read_bytes()))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, min(len(content), 4096) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    whole = gzip.compress(bytes(content), 1)
    path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2, 20]))])
    assert _said_of(path).count("\n") == 0


def _said_of(path: Path) -> str:
    """ "" where it is read; anything but a ConfigError is a fault."""
    try:
        assert isinstance(bundle.load(str(path)), Evidence)
    except ConfigError as err:
        return str(err)
    return ""

"""`certs aggregator`, `certs serving` and `certs kubelet-serving`, as the shell runs them."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pymetrics_server.clock import SystemClock
from pymetrics_server.x509 import KEY_KINDS, Inspected, Pair, bundle_der, inspect_pem, issue, make_ca, prove
from tests.certs.conftest import Run
from tests.fakes.certificates import SERVER, authority, certificate

NOW_NS = SystemClock().now_ns()
DAY_NS = 86_400_000_000_000
COMMANDS = (
    ("aggregator",),
    ("serving",),
    ("kubelet-serving", "--node", "node-1=10.0.0.5"),
)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def inspected(path: Path) -> Inspected:
    (found,) = inspect_pem(path.read_bytes(), SystemClock().now_ns())
    return found


def fit_for(path: Path) -> set[str]:
    return {f.purpose for f in inspected(path).fitness if f.fits}


def saved(directory: Path, ca: Pair) -> tuple[str, ...]:
    (directory / "their.crt").write_bytes(ca.cert_pem)
    (directory / "their.key").write_bytes(ca.key_pem)
    return ("--ca", str(directory / "their.crt"), "--ca-key", str(directory / "their.key"))


@pytest.fixture(name="out")
def _out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_the_aggregators_pair_is_a_front_proxys_and_its_ca_vouches_for_it(run: Run, out: Path) -> None:
    ran = run("aggregator", "--out", out)
    assert ran.status == 0
    names = ["aggregator-ca-key.pem", "aggregator-ca.pem", "aggregator-key.pem", "aggregator.pem"]
    assert sorted(contents(out)) == names
    assert f"--requestheader-client-ca-file={out}/aggregator-ca.pem\n" in ran.out
    assert sorted(ran.err.splitlines()) == [f"Wrote {out}/{name}" for name in names]
    assert fit_for(out / "aggregator.pem") == {"front-proxy client"}
    assert fit_for(out / "aggregator-ca.pem") == {"CA"}
    proof = prove(
        bundle_der((out / "aggregator.pem").read_bytes()),
        (out / "aggregator-ca.pem").read_bytes(),
        SystemClock().now_ns(),
    )
    assert proof.subject.common_name == "aggregator"


def test_the_name_is_the_common_name_and_that_of_the_files(run: Run, out: Path) -> None:
    ran = run("aggregator", "--out", out, "--name", "front-proxy", "--print", "kubeadm")
    assert sorted(contents(out)) == [
        "front-proxy-ca-key.pem",
        "front-proxy-ca.pem",
        "front-proxy-key.pem",
        "front-proxy.pem",
    ]
    assert inspected(out / "front-proxy.pem").common_name == "front-proxy"
    assert "- name: requestheader-allowed-names\n    value: front-proxy\n" in ran.out


def test_a_front_proxy_with_hosts_can_serve_as_them_too(run: Run, out: Path) -> None:
    run("aggregator", "--out", out, "--host", "10.0.0.1", "--host", "master-1.example")
    assert fit_for(out / "aggregator.pem") == {"front-proxy client", "serving", "kubelet serving"}
    found = inspected(out / "aggregator.pem")
    assert (found.dns_names, found.ip_addresses) == (("master-1.example",), ("10.0.0.1",))


def test_the_servers_pair_names_its_service_and_more_hosts(run: Run, out: Path) -> None:
    ran = run(
        "serving", "--out", out, "--namespace", "monitoring", "--host", "fd00::1", "--host", "x.example"
    )
    assert ran.status == 0
    found = inspected(out / "metrics-server.pem")
    assert found.dns_names == (
        "metrics-server.monitoring.svc",
        "metrics-server.monitoring",
        "metrics-server",
        "x.example",
    )
    assert found.ip_addresses == ("fd00::1",)
    assert "kubectl -n monitoring create secret tls metrics-server-tls" in ran.out
    assert "front-proxy client" not in fit_for(out / "metrics-server.pem")


def test_each_kubelet_has_a_pair_with_its_name_and_addresses(run: Run, out: Path) -> None:
    ran = run(
        *("kubelet-serving", "--out", out, "--node", "node-1=10.0.0.5"),
        *("--node", "node-2=10.0.0.6,fd00::6,node-2.example"),
    )
    assert ran.status == 0
    assert sorted(contents(out)) == [
        *("kubelet-ca-key.pem", "kubelet-ca.pem"),
        *("node-1-key.pem", "node-1.pem", "node-2-key.pem", "node-2.pem"),
    ]
    found = inspected(out / "node-2.pem")
    assert (found.common_name, found.organizations) == ("system:node:node-2", ("system:nodes",))
    assert found.dns_names == ("node-2", "node-2.example")
    assert found.ip_addresses == ("10.0.0.6", "fd00::6")
    assert fit_for(out / "node-1.pem") == {"serving", "kubelet serving"}
    assert f"--kubelet-certificate-authority={out}/kubelet-ca.pem\n" in ran.out


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_all_keys_are_of_the_kind_that_is_asked_for(kind: str, run: Run, out: Path) -> None:
    run("aggregator", "--out", out, "--key", kind)
    assert {inspected(out / f"aggregator{part}.pem").key for part in ("", "-ca")} == {kind}


def test_validity_is_as_asked_and_a_new_ca_outlives_what_it_signs(run: Run, out: Path) -> None:
    run("aggregator", "--out", out, "--days", "7300")
    for name in ("aggregator.pem", "aggregator-ca.pem"):
        assert abs(inspected(out / name).not_after_ns - NOW_NS - 7300 * DAY_NS) < DAY_NS
    run("serving", "--out", out)
    assert abs(inspected(out / "metrics-server.pem").not_after_ns - NOW_NS - 365 * DAY_NS) < DAY_NS
    assert abs(inspected(out / "metrics-server-ca.pem").not_after_ns - NOW_NS - 3650 * DAY_NS) < DAY_NS


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:p256"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_ca_that_is_there_signs_and_no_other_is_made(
    kind: str, command: tuple[str, ...], run: Run, out: Path, tmp_path: Path
) -> None:
    ca = make_ca("theirs", NOW_NS, key_kind="rsa:2048" if kind == "rsa:2048" else "ec:p256")
    ran = run(*command, "--out", out, *saved(tmp_path, ca))
    assert ran.status == 0
    assert not [name for name in contents(out) if "-ca" in name]
    assert {inspected(out / name).issuer for name in contents(out) if "-key" not in name} == {"CN=theirs"}
    if command[0] != "serving":  # whose script has it in a caBundle
        assert f"={tmp_path}/their.crt\n" in ran.out


def test_a_ca_that_ends_first_is_warned_of(run: Run, out: Path, tmp_path: Path) -> None:
    ran = run("aggregator", "--out", out, *saved(tmp_path, make_ca("short", NOW_NS, days=30)))
    assert ran.status == 0
    assert "Warning: the CA ends in 29 days, before what it signed now" in ran.err


def test_what_is_there_stays_and_the_way_on_is_named(run: Run, out: Path) -> None:
    run("aggregator", "--out", out)
    before = contents(out)
    ran = run("aggregator", "--out", out)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert f"{out}/aggregator.pem" in ran.err
    assert "are there already, and nothing was written: add --force" in ran.err
    assert contents(out) == before


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_the_refusal_names_a_command_that_renews_under_the_same_ca(
    command: tuple[str, ...], run: Run, out: Path
) -> None:
    run(*command, "--out", out)
    before = contents(out)
    (renewal,) = re.findall(r"`pymetrics-server certs ([^`]*)`", run(*command, "--out", out).err)
    assert run(*shlex.split(renewal)).status == 0
    after = contents(out)
    assert after.keys() == before.keys()
    for name in before:
        assert (after[name] == before[name]) is ("-ca" in name)


def test_force_makes_all_anew(run: Run, out: Path) -> None:
    run("aggregator", "--out", out)
    before = contents(out)
    assert run("aggregator", "--out", out, "--force").status == 0
    after = contents(out)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def test_a_ca_never_replaces_itself(run: Run, out: Path) -> None:
    run("aggregator", "--out", out, "--name", "ca")
    own = ("--ca", out / "ca.pem", "--ca-key", out / "ca-key.pem")
    (out / "ca.pem").write_bytes((out / "ca-ca.pem").read_bytes())
    (out / "ca-key.pem").write_bytes((out / "ca-ca-key.pem").read_bytes())
    before = contents(out)
    ran = run("aggregator", "--out", out, "--name", "ca", *own, "--force")
    assert (ran.status, ran.out) == (2, "")
    assert "ca.pem is the CA that is to sign, and would be replaced: give another --name or --out" in ran.err
    assert contents(out) == before


OTHER_KEY = Pair(authority("a", NOW_NS).cert_pem, authority("b", NOW_NS).key_pem)


@pytest.mark.parametrize(
    ("ca", "sentence"),
    [
        (OTHER_KEY, "cannot sign: the key is not that of the CA's certificate"),
        (issue(make_ca("ca", NOW_NS), "leaf", NOW_NS), "not authorized to sign other certificates"),
        (authority("old", NOW_NS - 9 * DAY_NS), "expired or is not yet valid"),
        (Pair(b"", b""), "no PEM private key"),
        (
            certificate("serves", NOW_NS, ca=True, usages=[SERVER]),
            "not believed of a client: .*incompatible key usage",
        ),
    ],
)
def test_a_ca_that_nobody_would_believe_signs_nothing(
    ca: Pair, sentence: str, run: Run, out: Path, tmp_path: Path
) -> None:
    ran = run("aggregator", "--out", out, *saved(tmp_path, ca))
    assert (ran.status, ran.out) == (2, "")
    assert re.search(sentence, ran.err)
    assert "without --ca and --ca-key a new CA is made" in ran.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "the following arguments are required: COMMAND; see `pymetrics-server certs --help`"),
        (["aggregator"], "--out; see `pymetrics-server certs aggregator --help`"),
        (
            ["aggregator", "--out", "OUT", "--name", ""],
            "--name: must not be empty: --requestheader-allowed-names",
        ),
        (["aggregator", "--out", "OUT", "--name", "../a"], "cannot be a file's and a certificate's name"),
        (["aggregator", "--out", "OUT", "--name", "a,b"], "cannot be a file's and a certificate's name"),
        (["aggregator", "--out", "OUT", "--name", "a" * 65], "cannot be a file's and a certificate's name"),
        (["aggregator", "--out", "OUT", "--key", "dsa"], "--key: invalid choice: 'dsa'"),
        (["aggregator", "--out", "OUT", "--days", "0"], "'0' is no number of days from 1 to 36500"),
        (["aggregator", "--out", "OUT", "--days", "1.5"], "is no number of days"),
        (["aggregator", "--out", "OUT", "--days", "99999999999"], "is no number of days"),
        (
            ["aggregator", "--out", "OUT", "--host", "https://a"],
            "is neither an IP address nor a DNS name; give it without",
        ),
        (["aggregator", "--out", "OUT", "--host", "10.0.0.1:443"], "is neither an IP address nor a DNS name"),
        (["aggregator", "--out", "OUT", "--host", "10.0.0.256"], "is neither an IP address nor a DNS name"),
        (["aggregator", "--out", "OUT", "--ca", "x"], "--ca and --ca-key go together: add --ca-key FILE"),
        (["aggregator", "--out", "OUT", "--ca-key", "x"], "--ca and --ca-key go together: add --ca FILE"),
        (
            ["aggregator", "--out", "OUT", "--ca", "/x", "--ca-key", "/x"],
            "cannot read /x: no such file or directory",
        ),
        (["aggregator", "--out", "/dev/null"], "cannot write /dev/null.*give another folder with --out"),
        (["serving", "--out", "OUT", "--name", "A"], "is no name of Kubernetes"),
        (["serving", "--out", "OUT", "--namespace", "a.b"], "is no name of Kubernetes"),
        (["kubelet-serving", "--out", "OUT"], "--node; see `pymetrics-server certs kubelet-serving --help`"),
        (["kubelet-serving", "--out", "OUT", "--node", "a"], "is no NAME=IP.*kubectl get nodes -o wide"),
        (["kubelet-serving", "--out", "OUT", "--node", "a="], "is no NAME=IP"),
        (["kubelet-serving", "--out", "OUT", "--node", "a=1.2.3.4,"], "'' is neither an IP address nor"),
        (["kubelet-serving", "--out", "OUT", "--node", f"{'a' * 53}=1.2.3.4"], "serverTLSBootstrap: true"),
        (
            ["kubelet-serving", "--out", "OUT", "--node", "a=1.2.3.4", "--node", "a=1.2.3.5"],
            "two of these would be the file a.pem",
        ),
        (
            ["kubelet-serving", "--out", "OUT", "--node", "a=1.2.3.4", "--node", "a-key=1.2.3.5"],
            "two of these would be the file a-key.pem",
        ),
        (["inspect"], "TARGET; see `pymetrics-server certs inspect --help`"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_next_thing_to_type(
    argv: list[str], sentence: str, run: Run, out: Path
) -> None:
    ran = run(*(out if word == "OUT" else word for word in argv))
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: ")
    assert ran.err.count("\n") == 1
    assert re.search(sentence, ran.err)
    assert not out.exists()


@pytest.mark.parametrize("command", ["", "aggregator", "serving", "kubelet-serving", "inspect"])
def test_each_command_has_a_help_of_its_own(command: str, run: Run) -> None:
    ran = run(*([command] if command else []), "--help")
    assert ran.status == 0
    assert "usage: pymetrics-server certs" in ran.out


def test_a_relative_folder_is_printed_whole(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        f"--proxy-client-cert-file={tmp_path}/here/aggregator.pem\n" in run("aggregator", "--out", "here").out
    )


def test_the_program_does_all_this_and_keeps_words_and_flags_apart(tmp_path: Path) -> None:
    """What is redirected into a file is what belongs there; keys are 0600 under the shell's umask."""
    done = subprocess.run(
        [sys.executable, "-m", "pymetrics_server", "certs", "aggregator", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        umask=0,
    )
    assert done.stdout.count("\n--") == 7
    assert all(line.startswith("Wrote ") for line in done.stderr.splitlines())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert {mode for name, mode in modes.items() if "-key" in name} == {0o600}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_words_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pymetrics_server", "certs", "aggregator", "--out", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
    assert done.stderr.endswith(b"Error: cannot write to standard output: no space left on device\n")
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1

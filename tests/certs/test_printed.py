"""What is printed to be pasted, word for word (UPDATE_GOLDEN=1 writes it anew), and that it is what it says it is."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymetrics_server.certs import aggregator, kubelets, serving
from pymetrics_server.certs.aggregator import FORMS, Aggregator, Form
from pymetrics_server.certs.authority import Request
from pymetrics_server.certs.kubelets import Kubelets, Node
from pymetrics_server.certs.serving import Serving
from pymetrics_server.errors import ConfigError

GOLDEN = Path(__file__).parent.parent / "golden" / "certs"
OUT = Path("/etc/kubernetes/aggregator")
REQUEST = Request(OUT, 365, "ec:p256")
NOW_NS = 1_790_000_000_000_000_000
FLAGS = {
    "requestheader-client-ca-file": "/etc/kubernetes/aggregator/aggregator-ca.pem",
    "requestheader-allowed-names": "aggregator",
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-username-headers": "X-Remote-User",
    "proxy-client-cert-file": "/etc/kubernetes/aggregator/aggregator.pem",
    "proxy-client-key-file": "/etc/kubernetes/aggregator/aggregator-key.pem",
}
ARGUMENTS = [f"--{name}={value}" for name, value in FLAGS.items()]


def check_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def of_aggregator(form: Form, ca_file: Path = OUT / "aggregator-ca.pem", out: Path = OUT) -> str:
    return aggregator.printed(Aggregator(Request(out, 365, "ec:p256"), form=form), ca_file)


@pytest.mark.parametrize("form", FORMS)
def test_the_flags_are_printed_for_where_they_are_to_go_golden(form: Form) -> None:
    check_golden(f"aggregator-{form}.txt", of_aggregator(form))


def test_plain_flags_are_flags_as_they_stand() -> None:
    lines = of_aggregator("flags").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ARGUMENTS


def test_a_folder_with_spaces_is_quoted_for_a_shell() -> None:
    text = of_aggregator("flags", out=Path("/a b"), ca_file=Path("/a b/ca.pem"))
    assert "--proxy-client-key-file=/a b/aggregator-key.pem" in shlex.split(text, comments=True)


def test_a_systemd_drop_in_is_one_assignment_of_all_flags() -> None:
    lines = [line for line in of_aggregator("systemd").splitlines() if not line.startswith("#")]
    section, assignment = " ".join(line.removesuffix("\\") for line in lines).split(" ", 1)
    assert section == "[Service]"
    name, _, value = assignment.removeprefix('Environment="').removesuffix('"').partition("=")
    assert (name, value.split()) == ("AGGREGATOR_FLAGS", ARGUMENTS)


def test_a_folder_that_systemd_would_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"systemd would split /a b or read it in its own way: give a folder"
    ):
        aggregator.make(Aggregator(Request(Path("/a b"), 1, "ec:p256"), form="systemd"), NOW_NS)
    assert "/100%%/aggregator.pem" in of_aggregator("systemd", out=Path("/100%"))


def of_static_pod(text: str) -> dict[str, Any]:
    spec = yaml.safe_load(text)["spec"]
    (container,) = spec["containers"]
    return {"container": container, "volumes": spec["volumes"]}


def test_a_static_pod_gets_the_folder_that_its_flags_name() -> None:
    pod = of_static_pod(of_aggregator("static-pod"))
    assert pod["container"]["name"] == "kube-apiserver"
    assert pod["container"]["command"] == ARGUMENTS
    (mount,) = pod["container"]["volumeMounts"]
    (volume,) = pod["volumes"]
    assert (mount["name"], mount["mountPath"], mount["readOnly"]) == (volume["name"], str(OUT), True)
    assert volume["hostPath"] == {"path": str(OUT), "type": "Directory"}


def test_a_ca_that_lies_elsewhere_is_mounted_too() -> None:
    pod = of_static_pod(of_aggregator("static-pod", ca_file=Path("/srv/pki/ca.pem")))
    assert [m["mountPath"] for m in pod["container"]["volumeMounts"]] == [str(OUT), "/srv/pki"]
    assert len({v["name"] for v in pod["volumes"]}) == 2
    assert "--requestheader-client-ca-file=/srv/pki/ca.pem" in pod["container"]["command"]


def test_kubeadm_is_given_its_own_configuration() -> None:
    document = yaml.safe_load(of_aggregator("kubeadm"))
    assert (document["apiVersion"], document["kind"]) == ("kubeadm.k8s.io/v1beta4", "ClusterConfiguration")
    assert document["apiServer"]["extraArgs"] == [{"name": n, "value": v} for n, v in FLAGS.items()]
    (volume,) = document["apiServer"]["extraVolumes"]
    assert volume["hostPath"] == volume["mountPath"] == str(OUT)


SERVING = Serving(Request(Path("/srv/metrics server"), 365, "ec:p256"), hosts=("10.0.0.1",))


def test_the_server_s_pair_comes_with_what_makes_it_proven_golden() -> None:
    check_golden(
        "serving.txt", serving.printed(SERVING, Path("/srv/ca.pem"), b"-----BEGIN CERTIFICATE-----\n")
    )


def test_what_is_printed_of_the_server_s_pair_is_a_shell_script(tmp_path: Path) -> None:
    """With a kubectl that writes down its arguments."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\nfor last; do :; done\n[ "$last" != - ] || cat\nfor a; do printf "%s\\n" "$a"; done\n'
    )
    kubectl.chmod(0o755)
    done = subprocess.run(
        ["sh", "-eu"],
        input=serving.printed(SERVING, Path("/srv/ca.pem"), b"PEM"),
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[:6] == ["-n", "kube-system", "create", "secret", "tls", "metrics-server-tls"]
    assert lines[6:8] == [
        "--cert=/srv/metrics server/metrics-server.pem",
        "--key=/srv/metrics server/metrics-server-key.pem",
    ]
    assert lines[8:16] == ["--dry-run=client", "-o", "yaml", "-n", "kube-system", "apply", "-f", "-"]
    patches = [line for line in lines if line.startswith("{")]
    assert [line for line in lines if ".metrics.k8s.io" in line] == [
        "v1beta1.metrics.k8s.io",
        "v1.metrics.k8s.io",
    ]
    assert list(map(json.loads, patches)) == 2 * [
        {"spec": {"insecureSkipTLSVerify": False, "caBundle": "UEVN"}}
    ]


def test_kubelets_are_told_the_better_way_first_golden() -> None:
    wanted = Kubelets(
        REQUEST, (Node("node-1", ("10.0.0.5",)), Node("node-2", ("10.0.0.6", "node-2.example")))
    )
    text = kubelets.printed(wanted, "/etc/kubernetes/aggregator/kubelet-ca.pem")
    check_golden("kubelet-serving.txt", text)
    assert text.index("serverTLSBootstrap") < text.index("tlsCertFile")

"""`pymetrics-server doctor` beside a real kube-apiserver: what is broken is named, and what it says is pasted into a shell."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pymetrics_server.clock import SystemClock
from pymetrics_server.doctor.finding import Report, State
from pymetrics_server.x509 import make_ca
from tests.cluster.real.conftest import Cluster, until_available
from tests.cluster.real.deployed import GROUP, MANIFESTS, VERSIONS
from tests.programs import direct_environment, until

_APISERVICES = tuple(f"{version}.{GROUP}" for version in VERSIONS)
_TRUST = ("configmap", "extension-apiserver-authentication", "-n", "kube-system")


class Patient:
    """A cluster, and the shell of whoever looks after it."""

    def __init__(self, cluster: Cluster) -> None:
        self.kubectl = cluster.kubectl
        self._kubeconfig = cluster.control_plane.admin_kubeconfig
        folder = Path(os.environ["KUBEBUILDER_ASSETS"]).resolve()
        self._environment = direct_environment(
            PATH=f"{folder}:{os.environ['PATH']}", KUBECONFIG=str(self._kubeconfig)
        )

    def seen(self) -> tuple[int, Report]:
        """With the exit status."""
        command = [sys.executable, "-m", "pymetrics_server", "doctor", f"--kubeconfig={self._kubeconfig}"]
        done = subprocess.run(
            [*command, "-o", "json"], env=self._environment, capture_output=True, check=False
        )
        assert done.stderr == b""
        return done.returncode, msgspec.json.decode(done.stdout, type=Report)

    def until_sick(self, ailment: str) -> str:
        """The cure."""
        status, report = until(ailment, lambda: self._seen_as(ailment), 60)
        assert (status, report.verdict.state) == (1, State.SICK)
        return report.verdict.cure

    def until_well(self) -> None:
        status, report = until("it is well", lambda: self._seen_as(""), 120)
        assert (status, report.verdict.state) == (0, State.HEALTHY)

    def paste(self, cure: str) -> None:
        """Where the manifests are."""
        subprocess.run(["sh", "-c", cure], cwd=MANIFESTS, env=self._environment, check=True)

    def _seen_as(self, ailment: str) -> tuple[int, Report] | None:
        status, report = self.seen()
        return (status, report) if report.verdict.id == ailment else None


@pytest.fixture(name="patient")
def _patient(spare: Cluster) -> Iterator[Patient]:
    spare.server.apply()
    for version in VERSIONS:
        until_available(spare.kubectl, version, "True", 90)
    patient = Patient(spare)
    patient.until_well()
    yield patient
    if granted := _granted(spare):
        spare.kubectl("delete", "clusterrole,clusterrolebinding", *granted)


def test_what_is_broken_is_named_and_what_is_pasted_mends_it(patient: Patient) -> None:
    breaks: dict[str, Callable[[], object]] = {
        "grant-missing": lambda: patient.kubectl("delete", "clusterrole", "system:metrics-server"),
        "apiservice-missing": lambda: patient.kubectl("delete", "apiservice", *_APISERVICES),
        "pod-missing": lambda: patient.kubectl(
            "-n", "kube-system", "scale", "deployment/metrics-server", "--replicas=0"
        ),
    }
    for ailment, how in breaks.items():
        how()
        patient.paste(patient.until_sick(ailment))
        patient.until_well()


def test_certificates_that_do_not_belong_together_are_named(patient: Patient) -> None:
    data = {"data": {"requestheader-allowed-names": '["aggregator"]'}}
    patient.kubectl("patch", *_TRUST, "--type=merge", "-p", json.dumps(data))
    assert patient.until_sick("apiservice-unauthorized").startswith(
        "pymetrics-server certs inspect --kubeconfig "
    )
    patient.kubectl("delete", *_TRUST)  # kube-apiserver writes it anew
    patient.until_well()

    bundle = base64.b64encode(make_ca("another", SystemClock().now_ns()).cert_pem).decode()
    spec = {"spec": {"insecureSkipTLSVerify": False, "caBundle": bundle}}
    for name in _APISERVICES:
        patient.kubectl("patch", "apiservice", name, "--type=merge", "-p", json.dumps(spec))
    assert patient.until_sick("apiservice-untrusted").startswith("pymetrics-server certs serving ")


def _granted(cluster: Cluster) -> list[str]:
    """What a cure made."""
    names = cluster.kubectl("get", "clusterroles", "-o", "name").split()
    return [name.partition("/")[2] for name in names if ":granted-" in name]

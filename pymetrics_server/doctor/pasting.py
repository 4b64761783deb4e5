"""Cures as they are pasted by whoever named a kubeconfig or a context: at the cluster that was looked at, and at no other.
Plain functions over text.
"""

import re

from msgspec.structs import replace

from pymetrics_server.doctor.finding import Report, typed

#: Where a command begins: at the beginning, behind another, in a sentence.
_BEGINS = r"(^|&& |`|: )"
_KUBECTL = re.compile(rf"{_BEGINS}kubectl ")
_DOCTOR = re.compile(rf"{_BEGINS}pymetrics-server doctor\b")
_INSPECT = re.compile(rf"{_BEGINS}pymetrics-server certs inspect (?=configmap:)")


def at_cluster(report: Report, kubeconfig: str, context: str) -> Report:
    """Each is "" where it was not named: kubectl then takes the same as the doctor did."""
    verdict = replace(report.verdict, cure=_at_cluster(report.verdict.cure, kubeconfig, context))
    findings = [
        replace(finding, cure=_at_cluster(finding.cure, kubeconfig, context)) for finding in report.findings
    ]
    return replace(report, verdict=verdict, findings=findings)


def _at_cluster(cure: str, kubeconfig: str, context: str) -> str:
    file = ("--kubeconfig", kubeconfig) if kubeconfig else ()
    if flags := typed(*file, *(("--context", context) if context else ())):
        cure = _KUBECTL.sub(lambda found: f"{found[1]}kubectl {flags} ", cure)
        cure = _DOCTOR.sub(lambda found: f"{found[1]}pymetrics-server doctor {flags}", cure)
    if file:
        cure = _INSPECT.sub(lambda found: f"{found[1]}pymetrics-server certs inspect {typed(*file)} ", cure)
    return cure

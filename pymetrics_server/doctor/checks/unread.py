"""What could not be read, and who could: the words for an answer that is no object. Plain functions."""

import os

import msgspec

from pymetrics_server.doctor.evidence import Answer, Evidence
from pymetrics_server.doctor.finding import Command, Finding, Stage, typed, unseen
from pymetrics_server.doctor.objects import Status
from pymetrics_server.meta.grants import NOBODY

_LONGEST = 400


def unread(evidence: Evidence, check_id: str, stage: Stage, what: str, answer: Answer) -> Finding:
    """`what` begins a sentence; the answer is none, a refusal, or not what was asked for."""
    why, cure = _why(evidence, answer)
    return unseen(check_id, stage, f"{what} {why}", cure)


def kubeconfig_flag(evidence: Evidence) -> Command:
    """With a space behind it. Several files are in KUBECONFIG, where kubectl finds them as well."""
    given = evidence.kubeconfig
    return Command(f"{typed('--kubeconfig', given)} " if given and os.pathsep not in given else "")


def _why(evidence: Evidence, answer: Answer) -> tuple[str, str]:
    """And what to type."""
    flag = kubeconfig_flag(evidence)
    again = f"kubectl {flag}cluster-info"
    if answer.failure == "timeout":
        return f"could not be looked at: {said(answer)}", "ask again with a longer --timeout"
    if not answer.status:
        return f"could not be looked at: {said(answer)}", again
    if answer.ok:
        return f"came as something else: {one_line(answer.body)}", again
    if answer.status == 401 or (answer.status == 403 and f'User "{NOBODY}"' in said(answer)):
        cure = f"give --kubeconfig a file whose user has a token or a certificate; `kubectl {flag}auth whoami` tells who it is"
        return f"may not be read: {said(answer)}", cure
    if answer.status == 403:
        cure = f"run the doctor as somebody who may read it; `kubectl {flag}auth can-i --list` tells what you may"
        return f"may not be read: {said(answer)}", cure
    return f"could not be read: kube-apiserver answered {answer.status}: {said(answer)}", again


def said(answer: Answer) -> str:
    """The words of a refusal or a failure, in one line."""
    if not answer.status:
        return one_line(answer.words) or answer.failure
    try:
        message = msgspec.json.decode(answer.body, type=Status).message
    except (msgspec.MsgspecError, ValueError):
        message = ""
    return one_line(message or answer.body) or f"status {answer.status}"


def one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."

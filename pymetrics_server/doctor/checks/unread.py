"""What could not be read, and who could: the words for an answer that is no object. Plain functions."""

import msgspec

from pymetrics_server.doctor.evidence import Answer
from pymetrics_server.doctor.finding import Finding, Stage, unseen
from pymetrics_server.doctor.objects import Status
from pymetrics_server.meta.grants import NOBODY

_LONGEST = 400
_AGAIN = "kubectl cluster-info"


def unread(check_id: str, stage: Stage, what: str, answer: Answer) -> Finding:
    """`what` begins a sentence; the answer is none, a refusal, or not what was asked for."""
    why, cure = _why(answer)
    return unseen(check_id, stage, f"{what} {why}", cure)


def _why(answer: Answer) -> tuple[str, str]:
    """And what to type."""
    if answer.failure == "timeout":
        return f"could not be looked at: {said(answer)}", "ask again with a longer --timeout"
    if not answer.status:
        return f"could not be looked at: {said(answer)}", _AGAIN
    if answer.ok:
        return f"came as something else: {one_line(answer.body)}", _AGAIN
    if answer.status == 401 or (answer.status == 403 and f'User "{NOBODY}"' in said(answer)):
        cure = "give --kubeconfig a file whose user has a token or a certificate; `kubectl auth whoami` tells who it is"
        return f"may not be read: {said(answer)}", cure
    if answer.status == 403:
        cure = "run the doctor as somebody who may read it; `kubectl auth can-i --list` tells what you may"
        return f"may not be read: {said(answer)}", cure
    return f"could not be read: kube-apiserver answered {answer.status}: {said(answer)}", _AGAIN


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

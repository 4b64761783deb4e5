"""What could not be read, and who could: the words for an answer that is no object. Plain functions."""

import re

import msgspec

from pymetrics_server.doctor.evidence import Answer
from pymetrics_server.doctor.finding import Finding, Stage, typed, unseen
from pymetrics_server.doctor.objects import Status
from pymetrics_server.meta.grants import NOBODY

_LONGEST = 400
_REFUSED = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?: in the namespace "(?P<namespace>[^"]+)")?'
)
_CREDENTIALS = (
    "give --kubeconfig a file whose user has a token or a certificate; `kubectl auth whoami` tells who it is"
)


def unread(check_id: str, stage: Stage, what: str, answer: Answer) -> Finding:
    """`what` begins a sentence; the answer is none, a refusal, or not what was asked for."""
    if answer.ok:
        return unseen(
            check_id, stage, f"{what} came as something else: {one_line(answer.body)}", _again(answer)
        )
    if not answer.status:
        told = (
            "was not asked for" if answer.failure == "unasked" else f"could not be asked for: {said(answer)}"
        )
        return unseen(check_id, stage, f"{what} {told}", _again(answer))
    if answer.status in (401, 403):
        return unseen(check_id, stage, f"{what} may not be read: {said(answer)}", _allowed(answer))
    return unseen(
        check_id, stage, f"{what}: kube-apiserver answered {answer.status}: {said(answer)}", _again(answer)
    )


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


def _allowed(answer: Answer) -> str:
    found = _REFUSED.search(said(answer))
    if answer.status == 401 or (found and found["user"] == NOBODY):
        return _CREDENTIALS
    if not found:
        return "run the doctor as somebody who may read it"
    resource, _, subresource = found["resource"].partition("/")
    words = ["kubectl", "auth", "can-i", found["verb"]]
    words.append(f"{resource}.{found['group']}" if found["group"] else resource)
    if subresource:
        words.append(f"--subresource={subresource}")
    if found["namespace"]:
        words += ["-n", found["namespace"]]
    return f"run the doctor as somebody who may: {typed(*words)}"


def _again(answer: Answer) -> str:
    return "ask again with a longer --timeout" if answer.failure == "timeout" else "kubectl cluster-info"

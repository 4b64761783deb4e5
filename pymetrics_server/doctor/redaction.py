"""What of an answer is never kept: secrets, and bulk that nobody reads. Plain functions.

Names stay, values go: which environment variables, HTTP headers and annotations there are is kept, what they hold is not.
"""

import re
from typing import Any

import msgspec

from pymetrics_server.doctor.evidence import Answer, Evidence

LEFT_OUT = "<left-out>"

_ENV_KEPT = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"})
_ANNOTATIONS_KEPT = "metrics.k8s.io/"
_ANNOTATION_DROPPED = "kubectl.kubernetes.io/last-applied-configuration"
_SECRET_FLAG = re.compile(r"--?[\w-]{0,64}(?:token|password|passwd|secret|api-?key)", re.I)

#: Spares nearly every text the patterns below.
_WORTH_A_LOOK = re.compile(r"bearer|authorization|eyJ|://|token|passw|secret|key", re.I)
_PATTERNS = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        LEFT_OUT,
    ),
    (
        re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer |basic )?)[^\s\"',]+", re.I),
        rf"\1{LEFT_OUT}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.I), rf"\1{LEFT_OUT}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), LEFT_OUT),
    (re.compile(r"(?<=://)[^\s/\"'@]*@(?:[^\s/\"'@]*@)*"), f"{LEFT_OUT}@"),
    (re.compile(r"((?:token|password|passwd|secret|api-?key)=\"?)[^\s\"',&]+", re.I), rf"\1{LEFT_OUT}"),
)
_USER_OF_PROXY = re.compile(r"^[^/,]*@")


def cleaned_text(text: str) -> str:
    if _WORTH_A_LOOK.search(text) is None:
        return text
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def cleaned(value: Any) -> Any:
    """Of decoded JSON, a copy."""
    if isinstance(value, str):
        return cleaned_text(value)
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {key: _cleaned_field(key, held) for key, held in value.items() if key != "managedFields"}
    return value


def cleaned_answer(answer: Answer) -> Answer:
    """What is cleaned already stays as it is."""
    try:
        body = msgspec.json.encode(cleaned(msgspec.json.decode(answer.body))).decode()
    except (msgspec.MsgspecError, ValueError):  # a log, and what is no JSON at all
        body = cleaned_text(answer.body)
    except RecursionError:
        body = ""
    return msgspec.structs.replace(answer, body=body, words=cleaned_text(answer.words))


def without_secrets(evidence: Evidence) -> Evidence:
    """What a bundle may hold."""
    replace = msgspec.structs.replace
    return replace(
        evidence,
        server=cleaned_text(evidence.server),
        subject=replace(evidence.subject, server_args=_cleaned_arguments(evidence.subject.server_args)),
        answers={asked: cleaned_answer(answer) for asked, answer in evidence.answers.items()},
        grants=[replace(grant, reason=cleaned_text(grant.reason)) for grant in evidence.grants],
        probes=[replace(probe, detail=cleaned_text(probe.detail)) for probe in evidence.probes],
    )


def _cleaned_field(key: str, held: Any) -> Any:
    if key == "annotations" and isinstance(held, dict):
        return {
            name: cleaned(text) if name.startswith(_ANNOTATIONS_KEPT) else LEFT_OUT
            for name, text in held.items()
            if name != _ANNOTATION_DROPPED
        }
    if key in ("env", "httpHeaders") and isinstance(held, list):
        return [_cleaned_variable(item) if isinstance(item, dict) else LEFT_OUT for item in held]
    if key in ("args", "command") and isinstance(held, list):
        return _cleaned_arguments(held)
    return cleaned(held)


def _cleaned_variable(variable: dict[str, Any]) -> dict[str, Any]:
    kept = {key: cleaned(held) for key, held in variable.items() if key != "value"}
    if "value" in variable:
        is_proxy = str(variable.get("name")).upper() in _ENV_KEPT
        kept["value"] = _without_user(str(variable["value"])) if is_proxy else LEFT_OUT
    return kept


def _without_user(proxy: str) -> str:
    """Of a proxy's URL, which may be without a scheme."""
    return _USER_OF_PROXY.sub(f"{LEFT_OUT}@", cleaned_text(proxy))


def _cleaned_arguments(arguments: Any) -> list[Any]:
    """A flag's value may be the argument behind it."""
    kept: list[Any] = []
    flag = ""
    for argument in arguments:
        is_secret = bool(_SECRET_FLAG.fullmatch(flag)) and not str(argument).startswith("-")
        kept.append(LEFT_OUT if is_secret else cleaned(argument))
        flag = str(argument)
    return kept

"""What the server says itself of its scrapes: pymetrics-server's log and readiness, and metrics-server's log of any
version, for it may be that one which is looked at. Plain functions over text.
"""

import json
import re
from collections.abc import Iterator, Mapping

import msgspec

from pymetrics_server.errors import FailureClass

CLASSES = {failure.label: failure for failure in FailureClass}

_FAILED = ("Failed to scrape node", "Node still fails")
_RECOVERED = "Node answers again"
_CLIENT_REFUSED = "A client's certificate was refused in the TLS handshake"
_REQUEST_REFUSED = "Refused a request"
_OF_A_CERTIFICATE = re.compile(r"Unable to authenticate the request: \[(x509: .*)\]")
_VALUE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
_MESSAGE = re.compile(r'^[IWEF][0-9]{4} [^\]]*\] ("(?:[^"\\]|\\.)*")')
#: metrics-server before 0.5 tells a whole round in one line.
_ROUND = "unable to fully collect metrics: "
_OF_A_ROUND = re.compile(r"from source kubelet_summary:(\S+): (.*?)(?=, unable to fully scrape|\]?$)")
_WHY_NOT_READY = re.compile(r"no metrics to serve: (\w+) at ([0-9]+) of ([0-9]+) nodes")

#: In Go's words, the more telling first: a name that is looked up may time out, too.
_GO_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), failure)
    for words, failure in (
        (
            r"\blookup \S+.*(no such host|i/o timeout|server misbehaving|refused)|no such host",
            FailureClass.DNS,
        ),
        (r"no address matched types|no address found", FailureClass.NO_ADDRESS),
        (
            r"doesn't contain any IP SANs|certificate is (not )?valid for|not valid for any names|legacy Common Name",
            FailureClass.TLS_NAME_MISMATCH,
        ),
        (
            r"certificate signed by unknown authority|self[- ]signed certificate",
            FailureClass.TLS_UNKNOWN_ISSUER,
        ),
        (r"certificate has expired or is not yet valid", FailureClass.TLS_EXPIRED),
        (r"tls: internal error", FailureClass.TLS_ALERT_INTERNAL),
        (r"connection refused", FailureClass.REFUSED),
        (r"no route to host|network is unreachable|host is down", FailureClass.UNREACHABLE),
        (r"too many open files", FailureClass.LOCAL_LIMIT),
        (r"dial tcp.*i/o timeout|connection timed out", FailureClass.CONNECT_TIMEOUT),
        (r"deadline exceeded|Client\.Timeout|i/o timeout|handshake timeout", FailureClass.SLOW_RESPONSE),
        (r"\b401 Unauthorized", FailureClass.UNAUTHENTICATED),
        (r"\b403 Forbidden", FailureClass.FORBIDDEN),
        (r"\b40[45] [MN]", FailureClass.NOT_FOUND),
        (r"\b50[0-9] [A-Z]", FailureClass.SERVER_ERROR),
        (r"x509: |tls: ", FailureClass.TLS_OTHER),
        (r"connection reset|broken pipe|\bEOF\b", FailureClass.DISCONNECTED),
    )
)


class Said(msgspec.Struct, frozen=True):
    node: str
    failure: FailureClass
    words: str


class NotReady(msgspec.Struct, frozen=True):
    failure: FailureClass
    failing: int
    nodes: int


def failing_nodes(log: str) -> Mapping[str, Said]:
    """By the node's name, the last that the log has of it; a node that answers again is not in it."""
    found: dict[str, Said] = {}
    for line in log.splitlines():
        if _ROUND in line:
            found = {}
            for node, words in _OF_A_ROUND.findall(line):
                if (failure := class_of(words)) is not None:
                    found[node] = Said(node, failure, words)
            continue
        message, values = _entry(line)
        node = values.get("node", "")
        if message == _RECOVERED:
            found.pop(node, None)
        elif message.startswith(_FAILED) and node:
            words = values.get("err", "")
            failure = CLASSES.get(values.get("failure", "")) or class_of(words)
            if failure is not None:
                found[node] = Said(node, failure, words.removeprefix(f"{failure.label}: "))
    return found


def why_not_ready(readyz: str) -> NotReady | None:
    found = _WHY_NOT_READY.search(readyz)
    if found is None or (failure := CLASSES.get(found[1])) is None:
        return None
    return NotReady(failure, int(found[2]), int(found[3]))


def client_refused(log: str) -> str:
    """Why the server believes no certificate that it was shown: the last that the log has of it; "" where it has nothing.
    Whoever showed it only sees that the connection ends."""
    for line in reversed(log.splitlines()):
        message, values = _entry(line)
        reason = values.get("reason", "")
        if message.startswith(_CLIENT_REFUSED):
            return reason or message
        if message == _REQUEST_REFUSED and (found := _OF_A_CERTIFICATE.search(reason)):
            return f"{values['certificate']}: {found[1]}" if values.get("certificate") else found[1]
    return ""


def class_of(words: str) -> FailureClass | None:
    """Of an error's text: ours begins with its label. None where it is not known."""
    label = words.partition(":")[0]
    if label in CLASSES:
        return CLASSES[label]
    return next((failure for known, failure in _GO_WORDS if known.search(words)), None)


def _entry(line: str) -> tuple[str, Mapping[str, str]]:
    """(the sentence, its values) of a line as text or as JSON; ("", {}) of any other."""
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return "", {}
        return str(entry.get("msg", "")), {key: str(value) for key, value in entry.items()}
    head = _MESSAGE.match(line)
    if head is None:
        return "", {}
    return _unquoted(head[1]), dict(_values(line[head.end() :]))


def _values(text: str) -> Iterator[tuple[str, str]]:
    for key, quoted in _VALUE.findall(text):
        yield key, _unquoted(quoted)


def _unquoted(quoted: str) -> str:
    """Go quotes as JSON does, but for what cannot be printed."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1].replace('\\"', '"')

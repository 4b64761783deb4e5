"""metav1.Status, which is how Kubernetes says no, and JSON as Go writes it.

Codes, reasons, details and texts are those that metrics-server's clients see; each constructor is one of
its answers. Where details is `{}` kube-apiserver's router spoke, where it is absent a handler did.
"""

from collections.abc import Sequence

import msgspec

from pymetrics_server.meta.identity import Attributes, UserInfo
from pymetrics_server.meta.quote import go_quote

METRICS_GROUP = "metrics.k8s.io"


class Cause(msgspec.Struct, frozen=True):
    reason: str
    message: str
    field: str


class Details(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Fields in the order in which they are written; those left at their default are not."""

    name: str = ""
    group: str = ""
    kind: str = ""
    causes: tuple[Cause, ...] = ()


class StatusError(Exception):
    """An answer that is a failure. `details` None leaves the key out; `Details()` writes `{}`."""

    def __init__(
        self, code: int, reason: str, message: str, details: Details | None = None, *, typed: bool = True
    ) -> None:
        message = message.encode("utf-8", "replace").decode()
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.typed = typed  # False: without kind and apiVersion, as the timeout filter writes it

    def to_builtin(self) -> dict[str, object]:
        """Keys in the order in which Kubernetes writes them."""
        head: dict[str, object] = {"kind": "Status", "apiVersion": "v1"} if self.typed else {}
        value: dict[str, object] = {
            **head,
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            value["details"] = msgspec.to_builtins(self.details)
        value["code"] = self.code
        return value

    def to_json(self) -> bytes:
        return go_json(self.to_builtin())


_PLAIN = bytes(byte for byte in range(128) if byte not in b"<>&")


def go_json(value: object) -> bytes:
    """Compact, `<`, `>`, `&`, U+2028 and U+2029 escaped, a newline at the end."""
    return go_escaped(msgspec.json.encode(value)) + b"\n"


def go_json_pretty(value: object) -> bytes:
    """Indented by two spaces, escaped as go_json does, no newline at the end."""
    return go_escaped(msgspec.json.format(msgspec.json.encode(value), indent=2))


def go_escaped(encoded: bytes) -> bytes:
    """JSON as Go writes it. Outside of strings JSON has none of what is escaped, so that replacing bytes is safe."""
    if not encoded.translate(None, _PLAIN):  # nearly always
        return encoded
    return (
        encoded.replace(b"&", b"\\u0026")
        .replace(b"<", b"\\u003c")
        .replace(b">", b"\\u003e")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def not_found_object(kind: str, name: str) -> StatusError:
    """The Node (`node`) or Pod (`pods`) itself is unknown."""
    return StatusError(
        404, "NotFound", f"{kind} {go_quote(name)} not found", Details(name=_valid(name), kind=kind)
    )


def not_found_metrics(kind: str, name: str) -> StatusError:
    """The object is known, its metrics are not: kind `nodemetrics`, or `podmetrics` with name `NS/NAME`."""
    return StatusError(
        404,
        "NotFound",
        f"{kind}.{METRICS_GROUP} {go_quote(name)} not found",
        Details(name=_valid(name), group=METRICS_GROUP, kind=kind),
    )


def not_found_generic() -> StatusError:
    """No such resource, subresource or version below the group."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", Details())


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def method_not_allowed() -> StatusError:
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, Details())


def watch_not_supported(resource: str) -> StatusError:
    return StatusError(
        405,
        "MethodNotAllowed",
        f"watch is not supported on resources of kind {go_quote(f'{resource}.{METRICS_GROUP}')}",
        Details(group=METRICS_GROUP, kind=resource),
    )


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(attributes: Attributes, user: UserInfo, reason: str = "") -> StatusError:
    """`reason` is the authorizer's own, appended where there is one."""
    what = _forbidden_what(attributes, user.name)
    # Kubernetes sees to it that no message looks like HTML to a browser that ignores its content type.
    what = what.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if reason:
        what = f"{what}: {reason}"
    if not attributes.is_resource_request:
        return StatusError(403, "Forbidden", f"forbidden: {what}", Details())
    qualified = attributes.resource + (f".{attributes.group}" if attributes.group else "")
    if attributes.name:
        qualified = f"{qualified} {go_quote(attributes.name)}"
    details = Details(name=_valid(attributes.name), group=attributes.group, kind=attributes.resource)
    return StatusError(403, "Forbidden", f"{qualified} is forbidden: {what}", details)


def not_acceptable(media_types: Sequence[str]) -> StatusError:
    """The resource has none of the representations that Accept asks for."""
    message = f"only the following media types are accepted: {', '.join(media_types)}"
    return StatusError(406, "NotAcceptable", message)


def not_acceptable_route(media_types: Sequence[str]) -> StatusError:
    """The route produces none of the types that Accept names."""
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(media_types)}"
    return StatusError(406, "NotAcceptable", message, Details())


def not_acceptable_object(message: str) -> StatusError:
    """The representation exists, but not of this object."""
    return StatusError(406, "NotAcceptable", message)


def invalid_list_options(causes: Sequence[Cause]) -> StatusError:
    """422; `causes` in the order in which they were found, at least one."""
    found = [f"{cause.field}: {cause.message}" for cause in causes]
    what = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
    return StatusError(
        422,
        "Invalid",
        f'ListOptions.meta.k8s.io "" is invalid: {what}',
        Details(group="meta.k8s.io", kind="ListOptions", causes=tuple(causes)),
    )


def request_timeout() -> StatusError:
    message = "Timeout: request did not complete within the allotted timeout"
    return StatusError(504, "Timeout", message, Details(), typed=False)


def internal_error(message: str) -> StatusError:
    return StatusError(500, "InternalError", message)


def _forbidden_what(attributes: Attributes, user_name: str) -> str:
    who = f"User {go_quote(user_name)} cannot {attributes.verb}"
    if not attributes.is_resource_request:
        return f"{who} path {go_quote(attributes.path)}"
    resource = attributes.resource + (f"/{attributes.subresource}" if attributes.subresource else "")
    where = (
        f"in the namespace {go_quote(attributes.namespace)}"
        if attributes.namespace
        else "at the cluster scope"
    )
    return f"{who} resource {go_quote(resource)} in API group {go_quote(attributes.group)} {where}"


def _valid(text: str) -> str:
    """Without the lone surrogates that stand for bytes that are not UTF-8, and that JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()

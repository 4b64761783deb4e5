"""The pages that Kubernetes' components have for those who debug them: /statusz and /flagz.

Text unless Accept asks, with `as`, `g` and `v` all three, for the object of config.k8s.io. In text, what
stands between key and value is drawn anew, as Kubernetes does it, so that nobody parses it.
Kubernetes: https://kubernetes.io/docs/reference/instrumentation/zpages/
"""

from collections.abc import Mapping

import msgspec

from pymetrics_server.api.negotiation import JSON, YAML, Representation, clauses, with_pretty
from pymetrics_server.api.reply import Reply, json_reply
from pymetrics_server.api.request import Query
from pymetrics_server.api.yaml import to_yaml
from pymetrics_server.meta.status import not_acceptable

TEXT_PLAIN = "text/plain"
DELIMITERS = (":", ": ", "=", " ")

_GROUP = "config.k8s.io"
_VERSIONS = ("v1alpha1", "v1beta1")
_TRANSFORMING = ("as", "g", "v")


def negotiate_page(kind: str, accept: str, query: Query, user_agent: str) -> Representation:
    """`kind` is Statusz or Flagz. TEXT_PLAIN, or JSON or YAML of `version`. Raises StatusError 406."""
    if not accept.strip():
        return Representation(TEXT_PLAIN)
    for clause in clauses(accept):
        asked = tuple(clause.parameters.get(key, "") for key in _TRANSFORMING)
        for media_type in (JSON, YAML, TEXT_PLAIN):
            if not clause.takes(media_type):
                continue
            if media_type == TEXT_PLAIN:
                if asked == ("", "", ""):
                    return Representation(TEXT_PLAIN)
            elif asked in [(kind, _GROUP, version) for version in _VERSIONS]:
                found = Representation(media_type, kind, asked[2])
                return with_pretty(found, query, user_agent)
    raise not_acceptable((JSON, YAML, TEXT_PLAIN))


def object_reply(component: str, values: Mapping[str, object], representation: Representation) -> Reply:
    """`values` stand behind kind, apiVersion and metadata."""
    document = {
        "kind": representation.transform,
        "apiVersion": f"{_GROUP}/{representation.version}",
        "metadata": {"name": component},
        **values,
    }
    if representation.media_type == YAML:
        reply = Reply([to_yaml(msgspec.json.encode(document))])
    else:
        reply = json_reply(document, representation.pretty)
    kind = representation.transform
    asked = f"{representation.media_type};g={_GROUP};v={representation.version};as={kind}"
    old = f'299 - "This version of the {kind.lower()} endpoint is deprecated. Please use a newer version."'
    headers = {"Warning": old} if representation.version == _VERSIONS[0] else {}
    return msgspec.structs.replace(reply, content_type=asked, headers=headers)


def page_head(component: str, page: str) -> str:
    return (
        f"\n{component} {page}\n"
        "Warning: this page is for people who debug; what it looks like may change at any time, and no "
        "program should read it.\n\n"
    )

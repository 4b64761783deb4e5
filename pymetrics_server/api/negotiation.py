"""Which representation answers an Accept header, in Kubernetes' two stages.

First the route: some element, stripped of its parameters, must be a type that is produced, or `*/*`. Then the
object: alternatives by q, each with the transformation (`as`, `g`, `v`) that it asks for.
"""

from collections.abc import Sequence

import msgspec

from pymetrics_server.api.request import Query
from pymetrics_server.meta.status import not_acceptable, not_acceptable_route

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

#: What resources and discovery are encoded as, the default first.
PRODUCED = (JSON, YAML, PROTOBUF)

_STREAMED = tuple(f"{media_type};stream=watch" for media_type in (JSON, PROTOBUF))
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")


class Transform(msgspec.Struct, frozen=True):
    """Another kind that a route can answer with, as `as`, `g` and `v` ask for it."""

    kind: str
    group: str
    versions: tuple[str, ...]
    media_types: tuple[str, ...] = PRODUCED


_META = ("meta.k8s.io", ("v1", "v1beta1"))
METRICS_TRANSFORMS = (
    Transform("Table", *_META, (JSON, YAML)),
    Transform("PartialObjectMetadata", *_META),
    Transform("PartialObjectMetadataList", *_META),
)
DISCOVERY_TRANSFORMS = (Transform("APIGroupDiscoveryList", "apidiscovery.k8s.io", ("v2", "v2beta1")),)


class Representation(msgspec.Struct, frozen=True):
    media_type: str = JSON
    transform: str = ""  # the kind of a Transform, or none
    version: str = ""  # of the transform
    pretty: bool = False


class Clause(msgspec.Struct, frozen=True):
    media_type: str
    parameters: dict[str, str]
    q: float


def negotiate(
    accept: str,
    query: Query,
    user_agent: str,
    *,
    streamed: bool = False,
    transforms: Sequence[Transform] = (),
) -> Representation:
    """Raises StatusError 406. `streamed`: the route also names its watch types."""
    check_route(accept, (*PRODUCED, *_STREAMED) if streamed else PRODUCED)
    found = _match(accept, transforms)
    if found is None:
        raise not_acceptable(PRODUCED)
    return with_pretty(found, accept, query, user_agent)


def check_route(accept: str, media_types: tuple[str, ...]) -> None:
    """The first stage. Raises StatusError 406, which names `media_types`."""
    if accept.strip() and not any(
        _stripped(element) in (*media_types, "*/*") for element in accept.split(",")
    ):
        raise not_acceptable_route(media_types)


def for_error(accept: str, query: Query, user_agent: str) -> Representation:
    """Failures are untransformed; where even that is not acceptable they are indented JSON."""
    found = _match(accept)
    if found is None:
        return Representation(pretty=True)
    return with_pretty(found, accept, query, user_agent)


def _match(accept: str, transforms: Sequence[Transform] = ()) -> Representation | None:
    if not accept.strip():
        return Representation()
    for clause in clauses(accept):
        for media_type in PRODUCED:
            main = media_type.partition("/")[0]
            if clause.media_type not in (media_type, f"{main}/*", "*/*"):
                continue
            parameters = clause.parameters
            if not {"as", "g", "v"} & parameters.keys():
                return Representation(media_type)
            for transform in transforms:
                version = parameters.get("v", "")
                if (
                    parameters.get("as") == transform.kind
                    and parameters.get("g") == transform.group
                    and version in transform.versions
                    and media_type in transform.media_types
                ):
                    return Representation(media_type, transform.kind, version)
    return None


def clauses(accept: str) -> list[Clause]:
    """By q, wildcards last among equals, else in the order given."""
    found: list[Clause] = []
    for element in accept.split(","):
        media_type, *options = (part.strip() for part in element.split(";"))
        if not media_type:
            continue
        parameters = {
            key.strip(): value.strip() for key, _, value in (option.partition("=") for option in options)
        }
        found.append(Clause(media_type, parameters, _quality(parameters.pop("q", "1"))))
    return sorted(
        found, key=lambda clause: (-clause.q, clause.media_type == "*/*", clause.media_type.endswith("/*"))
    )


def _quality(text: str) -> float:
    try:
        q = float(text)
    except ValueError:
        return 1.0
    return q if 0 <= q <= 1 else 1.0


def with_pretty(found: Representation, accept: str, query: Query, user_agent: str) -> Representation:
    asked = "pretty" in query
    pretty = query["pretty"][0] in _TRUE if asked else user_agent.startswith(_PRETTY_AGENTS)
    pretty = pretty or any(
        option.strip() in ("pretty=1", "pretty=true")
        for element in accept.split(",")
        for option in element.split(";")[1:]
    )
    return msgspec.structs.replace(found, pretty=True) if pretty else found


def _stripped(element: str) -> str:
    return element.partition(";")[0].strip()

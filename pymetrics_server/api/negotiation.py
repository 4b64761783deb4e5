"""Which representation answers an Accept header, in Kubernetes' two stages.

First the route: some element, stripped of its parameters, must be a type that is produced, or `*/*`. Then the
object: alternatives by q, each with the transformation (`as`, `g`, `v`) that it asks for.
"""

from collections.abc import Sequence

import msgspec

from pymetrics_server.api.request import Query, first
from pymetrics_server.meta.status import not_acceptable, not_acceptable_route

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

#: What resources and discovery are encoded as, the default first.
PRODUCED = (JSON, YAML, PROTOBUF)

_STREAMED = tuple(f"{media_type};stream=watch" for media_type in (JSON, PROTOBUF))
#: So many clauses Go sorts by insertion, which its contradictory order makes visible.
_FEW = 12
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
    """One element of an Accept header; parameters without a value are left out."""

    main: str
    sub: str
    q: float
    parameters: dict[str, str]

    def takes(self, media_type: str) -> bool:
        main, _, sub = media_type.partition("/")
        if self.main == "*":
            return self.sub == "*"
        return self.main == main and self.sub in (sub, "*")


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
    found = _match(accept, transforms, transformed=transforms is DISCOVERY_TRANSFORMS)
    if found is None:
        found = _match(accept)
    if found is None:
        raise not_acceptable(PRODUCED)
    return with_pretty(found, query, user_agent)


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
    return with_pretty(found, query, user_agent)


def _match(
    accept: str, transforms: Sequence[Transform] = (), *, transformed: bool = False
) -> Representation | None:
    """`transformed`: aggregated discovery goes before everything else that is asked for."""
    if not accept:
        return None if transformed else Representation()
    for clause in clauses(accept):
        for media_type in PRODUCED:
            found = _taken(clause, media_type, transforms) if clause.takes(media_type) else None
            if found is not None and (found.transform or not transformed):
                return found
    return None


def _taken(clause: Clause, media_type: str, transforms: Sequence[Transform]) -> Representation | None:
    parameters = clause.parameters
    if parameters.get("stream", "watch") != "watch" or ("stream" in parameters and media_type == YAML):
        return None
    if "sv" in parameters and not (transforms is METRICS_TRANSFORMS and parameters["sv"] == "v1"):
        return None
    pretty = parameters.get("pretty") == "1"
    if not {"as", "g", "v"} & parameters.keys():
        return Representation(media_type, pretty=pretty)
    version = parameters.get("v", "")
    for transform in transforms:
        if (
            parameters.get("as") == transform.kind
            and parameters.get("g") == transform.group
            and version in transform.versions
            and media_type in transform.media_types
        ):
            return Representation(media_type, transform.kind, version, pretty)
    return None


def clauses(accept: str) -> list[Clause]:
    """In the order of preference.

    As Go's goautoneg sorts, of which Kubernetes' clients see the result: a type before `*/*` and a subtype
    before `*`, whatever their q; else the higher q, else the order given.
    """
    found: list[Clause] = []
    for element in accept.split(","):
        media_type, *options = element.strip(" ").split(";")
        main, slash, sub = (part.strip(" ") for part in media_type.partition("/"))
        if not slash and main == "*":
            sub = "*"
        elif not sub or "/" in sub:
            continue
        q, parameters = 1.0, {}
        for option in options:
            key, _, value = option.partition("=")
            if not value or "=" in value:
                continue
            if key.strip(" ") == "q":
                q = _quality(value)
            else:
                parameters[key.strip(" ")] = value.strip(" ")
        found.append(Clause(main, sub, q, parameters))
    if len(found) > _FEW:
        return sorted(found, key=lambda clause: (clause.main == "*", clause.sub == "*", -clause.q))
    for end in range(1, len(found)):
        at = end
        while at and _before(found[at], found[at - 1]):
            found[at - 1], found[at] = found[at], found[at - 1]
            at -= 1
    return found


def _before(one: Clause, other: Clause) -> bool:
    return one.q > other.q or (one.main != "*" == other.main) or (one.sub != "*" == other.sub)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def with_pretty(found: Representation, query: Query, user_agent: str) -> Representation:
    asked = first(query, "pretty")
    if asked in _TRUE if asked else user_agent.startswith(_PRETTY_AGENTS):
        return msgspec.structs.replace(found, pretty=True)
    return found


def _stripped(element: str) -> str:
    return element.partition(";")[0].strip()

"""Which representation answers an Accept header, in Kubernetes' two stages.

First the route: some element, stripped of its parameters, must be a type that is produced, or `*/*`. Then the
object: alternatives by q, each with the transformation (`as`, `g`, `v`) that it asks for.
"""

from functools import lru_cache

import msgspec

from pymetrics_server.api.request import Query, first
from pymetrics_server.meta.status import not_acceptable, not_acceptable_route

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

#: What resources and discovery are encoded as, the default first.
PRODUCED = (JSON, YAML, PROTOBUF)

STREAMED = tuple(f"{media_type};stream=watch" for media_type in (JSON, PROTOBUF))
#: So many clauses Go sorts by insertion, which its contradictory order makes visible.
_FEW = 12
#: What is behind it is not read: 10 times what any client sends.
_LONGEST = 8192
_LONGEST_KEPT = 512  # characters: clients are few, and each sends the same
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")


class Transform(msgspec.Struct, frozen=True):
    """Another kind that a route can answer with, as `as`, `g` and `v` ask for it."""

    kind: str
    group: str
    versions: tuple[str, ...]
    media_types: tuple[str, ...] = PRODUCED


_META = ("meta.k8s.io", ("v1", "v1beta1"))


class Offer(msgspec.Struct, frozen=True):
    """What a route has besides its own kind."""

    transforms: tuple[Transform, ...] = ()
    first: bool = False  # whatever transform is asked for goes before everything else
    server_version: str = ""  # that may be asked for as `sv`
    streamed: bool = False  # its refusals name the types of watches, too


class Representation(msgspec.Struct, frozen=True):
    media_type: str = JSON
    transform: str = ""  # the kind of a Transform, or none
    version: str = ""  # of the transform
    pretty: bool = False


_METRICS = (
    Transform("Table", *_META, (JSON, YAML)),
    Transform("PartialObjectMetadata", *_META),
    Transform("PartialObjectMetadataList", *_META),
)
PLAIN = Offer()
OBJECT = Offer(_METRICS, server_version="v1")
LIST = Offer(_METRICS, server_version="v1", streamed=True)
DISCOVERY = Offer((Transform("APIGroupDiscoveryList", "apidiscovery.k8s.io", ("v2", "v2beta1")),), first=True)


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


def negotiate(accept: str, query: Query, user_agent: str, offer: Offer = PLAIN) -> Representation:
    """Raises StatusError 406."""
    usual = len(accept) <= _LONGEST_KEPT
    found = _negotiated_before(accept, offer) if usual else _negotiated(accept, offer)
    return with_pretty(found, query, user_agent)


@lru_cache(maxsize=256)
def _negotiated_before(accept: str, offer: Offer) -> Representation:
    return _negotiated(accept, offer)


def _negotiated(accept: str, offer: Offer) -> Representation:
    check_route(accept, (*PRODUCED, *STREAMED) if offer.streamed else PRODUCED)
    found = _match(accept, offer) if offer.first else None
    if found is None or not found.transform:
        found = _match(accept, PLAIN if offer.first else offer)
    if found is None:
        raise not_acceptable(PRODUCED)
    return found


def check_route(accept: str, media_types: tuple[str, ...]) -> None:
    """The first stage. Raises StatusError 406, which names `media_types`."""
    if accept.strip() and not any(
        _stripped(element) in (*media_types, "*/*") for element in accept.split(",")
    ):
        raise not_acceptable_route(media_types)


def for_error(accept: str, query: Query, user_agent: str) -> Representation:
    """Failures are untransformed; where even that is not acceptable they are indented JSON."""
    found = _match(accept, PLAIN)
    if found is None:
        return Representation(pretty=True)
    return with_pretty(found, query, user_agent)


def _match(accept: str, offer: Offer) -> Representation | None:
    if not accept:
        return Representation()
    for clause in clauses(accept):
        for media_type in PRODUCED:
            found = _taken(clause, media_type, offer) if clause.takes(media_type) else None
            if found is not None and (found.transform or not offer.first):
                return found
    return None


def _taken(clause: Clause, media_type: str, offer: Offer) -> Representation | None:
    parameters = clause.parameters
    if parameters.get("stream", "watch") != "watch" or ("stream" in parameters and media_type == YAML):
        return None
    if parameters.get("sv", offer.server_version) != offer.server_version:
        return None
    pretty = parameters.get("pretty") == "1"
    if not {"as", "g", "v"} & parameters.keys():
        return Representation(media_type, pretty=pretty)
    version = parameters.get("v", "")
    for transform in offer.transforms:
        if (
            parameters.get("as") == transform.kind
            and parameters.get("g") == transform.group
            and version in transform.versions
            and media_type in transform.media_types
        ):
            return Representation(media_type, transform.kind, version, pretty)
    return None


def matches_etag(if_none_match: str, etag: str) -> bool:
    """Weakly, as If-None-Match compares."""
    listed = [candidate.strip() for candidate in if_none_match.split(",")]
    return "*" in listed or etag in (candidate.removeprefix("W/") for candidate in listed)


def clauses(accept: str) -> list[Clause]:
    """In the order of preference.

    As Go's goautoneg sorts, of which Kubernetes' clients see the result: a type before `*/*` and a subtype
    before `*`, whatever their q; else the higher q, else the order given.
    """
    found: list[Clause] = []
    for element in accept[:_LONGEST].split(","):
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

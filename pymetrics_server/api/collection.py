"""What metrics.py needs of nodes.py and pods.py: which entries a request finds, and the bytes of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pymetrics_server.api.encode import Template
from pymetrics_server.api.listoptions import ListOptions
from pymetrics_server.api.shelf import Entry, Listed, Shelf, Shown, Stamped
from pymetrics_server.meta.predicates import Matches, field_predicate, label_predicate
from pymetrics_server.meta.selectors import LabelSelector

O = TypeVar("O", bound=Listed)  # noqa: E741  as shelf.py has it
U = TypeVar("U", bound=Stamped)

#: Looked at in one turn of the loop.
AT_A_TIME = 256


class Collection(Protocol):
    """Nodes or pods; `mono_ns` is the monotonic instant at which usage is asked for. Every entry that is handed out
    has usage, and its bytes are encoded at most once per sample.
    """

    @property
    def kind(self) -> str: ...

    @property
    def resource(self) -> str: ...

    def get(self, namespace: str, name: str, mono_ns: int) -> Entry[Any, Any]:
        """Raises StatusError 404."""
        ...

    def select(
        self, namespace: str, options: ListOptions, mono_ns: int
    ) -> Iterator[Sequence[Entry[Any, Any]]]:
        """At least one step for each AT_A_TIME entries looked at, so that the reader can pause."""
        ...

    def template(self, entry: Entry[Any, Any]) -> Template: ...

    def json(self, entry: Entry[Any, Any], created_s: int) -> bytes:
        """The item of a list."""
        ...

    def protobuf(self, entry: Entry[Any, Any], created_s: int) -> bytes: ...


def selected(
    shelf: Shelf[O, U],
    shown: Shown[O, U],
    options: ListOptions,
    fields: Callable[[O], Mapping[str, str]],
    mono_ns: int,
) -> Iterator[Sequence[Entry[O, U]]]:
    """Of what is shown, what the selectors leave, as Collection.select has it."""
    entries, matches = _narrowed(shown, options.labels)
    fits = None if options.fields.empty else field_predicate(options.fields)
    for start in range(0, len(entries), AT_A_TIME):
        chunk = entries[start : start + AT_A_TIME]
        if matches is not None:
            chunk = [entry for entry in chunk if matches(entry.object.labels)]
        if fits is not None:
            chunk = [entry for entry in chunk if fits(fields(entry.object))]
        yield from shelf.portions(chunk, mono_ns)


def _narrowed(shown: Shown[O, U], labels: LabelSelector) -> tuple[Sequence[Entry[O, U]], Matches | None]:
    """What to look at, and how: an equality, which is all that an autoscaler sends, needs no further look."""
    if labels.empty:
        return shown.entries, None
    for requirement in labels.requirements:
        if requirement.operator in ("=", "==") or (
            requirement.operator == "in" and len(requirement.values) == 1
        ):
            found = shown.having(requirement.key, requirement.values[0])
            return found, None if len(labels.requirements) == 1 else label_predicate(labels)
    return shown.entries, label_predicate(labels)

"""Every target, and what it starts from."""

from tests.fuzz import strangers, wire
from tests.fuzz.kept import kept

TARGETS = {**strangers.TARGETS, **wire.TARGETS}
SEEDS = {name: [*seeds, *kept(name)] for name, seeds in {**strangers.SEEDS, **wire.SEEDS}.items()}

"""Every target, and what it starts from. Inputs that once failed stand in corpus/TARGET/, a file each."""

from pathlib import Path

from tests.fuzz import strangers, wire

_CORPUS = Path(__file__).parent / "corpus"

TARGETS = {**strangers.TARGETS, **wire.TARGETS}
SEEDS = {
    name: [*seeds, *(path.read_bytes() for path in sorted((_CORPUS / name).glob("*")))]
    for name, seeds in {**strangers.SEEDS, **wire.SEEDS}.items()
}

"""The original and ours given the same command lines: the same words and exit status but for what is listed."""

import os
from pathlib import Path

import pytest

from tests.parity.commandlines import (
    ON_PURPOSE,
    STARTS,
    Compared,
    Ending,
    compare,
    flag_differences,
    surprises,
)

PARITY_MD = Path(__file__).parents[2] / "docs" / "parity.md"
PEER = os.environ.get("PARITY_PEER", "")
needs_peer = pytest.mark.skipif(
    PEER in ("", "self"), reason="PARITY_PEER names no metrics-server binary to compare with"
)
REFUSED = Ending(2, "Error: unknown flag: --x")


@needs_peer
@pytest.mark.timeout(600)
def test_every_command_line_ends_as_the_originals_does_but_for_what_is_listed(tmp_path: Path) -> None:
    found = surprises(compare(PEER, tmp_path))
    assert not found, "\n".join(found)


@needs_peer
def test_every_flag_of_the_original_is_here_with_its_shorthand_type_and_default() -> None:
    assert flag_differences(PEER) == []


def test_every_difference_on_purpose_stands_in_the_document() -> None:
    text = " ".join(PARITY_MD.read_text().split())
    assert [difference.row for difference in ON_PURPOSE if difference.row not in text] == []


def test_what_the_original_refuses_and_ours_takes_is_never_on_purpose() -> None:
    typed = "--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA"
    assert Compared(typed, REFUSED, STARTS).row
    assert Compared(typed, STARTS, REFUSED).row is None


def test_a_row_that_explains_nothing_is_told() -> None:
    assert any(line.startswith("stale: ") for line in surprises([Compared("--x", REFUSED, REFUSED)]))

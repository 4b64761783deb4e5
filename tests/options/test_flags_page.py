import os
from pathlib import Path

from pymetrics_server.options.flags import OURS_ALONE, effective_flags
from tests.options.flags_page import flags_page

PAGE = Path(__file__).parents[2] / "docs" / "flags.md"


def test_the_page_of_flags_is_the_golden_one_that_the_table_gives() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(flags_page())
    assert PAGE.read_text() == flags_page(), "make update writes docs/flags.md anew"


def test_every_flag_of_ours_alone_is_a_flag() -> None:
    assert {flag.name for flag in effective_flags()} >= OURS_ALONE

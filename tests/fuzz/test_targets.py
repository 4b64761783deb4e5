"""A moment of what `make fuzz` does for as long as one likes: any bytes, and bytes near those that are right."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import SEEDS, TARGETS

#: cryptography says so of names that break a rule of X.509's.
pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_right_is_no_failure(target: str) -> None:
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_or_understood(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_bytes_near_the_right_ones_let_nobody_in(target: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[target]))
    TARGETS[target](mutated(seed, Random(data.draw(st.integers(0, 2**32)))))

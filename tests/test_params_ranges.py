"""Ranges that are open at their lower end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.errors import InvalidInputError
from upscale_bridge.params import Param

FACTOR = Param("factor", "float", 2.0, "A factor.", above=1.0, maximum=4.0)
STRENGTH = Param("strength", "float", 0.0, "A strength.", minimum=-2.0, maximum=2.0)
COUNT = Param("count", "int", 1, "A count.", minimum=1)
FREE = Param("free", "float", 1.0, "A number.")


@given(st.floats(1.0, 4.0, exclude_min=True))
def test_everything_above_the_bound_is_accepted(value):
    assert FACTOR.check(value) == value


@pytest.mark.parametrize(
    "value", [1, 1.0, math.nextafter(1, 0), 0, -5, 4.0001, 5, math.inf, math.nan]
)
def test_bound_itself_is_refused(value):
    told = " above 1 and at most 4" if math.isfinite(value) else ""
    with pytest.raises(InvalidInputError, match=f"factor must be a number{told}; got"):
        FACTOR.check(value)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (FACTOR, "above 1 and at most 4"),
        (STRENGTH, "from -2 to 2"),
        (COUNT, "of 1 or more"),
        (FREE, ""),
    ],
)
def test_range_is_told_in_words(item, words):
    assert item.range == words


@pytest.mark.parametrize("above", [0.0, -1.0])
def test_range_may_be_open_without_an_upper_end(above):
    item = Param("size", "float", 1.0, "A size.", above=above)
    assert item.check(1e9) == 1e9
    with pytest.raises(InvalidInputError, match=f"a number above {above:g}; got"):
        item.check(above)


def test_refusals_of_a_number_of_words_stay_short():
    with pytest.raises(InvalidInputError) as caught:
        FACTOR.check("x" * 10_000)
    assert len(str(caught.value)) < 200

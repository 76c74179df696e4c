"""What Novita's operations take, and what they alone can do."""

import math

import pytest

from upscale_bridge.errors import InvalidInputError
from upscale_bridge.vendors import NovitaUpscale, NovitaUpscaleV2


@pytest.mark.parametrize("value", [1, 1.0, 0.5, 4.001, math.nan, math.inf, "2", None, True])
def test_scale_factor_refuses(value):
    with pytest.raises(InvalidInputError) as caught:
        NovitaUpscale(scale_factor=value)
    assert caught.value.name == "scale_factor"


def test_scale_factor_says_its_range():
    with pytest.raises(InvalidInputError, match="a number above 1 and at most 4; got 1"):
        NovitaUpscale(scale_factor=1)


@pytest.mark.parametrize("name", ["gfpgan_visibility", "codeformer_visibility"])
def test_faces_are_restored_by_the_service_only(name):
    assert "faces" in NovitaUpscaleV2(**{name: 0.1}).only_there()

"""What Novita's operations take, and what they alone can do."""

import math

import pytest

from upscale_bridge.contract.plan import Faces
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


def test_faces_come_last_in_the_webuis_order():
    shares = {"gfpgan_visibility": 0.1, "codeformer_visibility": 0.2, "codeformer_weight": 0.3}
    found = NovitaUpscaleV2(**shares).plan(24, 16).faces
    assert found == (Faces("GFPGANv1.4", 0.1), Faces("CodeFormer", 0.2, 0.3))
    assert NovitaUpscaleV2(codeformer_weight=0.3).plan(24, 16).faces == ()
